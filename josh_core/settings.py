"""All options of a run in one frozen dataclass; an unknown option or a value out of range is an error."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from josh_core.errors import SettingsError

Mode = Literal["baseline", "fast", "refine"]
MODES: tuple[Mode, ...] = get_args(Mode)  # a run gives every mode up to the one asked for
Tier = Literal["auto", "embedded", "hub"]
StaticCamera = Literal["auto", "on", "off"]
Turn = Literal[0, 90, 180, 270]


@dataclass(frozen=True)
class Settings:
    """Options of one run. Times in seconds, lengths in metres, focal in pixels of the decoded frame."""

    mode: Mode = "refine"  # baseline: one stage after the other; fast: contact scale; refine: JOSH
    tier: Tier = "auto"  # auto picks hub when its weights and CUDA are there, else embedded
    start: float = 0.0  # s, where in the file to begin
    seconds: float | None = None  # s, how much to take; None is the rest of the clip
    max_seconds: float = 60.0  # s, longer clips are refused unless `seconds` says which part to take
    max_fps: float = 30.0  # frames per second kept; faster clips are resampled by timestamp
    max_side: int = 1280  # px, longest side of the decoded frame
    turn: Turn = 0  # degrees clockwise by which the film is turned before anything looks at it
    people: int | None = None  # most people to follow; None is up to `max_people`
    max_people: int = 8  # most people followed when `people` is None
    height_m: float | None = None  # m, height of the first person when known; all others are of usual height
    focal_px: float | None = None  # px of the decoded frame, when known; None estimates it
    static_camera: StaticCamera = "auto"  # on: the camera does not move at all; off: never assume so
    use_student: bool = True  # pose and foot contacts of the student as evidence (embedded tier; docs/STUDENT.md)
    feed_forward: bool = False  # the student's own bodies instead of a fit (embedded tier)
    seed: int = 0  # every random choice in a run starts from it
    # Ablations of refine: each loss of JOSH can be left out (DESIGN section 8).
    use_match: bool = True  # reprojection of correspondences between keyframes
    use_contact_scene: bool = True  # a contact point lies on the scene
    use_contact_static: bool = True  # a contact point does not move while it touches
    use_collision: bool = True  # bodies pass neither through the floor nor through each other
    use_landmarks: bool = True  # landmarks in 2D and the bones between them in 3D as evidence for the body
    use_heading: bool = True  # who walks faces where they go
    use_smooth: bool = True  # small joint accelerations

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in fields(self):
            _check_kind(f.name, getattr(self, f.name), hints[f.name])
        _require(self.start >= 0, "start must be 0 or more seconds")
        _require(self.seconds is None or self.seconds > 0, "seconds must be more than 0")
        _require(self.people is None or 1 <= self.people <= 20, "people must be between 1 and 20")
        _require(self.height_m is None or 0.5 <= self.height_m <= 2.5, "height must be between 0.5 and 2.5 m")
        _require(self.focal_px is None or 50 <= self.focal_px <= 20000, "focal must be 50 to 20000 px")
        _require(1 <= self.max_fps <= 240, "max_fps must be between 1 and 240")
        _require(self.use_student or not self.feed_forward, "feed_forward needs use_student")
        _require(64 <= self.max_side <= 4096, "max_side must be between 64 and 4096 px")

    def to_dict(self) -> dict[str, Any]:
        """Options as plain JSON values, for the manifest and the content key."""
        return asdict(self)

    def with_options(self, **options: Any) -> Settings:
        """A copy with some options changed. Raises SettingsError for an unknown name."""
        known = {f.name for f in fields(self)}
        for name in options:
            _require(name in known, f"unknown option {name!r}; known options: {', '.join(sorted(known))}")
        return replace(self, **options)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SettingsError(message[0].upper() + message[1:] + ".")


def _check_kind(name: str, value: Any, hint: Any) -> None:
    """Literal, bool, int and float options, each optional or not, hold what they say."""
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        known = value in choices and not isinstance(value, bool)  # False is equal to 0
        _require(known, f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")
        return
    kinds = get_args(hint) or (hint,)
    if bool in kinds:
        _require(isinstance(value, bool), f"{name} must be true or false, not {value!r}")
    elif value is not None or type(None) not in kinds:
        number = isinstance(value, int if int in kinds else (int, float)) and not isinstance(value, bool)
        what = "a whole number" if int in kinds else "a number"
        _require(number and math.isfinite(value), f"{name} must be {what}, not {value!r}")
