"""Inputs of the footage table as editors, phones and bad links make them: transitions, overlays, films in films, times,
damage, lenses.
"""

from __future__ import annotations

from benchmarks.footage_checks import (
    Check,
    FootageResult,
    FootageRow,
    camera,
    combs,
    doubted,
    is_below,
    is_unknown,
    lasts,
    lies_in,
    says,
    says_no,
    says_one_of,
    shape,
    shows,
)
from benchmarks.footage_rows import JUGGLE, X264, filtered

FPS = "fps=25,settb=1/25,setsar=1,format=yuv420p"
WIDE = f"scale=640:360:force_original_aspect_ratio=increase,crop=640:360,{FPS}"
TALL = f"scale=360:640:force_original_aspect_ratio=increase,crop=360:640,{FPS}"
BEGIN, LENGTH = 1.5, 3.4  # s: the first film alone, and both together


def _change(how: str, seconds: float, first: str, second: str, fit: str = WIDE) -> FootageRow:
    """From 1.5 s on, in so many seconds, one film goes over into another by ffmpeg's xfade."""
    film = f"[0:v]{fit}[a];[1:v]{fit}[b];[a][b]xfade=transition={how}:duration={seconds}:offset={BEGIN}"
    inputs = ("-t", str(BEGIN + seconds), "-i", first, "-t", str(LENGTH - BEGIN), "-i", second)
    spans = (0.0, BEGIN + 0.12 * seconds), (BEGIN + 0.88 * seconds, LENGTH)
    checks = (says_one_of("change of scene", "changes of scene", "a cut", "cuts"), lies_in(*spans))
    return FootageRow(f"{how} in {seconds:g} s", f"{how}.mp4", (*inputs, "-filter_complex", film, *X264), checks)


def _two(film: str, first: str = "{juggle}", second: str = "{log_sit}", seconds: float = 2.0) -> tuple[str, ...]:
    length = ("-t", str(seconds), "-i")
    return (*length, first, *length, second, "-filter_complex", film, *X264)


def _of(clip: str, film: str, seconds: float = 2.0, begin: float = 0.0) -> tuple[str, ...]:
    return ("-ss", str(begin), "-t", str(seconds), "-i", clip, "-vf", film, *X264)


def _spoiled_packets(data: bytes) -> bytes:
    """Every 20000th byte is another one, after the head of the file."""
    hurt = bytearray(data)
    for at in range(30_000, len(data), 20_000):
        hurt[at] ^= 0xFF
    return bytes(hurt)


