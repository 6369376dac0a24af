"""The footage table: inputs as people really have them, made from the examples' clips, and what is right for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# What is wrong with an input that was read (and run, where the row says so): one short phrase each.
Check = Callable[["Seen"], list[str]]


@dataclass(frozen=True)
class Seen:
    """What came out for one input."""

    frames: int
    seconds: float  # s, from the first to the last frame
    width: int  # px
    height: int  # px
    notes: str  # all sentences, joined
    people: int | None = None  # None where only the reader looked
    kind: str = ""  # of the camera
    quality: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One input: the arguments of ffmpeg, in which {juggle} stands for examples/juggle/clip.mp4, and what is right."""

    name: str
    file: str  # name of the made file
    make: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    refused: str = ""  # words of the sentence with which it is refused, where that is right
    run: bool = False  # the whole method, in mode fast; else only the reader


def lasts(seconds: float, slack: float = 0.15) -> Check:
    """Length from first to last frame."""
    return lambda s: [] if abs(s.seconds - seconds) <= slack else [f"{s.seconds:.2f} s instead of {seconds:g}"]


def shape(aspect: float) -> Check:
    """Width over height."""
    return lambda s: [] if abs(s.width / s.height / aspect - 1) < 0.02 else [f"{s.width}x{s.height}"]


def says(*words: str) -> Check:
    """Words of the notes."""
    return lambda s: [f"does not say {word!r}" for word in words if word not in s.notes]


def says_no(*words: str) -> Check:
    """Words that must not be in the notes."""
    return lambda s: [f"says {word!r}" for word in words if word in s.notes]


def shows(people: int) -> Check:
    """How many people there are."""
    return lambda s: [] if s.people == people else [f"{s.people} people instead of {people}"]


def is_below(key: str, limit: float) -> Check:
    """A quality number that must be measured and small."""

    def check(s: Seen) -> list[str]:
        value = s.quality.get(key)
        return [f"{key} {value}"] if value is None or value > limit else []

    return check


def is_unknown(key: str) -> Check:
    """A quality number that nothing in the picture tells."""
    return lambda s: [] if s.quality.get(key) is None else [f"{key} {s.quality[key]} though it was never seen"]


def camera(kind: str) -> Check:
    """Kind of the camera."""
    return lambda s: [] if s.kind == kind else [f"a {s.kind} camera instead of a {kind} one"]


X264 = ("-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p", "-an")
JUGGLE, THREE = ("-t", "3", "-i", "{juggle}"), (lasts(3.0 - 1 / 24), shape(16 / 9))
SAME = "fps=24,settb=1/24,setsar=1"
TWO = ("-t", "3", "-i", "{juggle}", "-t", "1.6", "-i", "{beam_pan}")
CROPPED = f"crop=540:304,scale=960:540,{SAME}"
PORTRAIT = f"scale=-2:540,pad=960:540:(ow-iw)/2,{SAME}"
MARKS = "drawbox=20:20:90:6:white:fill,drawbox=20:34:60:6:white:fill,drawbox=20:48:80:6:white:fill"
MARKS += ",drawbox=24:20:5:40:white:fill,drawbox=60:20:5:40:white:fill,drawbox=90:20:5:40:white:fill"


def _faded(how: str, fit: str = PORTRAIT) -> tuple[str, ...]:
    film = f"[0:v]scale=960:540,{SAME}[a];[1:v]{fit}[b];[a][b]xfade=transition={how}:duration=0.6:offset=2.2"
    return (*TWO, "-filter_complex", film, *X264)


def _filtered(film: str, *more: str) -> tuple[str, ...]:
    return (*JUGGLE, "-vf", film, *(more or X264))


def _coded(*codec: str) -> tuple[str, ...]:
    return (*JUGGLE, "-an", *codec)


