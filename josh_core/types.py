"""What the stages hand to each other: frozen dataclasses, with shape, unit and frame of every field.

Conventions (DESIGN section 4): cameras are OpenCV (x right, y down, z forward); pixel centres lie at integer + 0.5,
so a pixel coordinate is a point in the continuous image [0, W] x [0, H]; the world is right-handed, +Y up, metres.
T frames of the clip, K keyframes, n frames of one person, L = 33 landmarks, C contact points, J = 24 joints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from josh_core.kept_frames import KEPT_SIDE, KeptFrames
from josh_core.shapes import Shaped

# The names say what an array holds; the checker sees Any, since numpy's stubs lose dtypes in ordinary arithmetic.
Float = NDArray[Any]
Int = NDArray[Any]
Bool = NDArray[Any]
UInt8 = NDArray[Any]

CameraKind = Literal["moving", "rotating", "static"]
ScaleSource = Literal["contact", "height", "assumed"]

Task = Callable[[Path], str | None]  # what is done with one clip; returns why it failed, in one sentence
# Does a task for many clips, here or on many machines; yields each clip with why it failed, if it did.
Engine = Callable[[Task, list[Path]], Iterator[tuple[Path, str | None]]]


@dataclass(frozen=True)
class Clip(Shaped):
    """A decoded clip. Frames are kept as JPEG so that a minute of video fits in memory."""

    jpegs: Sequence[bytes]  # T encoded frames, all of one size
    times: Annotated[Float, "T"]  # s from the start of the used part, strictly increasing, times[0] = 0
    width: int  # px of the decoded frame
    height: int  # px
    fps: float  # frames per second of `times` (median)
    name: str = "clip"  # for display only, never a path
    sha256: str = ""  # of the source file
    start: float = 0.0  # s, where in the source file the used part begins
    source_seconds: float = 0.0  # s, length of the whole source file
    notes: tuple[str, ...] = ()  # what was cut or changed, one sentence each
    focal_px: float | None = None  # px of the decoded frame, where the camera wrote its focal length into the file
    overlay: Annotated[Bool, "h w"] | None = None  # True where something is printed on all frames; any reduction
    inset: tuple[int, int, int, int] | None = None  # left, top, right, bottom px of a smaller film in the picture
    still: bool = False  # nothing moves but the picture as a whole: a photo

    def __len__(self) -> int:
        return len(self.jpegs)

    def frame(self, index: int, longest: int | None = None) -> UInt8:
        """Frame `index` as [h,w,3] u8 RGB, with its longest side reduced to `longest` px if given.

        Small ones are kept for a while and must not be written to.
        """
        if longest is None or longest > KEPT_SIDE:
            return self._decoded(index, longest)
        return self._kept.get(int(index), longest, lambda: self._decoded(index, longest))

    @cached_property
    def _kept(self) -> KeptFrames:
        return KeptFrames()

    def _decoded(self, index: int, longest: int | None) -> UInt8:
        bgr = cv2.imdecode(np.frombuffer(self.jpegs[index], np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None  # every frame was encoded by clip/decode.py
        scale = 1.0 if longest is None else longest / max(self.width, self.height)
        if scale < 1:
            size = (max(1, round(self.width * scale)), max(1, round(self.height * scale)))
            bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True)
class Track(Shaped):
    """One person through the clip, as seen in the image."""

    id: int  # stable, 0 is the best-tracked person
    frames: Annotated[Int, "n"]  # clip frames, ascending, may have gaps
    boxes: Annotated[Float, "n 4"]  # xyxy px
    landmarks_px: Annotated[Float, "n 33 2"]  # BlazePose landmarks, px
    visibility: Annotated[Float, "n 33"]  # in [0, 1]
    landmarks_m: Annotated[Float, "n 33 3"]  # m, camera axes (OpenCV), origin between the hips
    detected: Annotated[Bool, "n"]  # False where a gap was bridged by interpolation


@dataclass(frozen=True)
class People(Shaped):
    """Everybody in the clip. `labels` is a low-resolution label image per frame."""

    tracks: tuple[Track, ...]
    labels: Annotated[UInt8, "T h w"]  # 0 background, k + 1 = tracks[k]; 255 a person without track, an overlay

    def mask(self, frame: int, width: int, height: int, track: int | None = None) -> Bool:
        """Mask [height,width] of everybody, or of tracks[track] alone."""
        label = self.labels[frame]
        hit = (label > 0) if track is None else (label == track + 1)
        soft = cv2.resize(hit.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(soft > 0.5, np.bool_)


# Relative spread of adults' heights over sexes (1.71 and 1.59 m, each +- 7 cm) and countries (NCD-RisC 2016).
USUAL_HEIGHT_SIGMA = 0.06


@dataclass(frozen=True)
class BodyTrack(Shaped):
    """SMPL parameters of one person in camera space, for the focal length they were fitted with."""

    id: int  # Track.id
    frames: Annotated[Int, "n"]  # clip frames
    betas: Annotated[Float, "10"]  # shared by all frames
    rotations: Annotated[Float, "n 24 3 3"]  # local joint rotations; 0 is the root in camera axes
    transl: Annotated[Float, "n 3"]  # m, SMPL translation in the camera
    focal: float  # px, focal length of the fit; at another focal f, z scales by f / focal
    height_m: float  # m, standing height of this shape
    sigma_depth: float = 0.05  # standard deviation of the depth along the ray, as a share of it
    height_sigma: float = USUAL_HEIGHT_SIGMA  # standard deviation of height_m, as a share of it


@dataclass(frozen=True)
class Matches(Shaped):
    """Correspondences between keyframes, outside every person's mask, after geometric verification."""

    pairs: Annotated[Int, "E 2"]  # indices into keyframes, first < second
    offsets: Int  # [E+1] rows of `px` that belong to pair e are offsets[e]:offsets[e+1]
    px: Annotated[Float, "M 2 2"]  # px of the decoded frame: point in first and in second keyframe
    confidence: Annotated[Float, "M"]  # in [0, 1]


