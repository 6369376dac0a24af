"""Further inputs of the footage table: colours, times, damage, and edits by people and programs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from benchmarks.footage_checks import (
    Check,
    FootageResult,
    FootageRow,
    camera,
    combs,
    is_below,
    lasts,
    looks_like,
    says,
    says_no,
    shape,
    shows,
)
from benchmarks.footage_rows import JUGGLE, SAME, THREE, X264, coded, filtered
from josh_core.types import UInt8

JUGGLE_FILE = Path(__file__).parents[1] / "examples" / "juggle" / "clip.mp4"


@lru_cache(maxsize=1)
def _first() -> UInt8:
    """First frame of the clip that most rows are made from, RGB."""
    film = cv2.VideoCapture(str(JUGGLE_FILE))
    return np.asarray(cv2.cvtColor(film.read()[1], cv2.COLOR_BGR2RGB), np.uint8)


def same(turns: int = 0) -> Check:
    """The first frame looks as it did, after quarter turns counter-clockwise."""

    def check(s: FootageResult) -> list[str]:
        return looks_like(np.rot90(_first(), turns))(s)

    return check


def _spliced(second: str, begin: float = 1.5, clip: str = "{juggle}") -> tuple[str, ...]:
    """1.5 s of the clip, then 1.5 s of it from `begin` on through another filter."""
    film = f"[0:v]trim=0:1.5,setpts=PTS-STARTPTS,{SAME}[a];"
    film += f"[0:v]trim={begin}:{begin + 1.5},setpts=PTS-STARTPTS,{second},{SAME}[b];[a][b]concat"
    return ("-i", clip, "-filter_complex", film, *X264)


def _over(film: str, small: str = "{squats}") -> tuple[str, ...]:
    return ("-t", "3", "-i", "{juggle}", "-t", "3", "-i", small, "-filter_complex", film, *X264)


def _zeroed(data: bytes) -> bytes:
    """Damage in the middle of the file."""
    begin = len(data) // 2
    return data[:begin] + bytes(len(data) // 12) + data[begin + len(data) // 12 :]


def _rotated(degrees: int) -> tuple[str, ...]:
    return (*JUGGLE, "-c", "copy", "-an", "-bsf:v", f"h264_metadata=display_orientation=insert:rotate={degrees}")


def _not_cut(s: FootageResult) -> list[str]:
    return says_no("a cut", "change of scene", "cuts")(s)


LOSSLESS = ("-c:v", "ffv1", "-an")
COLOURS = (
    FootageRow(
        "4:4:4, odd size", "odd.mp4", filtered("scale=855:481", *X264[:4], "-pix_fmt", "yuv444p"), (*THREE, same())
    ),
    FootageRow("4:2:2, 10 bits", "deep.mp4", coded(*X264[:4], "-pix_fmt", "yuv422p10le"), (*THREE, same())),
    FootageRow("RGB", "rgb.mkv", coded("-c:v", "libx264rgb", "-crf", "20"), (*THREE, same())),
    FootageRow("gray, 16 bits", "gray.mkv", filtered("scale=640:-2,format=gray16le", *LOSSLESS), THREE),
    FootageRow(
        "alpha, Animation", "alpha.mov", filtered("scale=640:-2,format=argb", "-c:v", "qtrle"), (*THREE, same())
    ),
    FootageRow(
        "alpha, VP9", "alpha.webm", filtered("scale=640:-2,format=yuva420p", "-c:v", "libvpx-vp9"), (*THREE, same())
    ),
    FootageRow(
        "full range",
        "full.avi",
        filtered("scale=out_range=full,format=yuvj420p", "-c:v", "mjpeg", "-q:v", "2"),
        (*THREE, same()),
    ),
    FootageRow(
        "BT.601 in high definition, tagged",
        "matrix.mp4",
        filtered("scale=out_color_matrix=bt601", *X264, "-colorspace", "smpte170m"),
        (*THREE, same()),
    ),
    FootageRow("VP8", "film.webm", coded("-c:v", "libvpx", "-b:v", "2M", "-deadline", "realtime"), (*THREE, same())),
    FootageRow("AV1", "film.mp4", filtered("scale=640:-2", "-c:v", "libsvtav1", "-preset", "12"), (*THREE, same())),
    FootageRow("Theora", "film.ogv", coded("-c:v", "libtheora", "-q:v", "8"), (*THREE, same())),
    FootageRow("WMV", "film.wmv", coded("-c:v", "wmv2", "-q:v", "3"), (*THREE, same())),
    FootageRow(
        "animated WebP", "film.webp", filtered("fps=12,scale=320:-2", "-c:v", "libwebp_anim"), (shape(16 / 9), same())
    ),
    FootageRow(
        "animated PNG", "film.png", filtered("fps=12,scale=320:-2", "-f", "apng"), (shape(16 / 9), lasts(2.9), same())
    ),
    FootageRow(
        "animated AVIF",
        "film.avif",
        filtered("fps=12,scale=320:180", "-c:v", "libsvtav1", "-preset", "12"),
        (shape(16 / 9), lasts(2.9), same()),
    ),
    FootageRow(
        "H.264 without a container", "film.h264", coded("-c:v", "libx264", "-f", "h264"), (shape(16 / 9), same())
    ),
    FootageRow(
        "interlaced",
        "fields.mpg",
        (
            *("-i", "{beam_pan}", "-vf", "scale=640:-2,crop=640:480,tinterlace=interleave_top"),
            *("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ilme+ildct", "-an"),
        ),
        (combs, lasts(1.63)),
    ),
)
SHAPES = (
    FootageRow("absurd pixel aspect", "aspect.mp4", filtered("setsar=1/100"), THREE),
    FootageRow("tall pixels", "tall.mp4", filtered("scale=1280:360,setsar=1/2"), (*THREE, same())),
    FootageRow("turned by 90 degrees", "turn90.mp4", _rotated(90), (shape(9 / 16), same(1))),
    FootageRow("turned by 180 degrees", "turn180.mp4", _rotated(180), (shape(16 / 9), same(2))),
    FootageRow("turned by 270 degrees", "turn270.mp4", _rotated(270), (shape(9 / 16), same(3))),
    FootageRow(
        "borders all around", "window.mp4", filtered("pad=1600:1200:160:240"), (*THREE, says("Borders"), same())
    ),
    FootageRow(
        "recording of a phone's screen",
        "screen.mp4",
        filtered(
            "scale=720:-2,pad=720:1280:0:300:0x101418,drawbox=20:20:80:20:white:fill,drawbox=600:16:90:26:gray:fill,"
            "drawbox=40:800:300:20:white:fill,drawbox=40:840:500:14:gray:fill,drawbox=330:1200:60:60:white:fill"
        ),
        (*THREE, says("Borders"), same()),
    ),
    FootageRow("64 pixels", "tiny.mp4", filtered("scale=64:36"), refused="at least 64 pixels"),
    FootageRow(
        "wall of four films",
        "wall.mp4",
        _over(
            f"[0:v]scale=640:360,{SAME},split[a][b];[1:v]crop=720:405,scale=640:360,{SAME},split[c][d];"
            "[a][c]hstack[e];[d][b]hstack[f];[e][f]vstack"
        ),
        refused="split",
    ),
    FootageRow(
        "two files in one, the small one first",
        "two.mkv",
        (*JUGGLE, "-map", "0:v", "-map", "0:v", "-filter:v:0", "scale=160:-2", "-c:v", "libx264", "-an"),
        (*THREE, lambda s: [] if s.width == 1280 else [f"{s.width} px wide"]),
    ),
)
TIMES = (
    FootageRow("240 frames a second", "fast.mp4", filtered("scale=640:-2,fps=240"), (lasts(3.0),)),
    FootageRow("one frame a second", "slow.mp4", ("-i", "{juggle}", "-vf", "fps=1", *X264), (lasts(9.0, 1.1),)),
    FootageRow("duplicated frames", "twice.mp4", filtered("fps=60"), (lasts(3.0),)),
    FootageRow(
        "time stamps before zero", "early.mkv", (*JUGGLE, "-c", "copy", "-output_ts_offset", "-2"), (lasts(3.0, 0.3),)
    ),
    FootageRow(
        "a second without frames",
        "gap.mp4",
        filtered("select='not(between(t,1,2))'", "-fps_mode", "vfr", *X264),
        (lasts(3.0),),
    ),
    FootageRow("freezes for a second", "freeze.mp4", filtered("loop=24:1:36,setpts=N/24/TB"), (lasts(4.0), _not_cut)),
    FootageRow(
        "black at both ends",
        "ends.mp4",
        filtered("tpad=start_duration=0.5:stop_duration=0.5"),
        (lasts(3.0), says("black")),
    ),
    FootageRow("fades in and out", "fades.mp4", filtered("fade=in:0:12,fade=out:60:12"), (_not_cut,)),
    FootageRow(
        "flashes", "flash.mp4", filtered("drawbox=c=white:t=fill:enable='between(n,30,31)'"), (*THREE, _not_cut)
    ),
    FootageRow("jump cut", "jump.mp4", _spliced("null", 3.0, "{log_sit}"), (says("a cut"), lasts(1.46))),
    FootageRow(
        "jump to a closer picture", "closer.mp4", _spliced("crop=854:480,scale=1280:720"), (says("a cut"), lasts(1.5))
    ),
    FootageRow(
        "jump to a slightly closer picture",
        "nearer.mp4",
        _spliced("crop=1200:675,scale=1280:720"),
        (says("a cut"), lasts(1.5)),
    ),
    FootageRow(
        "slow motion, said in the file",
        "said.mp4",
        (*JUGGLE, *X264, "-metadata", "com.android.capture.fps=96", "-movflags", "use_metadata_tags"),
        (lasts(0.75), says("slow motion")),
    ),
    FootageRow(
        "whip pan",
        "whip.mp4",
        (
            *("-t", "2.5", "-i", "{juggle}"),
            "-vf",
            # 800 px of 1280 in a third of a second, smeared as by the shutter
            "minterpolate=fps=96:mi_mode=dup,crop=480:720:x='800*clip((t-1)/0.33,0,1)',tmix=frames=3,fps=24",
            *X264,
        ),
        (lasts(2.45), _not_cut),
    ),
    FootageRow(
        "caption bands from the middle on",
        "bands.mp4",
        filtered("drawbox=0:0:iw:90:black:fill:enable='gt(t,1.5)',drawbox=0:630:iw:90:black:fill:enable='gt(t,1.5)'"),
        (shape(16 / 9),),
    ),
)
DAMAGE = (
    FootageRow("damaged in the middle", "hurt.mp4", (*JUGGLE, *X264), (says("damaged"),), spoil=_zeroed),
    FootageRow(
        "ends early", "short.mkv", (*JUGGLE, *X264), (says("incomplete"),), spoil=lambda data: data[: len(data) // 2]
    ),
    FootageRow(
        "ends early, MP4", "lost.mp4", (*JUGGLE, *X264), refused="damaged", spoil=lambda data: data[: len(data) // 2]
    ),
    FootageRow(
        "a picture by another name",
        "png.mp4",
        ("-i", "{still}", "-c:v", "png", "-f", "image2"),
        refused="a picture (PNG)",
    ),
    FootageRow(
        "a web page by another name",
        "page.mp4",
        (*JUGGLE, *X264),
        refused="not a video",
        spoil=lambda _: b"<!doctype html>",
    ),
    FootageRow("five frames", "five.mp4", ("-t", "0.2", "-i", "{juggle}", *X264), refused="at least 8"),
)
READ_FURTHER = (*COLOURS, *SHAPES, *TIMES, *DAMAGE)

ONE = (shows(1), camera("static"))
RUN_FURTHER = (
    FootageRow(
        "a small film in the corner",
        "inset.mp4",
        _over(f"[0:v]{SAME}[a];[1:v]scale=202:360,crop=200:320,{SAME}[b];[a][b]overlay=1050:30"),
        (shows(1), says("smaller picture")),
        run=True,
    ),
    FootageRow(
        "a watermark that moves",
        "mark.mp4",
        (
            *(*JUGGLE, "-filter_complex"),
            "color=white@0.8:s=120x30:r=24:d=3,format=rgba[m];[0:v][m]overlay='200+150*t':80:shortest=1",
            *X264,
        ),
        ONE,
        run=True,
    ),
    FootageRow(
        "a timer",
        "timer.mp4",
        _over(f"[0:v]{SAME}[a];[1:v]scale=160:120,{SAME}[b];[a][b]overlay=20:20", "{juggle}"),
        ONE,
        run=True,
    ),
    FootageRow("reversed", "reversed.mp4", filtered("reverse"), (*ONE, is_below("jitter", 15)), run=True),
    FootageRow("mirrored", "mirrored.mp4", filtered("hflip"), (*ONE, is_below("jitter", 15)), run=True),
    FootageRow(
        "slow motion", "slow4.mp4", ("-t", "1", "-i", "{juggle}", "-vf", "setpts=4*PTS,fps=24", *X264), ONE, run=True
    ),
    FootageRow(
        "time lapse",
        "lapse.mp4",
        ("-i", "{log_sit}", "-vf", "setpts=PTS/8,fps=30", *X264),
        (says("sped up"),),
        run=True,
    ),
    FootageRow("very dark", "dark.mp4", filtered("eq=contrast=0.35:brightness=-0.3"), ONE, run=True),
    FootageRow("noise", "noise.mp4", filtered("noise=alls=40:allf=t"), ONE, run=True),
    FootageRow(
        "hardly any bits", "coarse.mp4", filtered("null", "-c:v", "libx264", "-crf", "42", "-an"), ONE, run=True
    ),
    FootageRow("drawn", "drawn.mp4", filtered("edgedetect=mode=colormix:high=0.1:low=0.05"), ONE, run=True),
    FootageRow("upside down", "down.mp4", filtered("hflip,vflip"), (says("upside"),), run=True),
    FootageRow("on its side", "side.mp4", filtered("transpose=1"), (says("side"),), run=True),
    FootageRow(
        "edges of a stabiliser",
        "edges.mp4",
        filtered("rotate=0.04*sin(5*t)"),
        (shows(1), camera("rotating")),
        run=True,
    ),
    FootageRow(
        "blurred sides",
        "sides.mp4",
        filtered("split[a][b];[a]boxblur=24[c];[b]crop=404:720[d];[c][d]overlay=438:0"),
        (shows(1),),
        run=True,
    ),
    FootageRow(
        "nothing", "nothing.mp4", ("-f", "lavfi", "-i", "color=gray:s=640x360:d=8", *X264), refused="Nobody", run=True
    ),
    FootageRow(
        "a test picture", "test.mp4", ("-f", "lavfi", "-i", "testsrc2=s=640x360:d=3", *X264), refused="Nobody", run=True
    ),
)