def _halved(data: bytes) -> bytes:
    return data[: len(data) // 2]


CHANGES = (
    _change("pixelize", 0.8, "{log_sit}", "{juggle}"),
    _change("circleclose", 0.7, "{squats}", "{juggle}"),
    _change("hlslice", 0.9, "{juggle}", "{log_sit}"),
    _change("wipeleft", 1.2, "{squats}", "{log_sit}", TALL),
    _change("radial", 0.8, "{juggle}", "{squats}"),
    _change("fadeblack", 0.4, "{squats}", "{log_sit}", TALL),
    _change("hblur", 0.6, "{log_sit}", "{juggle}"),
    _change("zoomin", 0.7, "{juggle}", "{log_sit}"),
    _change("rectcrop", 1.0, "{log_sit}", "{squats}", TALL),
    _change("squeezev", 0.5, "{juggle}", "{log_sit}"),
    _change("smoothup", 0.6, "{log_sit}", "{squats}", TALL),
    _change("diagtl", 1.0, "{juggle}", "{log_sit}"),
    FootageRow(
        "jump cut on a tripod at 8 frames a second",
        "jump8.mp4",
        ("-i", "{log_sit}", "-vf", "fps=8,select='lt(n,14)+between(n,36,49)',setpts=N/8/TB", *X264),
        (says("a cut"), lies_in((0.0, 1.75), (1.75, 3.5))),
    ),
)
IN_ONE = (
    FootageRow(
        "three films side by side",
        "three.mp4",
        _two(f"[0:v]crop=405:720,scale=216:384,{FPS},split[a][b];[1:v]scale=216:384,{FPS}[c];[a][c][b]hstack=inputs=3"),
        refused="split",
    ),
    FootageRow(
        "one above the other, a bar between",
        "bar.mp4",
        _two(
            f"[0:v]scale=640:360,{FPS},pad=640:372:0:0:white[a];[1:v]crop=486:274:0:300,scale=640:360,{FPS}[b];"
            "[a][b]vstack"
        ),
        refused="split",
    ),
    FootageRow(
        "lower half mirrors the upper",
        "lake.mp4",
        _of("{juggle}", "scale=640:-2,crop=640:180:0:120,split[a][b];[b]vflip[c];[a][c]vstack"),
        refused="mirror",
    ),
    FootageRow(
        "sides that mirror the picture",
        "mirrors.mp4",
        _of(
            "{juggle}",
            "scale=640:360,crop=360:360,split=3[a][b][c];[b]hflip,crop=140:360:220:0[l]"
            ";[c]hflip,crop=140:360:0:0[r];[l][a][r]hstack=inputs=3",
        ),
        (shape(1), says("mirror images")),
    ),
    FootageRow(
        "above and below that mirror the picture, coarse",
        "mirrored_tall.mp4",
        (
            *_of(
                "{beam_pan}",
                "scale=432:-2,crop=432:432:0:160,split=3[a][b][c];[b]vflip,crop=432:168:0:264[t]"
                ";[c]vflip,crop=432:168:0:0[l];[t][a][l]vstack=inputs=3",
            )[:-5],
            *("-crf", "33", "-pix_fmt", "yuv420p", "-an"),
        ),
        (shape(1), says("mirror images")),
    ),
    FootageRow(
        "letterbox in a pillarbox, noisy",
        "boxes.mp4",
        _of("{juggle}", "scale=480:270,pad=480:360:0:45,pad=640:360:80:0,noise=alls=6:allf=t"),
        (shape(16 / 9), says("Borders")),
    ),
)


def _even(s: FootageResult) -> list[str]:
    return says_no("incomplete", "damaged", "a cut", "cuts", "change of scene")(s)


FILES = (
    FootageRow(
        "stands still at its end",
        "freeze_end.mp4",
        _of("{beam_pan}", "scale=360:-2,tpad=stop_mode=clone:stop_duration=1.4", 1.0),
        (lies_in((0.0, 1.0)), says("stands still"), _even),
    ),
    FootageRow(
        "stands still at its beginning, then at its end, coarse",
        "freeze_both.mp4",
        (
            *_of("{log_sit}", "tpad=start_mode=clone:start_duration=0.8:stop_mode=clone:stop_duration=0.8")[:-5],
            *("-crf", "34", "-pix_fmt", "yuv420p", "-an"),
        ),
        (lies_in((0.8, 2.8)), says("stands still"), _even),
    ),
    FootageRow(
        "telecine",
        "telecine.mp4",
        (*JUGGLE, "-vf", "scale=640:-2,telecine=pattern=23", *X264, "-flags", "+ilme+ildct"),
        (combs, _even, lasts(3.0)),
    ),
    FootageRow(
        "interlaced, not said",
        "lines.mp4",
        _of("{beam_pan}", "scale=-2:640,tinterlace=interleave_top,setfield=prog"),
        (combs, _even),
    ),
    FootageRow(
        "odd size, cropped by a pixel",
        "odd.mkv",
        (*_of("{juggle}", "scale=856:482,crop=853:479:1:1")[:-5], "-crf", "20", "-pix_fmt", "yuv444p", "-an"),
        (shape(853 / 479), _even, lasts(1.96)),
    ),
    FootageRow(
        "turned, with non-square pixels",
        "both.mp4",
        (
            *("-t", "2", "-i", "{juggle}", "-vf", "scale=960:720,setsar=4/3", *X264),
            *("-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"),
        ),
        (shape(9 / 16), _even),
    ),
    FootageRow(
        "time stamps below zero, B-frames",
        "below.mp4",
        (
            *("-t", "3", "-i", "{log_sit}", *X264, "-bf", "3", "-output_ts_offset", "-1.3"),
            *("-avoid_negative_ts", "disabled", "-use_editlist", "0"),
        ),
        (lasts(2.97), _even),
    ),
    FootageRow(
        "edit list, B-frames",
        "edited.mp4",
        ("-ss", "2.35", "-i", "{juggle}", "-t", "2.5", "-c", "copy"),
        (lasts(2.5), _even),
    ),
    FootageRow(
        "fragments, half of them",
        "half.mp4",
        (*JUGGLE, *X264, "-g", "12", "-movflags", "frag_keyframe+empty_moov"),
        (lasts(1.5, 0.5),),
        spoil=_halved,
    ),
    FootageRow("spoiled packets", "packets.mkv", filtered("scale=640:-2"), refused="damaged", spoil=_spoiled_packets),
    FootageRow(
        "sound that goes on",
        "sound.mp4",
        (*JUGGLE, "-f", "lavfi", "-i", "sine=duration=8", *X264[:-1], "-c:a", "aac"),
        (lasts(2.96), _even),
    ),
    FootageRow(
        "HDR (PQ)",
        "pq.mov",
        (
            *("-t", "1", "-i", "{juggle}", "-vf"),
            "zscale=matrixin=709:transferin=709:primariesin=709:rangein=limited:transfer=smpte2084:matrix=2020_ncl"
            ":primaries=2020:range=limited:npl=200,format=yuv420p10le",
            *("-c:v", "libx265", "-x265-params", "log-level=none", "-preset", "fast", "-tag:v", "hvc1", "-an"),
        ),
        (_even, lasts(0.96)),
    ),
)
READ_EDITS = (*CHANGES, *IN_ONE, *FILES)

CAPTIONS = "drawbox=30:40:300:12:white:fill,drawbox=60:58:180:12:white:fill," + ",".join(
    f"drawbox={30 + 26 * k}:{840 + 30 * j}:{10 + 4 * (k % 3)}:16:yellow:fill" for k in range(17) for j in (0, 1)
)
FAINT = ",".join(f"drawbox={380 + 28 * k}:{30 + 12 * k}:22:{60 - 9 * k}:white@0.4:fill" for k in range(4))
FAINT += ",drawbox=380:100:110:10:white@0.4:fill"
BOUNCE = "drawtext=text='@somebody':fontsize=34:fontcolor=white@0.8:x='abs(mod(160*t,600)-300)':y='400+200*sin(3*t)'"
ROUND = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*clip(({r}-hypot(X-{c},Y-{c}))/{soft},0,1)'"
ONE, STILL = shows(1), (shows(1), camera("static"))
BOTH = shows(2)  # of beam_pan: the man on the beam, and another behind him


def _run(name: str, file: str, make: tuple[str, ...], *checks: Check, refused: str = "") -> FootageRow:
    return FootageRow(name, file, make, checks, refused, run=True)


RUN_EDITS = (
    _run(
        "two captions",
        "captions.mp4",
        _of("{beam_pan}", CAPTIONS),
        says("stays in the image"),
        BOTH,
        camera("rotating"),
    ),
    _run("faint logo", "faint.mp4", _of("{beam_pan}", FAINT), BOTH, camera("rotating")),
    _run("bouncing name", "bounce.mp4", _of("{beam_pan}", BOUNCE), BOTH, camera("rotating")),
    _run(
        "phone with round corners",
        "phone.mp4",
        _two(
            "[0:v]crop=405:720,scale=300:534,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)'"
            ":a='255*lt(hypot(max(abs(X-150)-120,0),max(abs(Y-267)-237,0)),30)'[a];"
            f"[1:v]scale=640:-2,crop=640:640,lutyuv=y=200:u=128:v=128,{FPS}[b];[b][a]overlay=170:50"
        ),
        *STILL,
    ),
    _run(
        "film in the lower corner, with a border",
        "pip.mp4",
        _two(f"[0:v]{WIDE}[a];[1:v]scale=126:-2,pad=iw+6:ih+6:3:3:white,{FPS}[b];[a][b]overlay=14:H-h-14"),
        ONE,
        says("smaller picture"),
    ),
    _run(
        "round film in the corner",
        "round.mp4",
        _two(
            f"[0:v]{WIDE}[a];[1:v]crop=400:400:86:250,scale=150:150,fps=25,settb=1/25,"
            f"{ROUND.format(r=74, c=75, soft=1)}[b];[a][b]overlay=480:10"
        ),
        ONE,
    ),
    _run(
        "soft film in the corner",
        "soft_corner.mp4",
        _two(
            f"[0:v]{WIDE}[a];[1:v]crop=400:400:86:250,scale=150:150,fps=25,settb=1/25,"
            f"{ROUND.format(r=74, c=75, soft=16)}[b];[a][b]overlay=10:200"
        ),
        ONE,
    ),
    _run("speed ramp", "ramp.mp4", _of("{log_sit}", "setpts='PTS/(1+0.5*T)',fps=30", 8.0), says("sped up")),
    _run("backwards", "backwards.mp4", _of("{log_sit}", "reverse"), ONE, is_below("camera_path_m", 0.5)),
    _run(
        "smeared time lapse", "lapse.mp4", _of("{log_sit}", "tmix=frames=6,setpts=PTS/6,fps=30", 8.4), says("sped up")
    ),
    _run("held for half a second", "held.mp4", _of("{juggle}", "loop=12:1:24,setpts=N/24/TB"), *STILL),
    _run(
        "every fifth frame missing, not said",
        "missing.mp4",
        _of("{juggle}", "select='mod(n,5)',setpts=N/24/TB"),
        *STILL,
    ),
    _run("very dark and gray", "night.mp4", _of("{juggle}", "eq=contrast=0.25:brightness=-0.36,hue=s=0.2"), *STILL),
    _run("grain", "grain.mp4", _of("{log_sit}", "noise=c0s=34:c0f=t+u"), ONE, is_below("camera_path_m", 0.5)),
    _run("out of focus", "focus.mp4", _of("{juggle}", "gblur=sigma=8"), *STILL),
    _run(
        "rolls by 5 degrees",
        "roll.mp4",
        _of("{juggle}", "rotate=0.087*sin(2.5*t),crop=1100:600"),
        ONE,
        camera("rotating"),
    ),
    _run(
        "zooms out",
        "out.mp4",
        _of("{juggle}", "zoompan=z='1.5-0.5*on/48':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=960x540:fps=24"),
        ONE,
        says("zooms"),
        is_below("camera_path_m", 0.01),
    ),
    _run(
        "zooms in and out",
        "inout.mp4",
        _of(
            "{log_sit}",
            "zoompan=z='1.2-0.2*cos(6.28*on/60)':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=486x864:fps=30",
        ),
        ONE,
        says("zooms"),
        is_below("camera_path_m", 0.01),
    ),
    _run(
        "pans over a photo",
        "photo.mp4",
        (
            *("-i", "{still}", "-vf", "zoompan=z=1.3:x='(iw-iw/zoom)*on/60':y='(ih-ih/zoom)/2':d=60:s=960x540:fps=30"),
            *X264,
        ),
        says("still picture"),
    ),
    _run(
        "cut off at the waist",
        "torso.mp4",
        _of("{log_sit}", "crop=486:300:0:250", 2.0, 5.0),
        says("no feet"),
        is_unknown("foot_slide_mm"),
        doubted,
    ),
    _run("cut off at the head", "headless.mp4", _of("{juggle}", "crop=1080:480:100:240"), doubted),
    _run("mirrored, 60 frames a second", "mirror.mp4", _of("{beam_pan}", "hflip"), BOTH, camera("rotating")),
    _run("upside down, turning", "upside.mp4", _of("{beam_pan}", "hflip,vflip"), says("upside")),
    _run(
        "strong barrel",
        "barrel.mp4",
        _of("{beam_pan}", "lenscorrection=k1=0.3:k2=0.1"),
        BOTH,
        camera("rotating"),
        doubted,
    ),
    _run(
        "strong pincushion",
        "pincushion.mp4",
        _of("{beam_pan}", "lenscorrection=k1=-0.25:k2=-0.05"),
        BOTH,
        camera("rotating"),
        doubted,
    ),
)