@dataclass(frozen=True)
class CameraPath(Shaped):
    """Camera of every frame in the scene's own world: any rotation, and any scale until contact fixes it."""

    kind: CameraKind
    world_from_cam: Annotated[Float, "T 4 4"]  # rigid; identity throughout for a static camera
    focal: float  # px, one for the clip
    focal_sigma: float  # relative standard deviation of the focal
    keyframes: Annotated[Int, "K"]  # clip frames, ascending
    registered: Annotated[Bool, "T"]  # False where the pose was only interpolated or held
    distortion: float = 0.0  # of the lens (scene/camera/lens.py), already taken out of all pixels used with this path
    aspect: float = 1.0  # width of a pixel over its height as the tracks tell; the path takes pixels to be square
    shifted: bool = False  # whether the picture shakes as a whole, as no turning lens shows it
    breathing: float = 0.0  # relative standard deviation of a size of the picture that swings; 0 where it does not
    explained: float = 1.0  # share of the background's sightings that the path explains (of a travelling camera)
    zoom: float = 1.0  # how many times larger a zoom made the image, which the path does not follow; 1 without


@dataclass(frozen=True)
class DepthMaps(Shaped):
    """Depth of the keyframes in units of the CameraPath's world (z in camera)."""

    depth: Annotated[Float, "K h w"]  # f32, 0 where unknown; h,w is a whole-image reduction of the frame
    confidence: Annotated[Float, "K h w"]  # f32 in [0, 1]
    backdrop: Annotated[Bool, "K h w"]  # True where depth is only an assumed backdrop (static cameras)
    sparse: bool = False  # known at single pixels: that a neighbour is unknown or elsewhere says nothing


@dataclass(frozen=True)
class Scene:
    """All that is known of camera and scene before anybody's body is used for scale."""

    cameras: CameraPath
    matches: Matches
    depths: DepthMaps


@dataclass(frozen=True)
class Scale:
    """How large the CameraPath's world is, and what says so."""

    metres: float  # m per unit of the CameraPath's world
    source: ScaleSource
    sigma: float  # relative standard deviation


@dataclass(frozen=True)
class Floor(Shaped):
    """The plane people walk on: points p with normal . p + offset = 0, normal pointing up.

    In the CameraPath's world, but for that of a Reconstruction, which is in the metric world.
    """

    normal: Annotated[Float, "3"]  # unit
    offset: float  # units of its world
    confidence: float  # [0, 1]