READ = (
    Row("non-square pixels", "sar43.mp4", _filtered("scale=960:720,setsar=4/3"), THREE),
    Row("letterbox", "letterbox.mp4", _filtered("pad=1280:960:0:120"), (*THREE, says("Borders"))),
    Row("pillarbox", "pillarbox.mp4", _filtered("scale=640:360,pad=960:360:160:0"), (*THREE, says("Borders"))),
    Row("turned by its metadata", "turned.mp4", ("-display_rotation", "90", *JUGGLE, "-c", "copy"), (shape(9 / 16),)),
    Row(
        "edit list",
        "edit.mp4",
        ("-ss", "7", "-i", "{juggle}", "-t", "3", "-c", "copy"),
        (lasts(3.0), says_no("incomplete")),
    ),
    Row(
        "first time stamp 3600 s", "hour.mkv", (*JUGGLE, "-c", "copy", "-output_ts_offset", "3600"), (lasts(3.0, 0.25),)
    ),
    Row("colon in the name", "12:30 walk.mp4", _coded("-c", "copy"), (lasts(3.0, 0.25),)),
    Row("percent and quotes in the name", "50% 'a' [b].mp4", _coded("-c", "copy"), (lasts(3.0, 0.25),)),
    Row("AVCHD", "film.mts", _coded("-c:v", "libx264", "-f", "mpegts", "-mpegts_m2ts_mode", "1"), THREE),
    Row("MPEG-TS", "film.ts", _coded("-c:v", "libx264"), THREE),
    Row("MXF", "film.mxf", _filtered("fps=25", "-c:v", "mpeg2video", "-q:v", "3", "-an"), (lasts(3.0),)),
    Row("DV", "film.dv", _filtered("fps=25,scale=720:576,setsar=64/45", "-target", "pal-dv", "-an"), THREE),
    Row("YUV4MPEG", "film.y4m", _filtered("scale=320:180", "-pix_fmt", "yuv420p"), THREE),
    Row("ProRes", "film.mov", _coded("-c:v", "prores_ks"), THREE),
    Row("VP9 without duration", "film.webm", _coded("-c:v", "libvpx-vp9", "-cpu-used", "8", "-live", "1"), THREE),
    Row(
        "HEVC, 10 bits",
        "hevc.mp4",
        _coded("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "fast", "-x265-params", "log-level=none"),
        THREE,
    ),
    Row("fragmented", "parts.mp4", (*JUGGLE, *X264, "-movflags", "frag_keyframe+empty_moov"), THREE),
    Row("AVI, MPEG-4", "film.avi", _coded("-c:v", "mpeg4", "-q:v", "3"), THREE),
    Row("Flash", "film.flv", _coded("-c:v", "flv1", "-q:v", "3"), THREE),
    Row("GIF", "film.gif", _filtered("fps=12.5,scale=320:-2", "-an"), (shape(16 / 9), lasts(2.92))),
    Row(
        "cover picture first",
        "cover.mkv",
        (*JUGGLE, "-i", "{still}", "-map", "1:v", "-map", "0:v", "-c:v:0", "mjpeg", "-c:v:1", "libx264", "-an"),
        (lasts(3.0, 0.25),),
    ),
    Row("dissolve", "dissolve.mp4", _faded("fade"), (says("change of scene"), lasts(2.1, 0.35))),
    Row("slide", "slide.mp4", _faded("slideleft"), (says("change of scene"), lasts(2.1, 0.35))),
    Row("wipe", "wipe.mp4", _faded("wiperight", CROPPED), (says("change of scene"), lasts(2.1, 0.35))),
    Row("soft wipe", "soft.mp4", _faded("smoothleft", CROPPED), (says("change of scene"), lasts(2.1, 0.5))),
    Row("iris", "iris.mp4", _faded("circleopen", CROPPED), (says("change of scene"), lasts(2.1, 0.5))),
    Row("fade through black", "black.mp4", _faded("fadeblack"), (says("change of scene"), lasts(2.1, 0.4))),
    Row(
        "hard cut",
        "cut.mp4",
        (
            *TWO,
            "-filter_complex",
            f"[0:v]scale=960:540,{SAME}[a];[1:v]crop=540:304,scale=960:540,{SAME}[b];[a][b]concat",
            *X264,
        ),
        (says("a cut"), lasts(2.95, 0.1)),
    ),
    Row(
        "split screen",
        "split.mp4",
        (
            *("-t", "2", "-i", "{juggle}", "-t", "2", "-i", "{squats}", "-filter_complex"),
            f"[0:v]crop=640:720,scale=480:540,{SAME}[a];[1:v]crop=720:810,scale=480:540,{SAME}[b];[a][b]hstack",
            *X264,
        ),
        refused="split",
    ),
    Row(
        "split screen, one above the other",
        "above.mp4",
        (
            *("-t", "2", "-i", "{juggle}", "-t", "2", "-i", "{log_sit}", "-filter_complex"),
            f"[0:v]scale=960:540,{SAME}[a];[1:v]crop=486:274:0:300,scale=960:540,{SAME}[b];[a][b]vstack",
            *X264,
        ),
        refused="split",
    ),
    Row("no motion at all", "still.mp4", ("-loop", "1", "-t", "2", "-i", "{still}", *X264), (lasts(1.96, 0.1),)),
    Row(
        "only sound",
        "sound.mp4",
        ("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac"),
        refused="sound",
    ),
)

SHAKE = "crop=1200:675:x='40+20*sin(2*PI*9*t)':y='22+14*cos(2*PI*7*t)'"
LEAVE = "crop=480:720:x='400-396*clip(min(t-0.9,3.2-t)/0.6,0,1)'"  # the camera turns away from 1.5 to 2.6 s
RUN = (
    Row(
        "as it is",
        "plain.mp4",
        (*JUGGLE, *X264),
        (*THREE, shows(1), camera("static"), is_below("jitter", 15)),
        run=True,
    ),
    Row(
        "feet out of the picture",
        "waist.mp4",
        _filtered("crop=720:405:320:60"),
        (shows(1), says("no feet"), is_unknown("foot_slide_mm"), is_unknown("floating_cm")),
        run=True,
    ),
    Row(
        "zoom on a tripod",
        "zoom.mp4",
        _filtered("zoompan=z='1+0.5*on/72':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=1280x720:fps=24"),
        (shows(1), says("zooms"), is_below("camera_path_m", 0.01)),
        run=True,
    ),
    Row("jolting camera", "jolt.mp4", _filtered(SHAKE), (shows(1), is_below("camera_path_m", 0.5)), run=True),
    Row(
        "uneven time stamps",
        "uneven.mp4",
        _filtered("select='mod(n,3)'", "-fps_mode", "vfr", *X264),
        (lasts(2.9), shows(1), is_below("jitter", 15)),
        run=True,
    ),
    Row("ten frames a second", "ten.mp4", _filtered("fps=10"), (shows(1), is_below("jitter", 15)), run=True),
    Row(
        "leaves and comes back",
        "back.mp4",
        ("-t", "4.2", "-i", "{juggle}", "-vf", LEAVE, *X264),
        (shows(1),),
        run=True,
    ),
    Row(
        "logo over a turning camera",
        "logo.mp4",
        ("-i", "{beam_pan}", "-vf", MARKS, *X264),
        (says("stays in the image"), camera("rotating")),
        run=True,
    ),
    Row(
        "sped up",
        "fast.mp4",
        ("-t", "4", "-i", "{log_sit}", "-vf", "setpts=PTS/5,fps=30", *X264),
        (says("sped up"),),
        run=True,
    ),
)
