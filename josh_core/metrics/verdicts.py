"""Verdicts on the quality numbers: one table of thresholds and sentences for users.

"Good" needs evidence: what was never seen has no verdict, and a scale that rests on guesses is fair at best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from josh_core.metrics.pace import pace


@dataclass(frozen=True)
class QualityRow:
    """One line of the quality table."""

    key: str  # Quantity.key, else "scale", "lens" or "person"; names may change, keys do not
    name: str  # "Foot slide"
    value: float | str | None  # None where it cannot be measured
    unit: str
    verdict: str  # good, fair, poor, or "" where there is nothing to judge
    sentence: str  # "Feet that touch the ground slide 3 mm a frame: good."


@dataclass(frozen=True)
class Quantity:
    """How one number is shown and judged: good up to `good`, fair up to `fair`, poor above (on the absolute value).

    Where fair is less than good, more is better: good from `good` on.
    """

    key: str
    name: str
    unit: str
    sentence: str  # with {} for the number
    good: float | None = None
    fair: float | None = None


QUANTITIES = (
    Quantity("foot_slide_mm", "Foot slide", "mm/frame", "Feet that touch the ground slide {} mm a frame", 5, 15),
    Quantity("foot_slide_mm_s", "Foot slide per second", "mm/s", "In a second they slide {} mm", 150, 450),
    Quantity("foot_height_cm", "Feet over the floor", "cm", "Feet in contact are {} cm from the floor", 4, 8),
    Quantity("floating_cm", "Floating", "cm", "Feet in contact float up to {} cm over the floor", 5, 10),
    Quantity("penetration_cm", "Penetration", "cm", "Feet sink up to {} cm into the floor", 5, 10),
    Quantity(
        "jitter",
        "Jitter",
        "10 m/s³",
        "Joints shake with a jerk of {} x 10 m/s³ (a real walk has about 5 to 10)",
        15,
        40,
    ),
    Quantity("reprojection_px", "Reprojection", "px", "Shoulders to ankles lie {} px from where they are seen"),
    Quantity(
        "reprojection_pct",
        "Reprojection, relative",
        "% of height",
        "Shoulders to ankles miss by {} % of the person's height",
        3,
        6,
    ),
    Quantity("camera_path_m", "Camera path", "m", "The camera travels {} m"),
    Quantity("feet_seen_pct", "Feet in the picture", "% of frames", "Feet are seen in {} % of the frames", 80, 50),
    Quantity("heads_seen_pct", "Heads in the picture", "% of frames", "Heads are seen in {} % of the frames", 80, 50),
    Quantity("match_cover_pct", "Matches", "% of image", "Matches between frames cover {} % of the image", 30, 15),
    # `python -m benchmarks.camera_fit CLIPS` prints it: more for clips as they were filmed, less for two pictures laid
    # over each other, a film off a screen, frames mixed to another rate.
    Quantity(
        "match_agree_pct",
        "Matches that agree",
        "% of matches",
        "{} % of what was followed in the picture fits the camera that was found",
        84,
        70,
    ),
    Quantity("scale_sigma_pct", "Scale error", "%", "All lengths may be off together by {} % (standard error)", 5, 12),
)
ON_FEET = ("foot_slide_mm", "foot_slide_mm_s", "foot_height_cm", "floating_cm", "penetration_cm")
# These mean little where the clip is sped up or slowed down.
ON_TIME = ("foot_slide_mm", "foot_slide_mm_s", "jitter", "scale_sigma_pct")
HEADS_SEEN = 80.0  # % of the frames in which heads are seen, for a good scale: that of a good row
NO_FEET = "the feet are hardly ever in the picture. Film people from head to foot."
ADVICE = {  # advice for filming, where a number is poor
    "feet_seen_pct": "Film people from head to foot.",
    "heads_seen_pct": "Film people from head to foot.",
    "match_cover_pct": "Film a place with more to see, in better light, and move slowly.",
    "match_agree_pct": "Give the clip as it was filmed, without effects, or film where little but people moves.",
}
# Chosen by hand, except where a measurement or a source is given.
STRONG_BEND = 30.0  # %: whether a lens that moves the corners by more is followed was not measured (camera/lens.py)
FOCAL_GOOD, FOCAL_FAIR = 5.0, 15.0  # %: standard error of the focal up to which it is good, fair
_SCALE_SENTENCE = {
    "contact": ("good", "The scale comes from where bodies touch the scene."),
    "height": ("fair", "The scale comes from the people's height: nothing fixed it by contact."),
    "assumed": ("poor", "The scale is only an assumption about the camera's height."),
}


def rows(numbers: dict[str, Any]) -> list[QualityRow]:
    """The quality table of `measure`'s numbers: name, value, unit, verdict, sentence.

    "Good" needs evidence: what was never seen has no verdict, and a scale that rests on guesses is fair at best.
    """
    unseen = _is_poor("feet_seen_pct", numbers)
    table = []
    for quantity in QUANTITIES:
        value = numbers.get(quantity.key)
        if value is None and quantity.key in ADVICE:
            continue
        if unseen and quantity.key in ON_FEET:
            sentence = f"{quantity.name} cannot be measured: {NO_FEET}"
            table.append(QualityRow(quantity.key, quantity.name, None, quantity.unit, "", sentence))
            continue
        row = _row(quantity, value)
        row = _doubted(row, numbers) if quantity.key == "scale_sigma_pct" else row
        table.append(_at_pace(row, numbers) if quantity.key in ON_TIME else row)
    if numbers.get("scale_source") in _SCALE_SENTENCE:
        verdict, sentence = _SCALE_SENTENCE[numbers["scale_source"]]
        row = QualityRow("scale", "Scale", numbers["scale_source"], "", verdict, sentence)
        table.append(_at_pace(_doubted(row, numbers), numbers))
    if numbers.get("focal_from") is not None:
        table.append(_lens_row(numbers))
    for k, person in enumerate(numbers.get("people", [])):
        share, speed = person["frames_share"], person["speed_m_s"]
        going = "" if speed is None else f" and moves at {speed:.2f} m/s on average"
        sentence = f"Person {k + 1} is followed in {100 * share:.0f} % of the frames{going}."
        table.append(QualityRow("person", f"Person {k + 1}", speed, "m/s", "", sentence))
    return table


def _row(quantity: Quantity, value: float | None) -> QualityRow:
    if value is None:
        return QualityRow(
            quantity.key, quantity.name, None, quantity.unit, "", f"{quantity.name} cannot be measured in this clip."
        )
    verdict = _verdict(quantity, value)
    sentence = quantity.sentence.format(short(value))
    sentence = f"{sentence}: {verdict}." if verdict else f"{sentence}."
    if verdict == "poor" and quantity.key in ADVICE:
        sentence = f"{sentence} {ADVICE[quantity.key]}"
    return QualityRow(quantity.key, quantity.name, value, quantity.unit, verdict, sentence)


def _verdict(quantity: Quantity, value: float) -> str:
    if quantity.good is None or quantity.fair is None:
        return ""
    sign = 1 if quantity.good < quantity.fair else -1
    size = sign * abs(value)
    return "good" if size <= sign * quantity.good else "fair" if size <= sign * quantity.fair else "poor"


def _quantity(key: str) -> Quantity:
    return next(q for q in QUANTITIES if q.key == key)


def _is_poor(key: str, numbers: dict[str, Any]) -> bool:
    value = numbers.get(key)
    return value is not None and _verdict(_quantity(key), value) == "poor"


def _doubted(row: QualityRow, numbers: dict[str, Any]) -> QualityRow:
    """The row about scale; fair at best, with the reason, where what it rests on was not seen."""
    heads = numbers.get("heads_seen_pct")
    doubts = [
        "the feet are hardly ever in the picture" if _is_poor("feet_seen_pct", numbers) else "",
        "heads are outside the picture for long" if heads is not None and heads < HEADS_SEEN else "",
        "the camera is known from a small part of the image" if _is_poor("match_cover_pct", numbers) else "",
        "much of the picture does not fit the camera that was found" if _disagrees(numbers) else "",
        "the lens that was found is an unusual one" if numbers.get("focal_unusual") else "",
        "the picture was squeezed, shifted or resized" if numbers.get("no_pinhole") else "",
        "the lens is hardly known" if (numbers.get("focal_sigma_pct") or 0) > FOCAL_FAIR and _is_found(numbers) else "",
        "the lens bends strongly" if (numbers.get("lens_bend_pct") or 0) > STRONG_BEND else "",
    ]
    return _fair(row, " and ".join(d for d in doubts if d))


def _at_pace(row: QualityRow, numbers: dict[str, Any]) -> QualityRow:
    """The row; fair at best, with the reason, where somebody is faster or slower than people are, or nobody moves."""
    if numbers.get("still_picture"):
        return _fair(row, "the clip seems to be a still picture")
    paces = {pace(person) for person in numbers.get("people", [])} - {""}
    return _fair(row, "people move at another pace than in life (sped up, slow motion?)" if paces else "")


def _fair(row: QualityRow, why: str) -> QualityRow:
    """A good row made fair by a doubt, which it says; the row itself without one."""
    if not why or row.verdict != "good":
        return row
    sentence = row.sentence.removesuffix(".").removesuffix(": good")
    return replace(row, verdict="fair", sentence=f"{sentence}, but {why}: fair.")


def _disagrees(numbers: dict[str, Any]) -> bool:
    """Whether much of what was followed in the picture moves otherwise than the camera tells."""
    quantity, share = _quantity("match_agree_pct"), numbers.get("match_agree_pct")
    return share is not None and _verdict(quantity, share) != "good"


def _is_found(numbers: dict[str, Any]) -> bool:
    """Whether the focal length was found from the clip itself."""
    return numbers.get("focal_from") not in (None, "given", "file", "assumed")


def _lens_row(numbers: dict[str, Any]) -> QualityRow:
    """Where the focal length comes from, and how sure it is."""
    field, source, sigma = numbers["field_deg"], numbers["focal_from"], numbers.get("focal_sigma_pct") or 0.0
    sentence = f"The lens sees {short(field)} degrees along the longer side"
    if source == "given":
        verdict, sentence = "good", f"{sentence}: it was given."
    elif source == "file":
        verdict, sentence = "good", f"{sentence}, to within {_error(sigma)} %: the camera wrote it into the file."
    elif source == "assumed":
        verdict = "fair"
        doubt = f"that is assumed, as the camera stands still, and distances from it may be off by {sigma:.0f} %."
        sentence = f"{sentence}: {doubt}"
    else:
        verdict = "good" if sigma <= FOCAL_GOOD else "fair" if sigma <= FOCAL_FAIR else "poor"
        misfit = _disagrees(numbers) or bool(numbers.get("no_pinhole"))
        verdict = "fair" if verdict == "good" and misfit else verdict
        poor = ("focal_unusual", "no_pinhole")
        verdict = "poor" if any(numbers.get(k) for k in poor) or _is_poor("match_agree_pct", numbers) else verdict
        doubt = ", but the picture does not fit one lens in a place that stands still" if misfit else ""
        sentence = f"{sentence}, to within {_error(sigma)} %{doubt}: {verdict}."
        sentence += " Give the focal length if you know it." if verdict == "poor" else ""
    return QualityRow("lens", "Lens", field, "degrees", verdict, sentence)


def _error(percent: float) -> str:
    """An error of a lens: two digits, and nothing finer than a tenth, since a pixel's worth says no more."""
    return short(float(f"{max(percent, 0.1):.2g}"))


def short(value: float) -> str:
    """Three significant digits without an exponent; what is under a thousandth is 0."""
    if abs(value) < 1e-3:
        return "0"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def format_table(numbers: dict[str, Any]) -> str:
    """The quality table as text, one line a row."""
    lines = []
    for row in rows(numbers):
        value = "-" if row.value is None else row.value if isinstance(row.value, str) else short(row.value)
        lines.append(f"{row.name:<24s} {value:>9s} {row.unit:<12s} {row.verdict:<5s} {row.sentence}")
    return "\n".join(lines)