@dataclass(frozen=True)
class Support(Shaped):
    """A horizontal patch that people stand, sit or lie on beside the floor: a step, a kerb, a box, a seat."""

    height: float  # m, y of the patch in the metric world
    outline: Annotated[Float, "m 2"]  # m, x and z of the corners of a convex polygon, in order


# The cut-offs of a contact probability, everywhere. The labels themselves are made with a hysteresis between MAY_TOUCH
# and SURE_CONTACT (contact/detect.py), so that no probability of a label stays long between them. Terms that weigh
# contacts by their probability leave out those below HARDLY_IN_CONTACT, also a product of two. Chosen by hand.
HARDLY_IN_CONTACT, MAY_TOUCH, IN_CONTACT, SURE_CONTACT = 0.25, 0.4, 0.5, 0.6


@dataclass(frozen=True)
class Contacts(Shaped):
    """Which contact points of one person touch something, per frame of that person."""

    probability: Annotated[Float, "n C"]  # in [0, 1]
    names: tuple[str, ...]  # [C] such as "left_heel"


@dataclass(frozen=True)
class PointCloud(Shaped):
    """Coloured scene points in the metric world."""

    points: Annotated[Float, "P 3"]  # f32 m
    colors: Annotated[UInt8, "P 3"]  # sRGB
    confidence: Annotated[Float, "P"]  # f32 in [0, 1]


@dataclass(frozen=True)
class Surface(Shaped):
    """The place as a textured triangle mesh in the metric world."""

    vertices: Annotated[Float, "V 3"]  # f32 m
    faces: Annotated[Int, "F 3"]  # i32, counter-clockwise as seen from where they were filmed
    uv: Annotated[Float, "V 2"]  # f32 in [0, 1], origin at the texture's top left, as in glTF
    texture: bytes  # a JPEG, sRGB


@dataclass(frozen=True)
class PersonMotion(Shaped):
    """One person's body in the metric world."""

    id: int  # Track.id
    frames: Annotated[Int, "n"]  # i32 clip frames
    betas: Annotated[Float, "10"]
    pose: Annotated[Float, "n 24 3"]  # axis-angle; row 0 is the root in the world
    transl: Annotated[Float, "n 3"]  # m, SMPL translation in the world
    joints: Annotated[Float, "n 24 3"]  # m, world, SMPL order
    contact: Annotated[Float, "n C"]  # probability
    height_m: float  # m
    colors: Annotated[UInt8, "V 3"] | None = None  # sRGB of the body's vertices as in the clip; None: not known
    colors_seen: float = 0.0  # share of the body's surface that the clip showed, [0, 1]; the rest of `colors` is filled


@dataclass(frozen=True)
class Reconstruction(Shaped):
    """One finished result in the metric world: what the bundle stores and the exporters read."""

    mode: str  # baseline, fast or refine
    tier: str  # embedded or hub
    camera_kind: CameraKind
    world_from_cam: Annotated[Float, "T 4 4"]  # f32
    intrinsics: Annotated[Float, "3 3"]  # f32 px
    frame_times: Annotated[Float, "T"]  # f64 s
    fps: float
    width: int  # px
    height: int  # px
    scene: PointCloud
    people: tuple[PersonMotion, ...]
    contact_names: tuple[str, ...]  # [C]
    scale_source: ScaleSource
    body_model: str  # which body was used, for example "anny-neutral-1"
    surface: Surface | None = None  # the same place as a textured mesh
    floor: Floor | None = None  # what people walk on, level or sloping; None is the plane y = 0
    supports: tuple[Support, ...] = ()  # what lasting contacts show people to be on beside the floor
    distortion: float = 0.0  # of the lens (camera/lens.py, Lens) that was taken out of the clip before it was solved
    quality: dict[str, Any] = field(default_factory=dict)  # numbers of quality.py
    stages: tuple[tuple[str, float], ...] = ()  # (name, seconds)
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    clip: dict[str, Any] = field(default_factory=dict)  # sha256, name, seconds, trimmed, notes
    licences: tuple[str, ...] = ()  # of weights and body used
    notes: tuple[str, ...] = ()  # sentences a user should read, such as a solver fallback
