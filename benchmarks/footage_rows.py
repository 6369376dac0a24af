"""The footage table: inputs as people really have them, made from the examples' clips, and what is right for each."""

from __future__ import annotations

from benchmarks.footage_checks import (
    FootageRow,
    camera,
    is_below,
    is_unknown,
    lasts,
    says,
    says_no,
    shape,
    shows,
)

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


def filtered(film: str, *more: str) -> tuple[str, ...]:
    return (*JUGGLE, "-vf", film, *(more or X264))


def coded(*codec: str) -> tuple[str, ...]:
    return (*JUGGLE, "-an", *codec)


READ = (
    FootageRow("non-square pixels", "sar43.mp4", filtered("scale=960:720,setsar=4/3"), THREE),
    FootageRow("letterbox", "letterbox.mp4", filtered("pad=1280:960:0:120"), (*THREE, says("Borders"))),
    FootageRow("pillarbox", "pillarbox.mp4", filtered("scale=640:360,pad=960:360:160:0"), (*THREE, says("Borders"))),
    FootageRow(
        "turned by its metadata", "turned.mp4", ("-display_rotation", "90", *JUGGLE, "-c", "copy"), (shape(9 / 16),)
    ),
    FootageRow(
        "edit list",
        "edit.mp4",
        ("-ss", "7", "-i", "{juggle}", "-t", "3", "-c", "copy"),
        (lasts(3.0), says_no("incomplete")),
    ),
    FootageRow(
        "first time stamp 3600 s", "hour.mkv", (*JUGGLE, "-c", "copy", "-output_ts_offset", "3600"), (lasts(3.0, 0.25),)
    ),
    FootageRow("colon in the name", "12:30 walk.mp4", coded("-c", "copy"), (lasts(3.0, 0.25),)),
    FootageRow("percent and quotes in the name", "50% 'a' [b].mp4", coded("-c", "copy"), (lasts(3.0, 0.25),)),
    FootageRow("AVCHD", "film.mts", coded("-c:v", "libx264", "-f", "mpegts", "-mpegts_m2ts_mode", "1"), THREE),
    FootageRow("MPEG-TS", "film.ts", coded("-c:v", "libx264"), THREE),
    FootageRow("MXF", "film.mxf", filtered("fps=25", "-c:v", "mpeg2video", "-q:v", "3", "-an"), (lasts(3.0),)),
    FootageRow("DV", "film.dv", filtered("fps=25,scale=720:576,setsar=64/45", "-target", "pal-dv", "-an"), THREE),
    FootageRow("YUV4MPEG", "film.y4m", filtered("scale=320:180", "-pix_fmt", "yuv420p"), THREE),
    FootageRow("ProRes", "film.mov", coded("-c:v", "prores_ks"), THREE),
    FootageRow("VP9 without duration", "film.webm", coded("-c:v", "libvpx-vp9", "-cpu-used", "8", "-live", "1"), THREE),
    FootageRow(
        "HEVC, 10 bits",
        "hevc.mp4",
        coded("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "fast", "-x265-params", "log-level=none"),
        THREE,
    ),
    FootageRow("fragmented", "parts.mp4", (*JUGGLE, *X264, "-movflags", "frag_keyframe+empty_moov"), THREE),
    FootageRow("AVI, MPEG-4", "film.avi", coded("-c:v", "mpeg4", "-q:v", "3"), THREE),
    FootageRow("Flash", "film.flv", coded("-c:v", "flv1", "-q:v", "3"), THREE),
    FootageRow("GIF", "film.gif", filtered("fps=12.5,scale=320:-2", "-an"), (shape(16 / 9), lasts(2.92))),
    FootageRow(
        "cover picture first",
        "cover.mkv",
        (*JUGGLE, "-i", "{still}", "-map", "1:v", "-map", "0:v", "-c:v:0", "mjpeg", "-c:v:1", "libx264", "-an"),
        (lasts(3.0, 0.25),),
    ),
    FootageRow("dissolve", "dissolve.mp4", _faded("fade"), (says("change of scene"), lasts(2.1, 0.35))),
    FootageRow("slide", "slide.mp4", _faded("slideleft"), (says("change of scene"), lasts(2.1, 0.35))),
    FootageRow("wipe", "wipe.mp4", _faded("wiperight", CROPPED), (says("change of scene"), lasts(2.1, 0.35))),
    FootageRow("soft wipe", "soft.mp4", _faded("smoothleft", CROPPED), (says("change of scene"), lasts(2.1, 0.5))),
    FootageRow("iris", "iris.mp4", _faded("circleopen", CROPPED), (says("change of scene"), lasts(2.1, 0.5))),
    FootageRow("fade through black", "black.mp4", _faded("fadeblack"), (says("change of scene"), lasts(2.1, 0.4))),
    FootageRow(
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
    FootageRow(
        "split screen",
        "split.mp4",
        (
            *("-t", "2", "-i", "{juggle}", "-t", "2", "-i", "{squats}", "-filter_complex"),
            f"[0:v]crop=640:720,scale=480:540,{SAME}[a];[1:v]crop=720:810,scale=480:540,{SAME}[b];[a][b]hstack",
            *X264,
        ),
        refused="split",
    ),
    FootageRow(
        "split screen, one above the other",
        "above.mp4",
        (
            *("-t", "2", "-i", "{juggle}", "-t", "2", "-i", "{log_sit}", "-filter_complex"),
            f"[0:v]scale=960:540,{SAME}[a];[1:v]crop=486:274:0:300,scale=960:540,{SAME}[b];[a][b]vstack",
            *X264,
        ),
        refused="split",
    ),
    FootageRow("no motion at all", "still.mp4", ("-loop", "1", "-t", "2", "-i", "{still}", *X264), (lasts(1.96, 0.1),)),
    FootageRow(
        "only sound",
        "sound.mp4",
        ("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac"),
        refused="sound",
    ),
)

SHAKE = "crop=1200:675:x='40+20*sin(2*PI*9*t)':y='22+14*cos(2*PI*7*t)'"
LEAVE = "crop=480:720:x='400-396*clip(min(t-0.9,3.2-t)/0.6,0,1)'"  # the camera turns away from 1.5 to 2.6 s
RUN = (
    FootageRow(
        "as it is",
        "plain.mp4",
        (*JUGGLE, *X264),
        (*THREE, shows(1), camera("static"), is_below("jitter", 15)),
        run=True,
    ),
    FootageRow(
        "feet out of the picture",
        "waist.mp4",
        filtered("crop=720:405:320:60"),
        (shows(1), says("no feet"), is_unknown("foot_slide_mm"), is_unknown("floating_cm")),
        run=True,
    ),
    FootageRow(
        "zoom on a tripod",
        "zoom.mp4",
        filtered("zoompan=z='1+0.5*on/72':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=1280x720:fps=24"),
        (shows(1), says("zooms"), is_below("camera_path_m", 0.01)),
        run=True,
    ),
    FootageRow("jolting camera", "jolt.mp4", filtered(SHAKE), (shows(1), is_below("camera_path_m", 0.5)), run=True),
    FootageRow(
        "uneven time stamps",
        "uneven.mp4",
        filtered("select='mod(n,3)'", "-fps_mode", "vfr", *X264),
        (lasts(2.9), shows(1), is_below("jitter", 15)),
        run=True,
    ),
    FootageRow("ten frames a second", "ten.mp4", filtered("fps=10"), (shows(1), is_below("jitter", 15)), run=True),
    FootageRow(
        "leaves and comes back",
        "back.mp4",
        ("-t", "4.2", "-i", "{juggle}", "-vf", LEAVE, *X264),
        (shows(1),),
        run=True,
    ),
    FootageRow(
        "logo over a turning camera",
        "logo.mp4",
        ("-i", "{beam_pan}", "-vf", MARKS, *X264),
        (says("stays in the image"), camera("rotating")),
        run=True,
    ),
    FootageRow(
        "sped up",
        "fast.mp4",
        ("-t", "4", "-i", "{log_sit}", "-vf", "setpts=PTS/5,fps=30", *X264),
        (says("sped up"),),
        run=True,
    ),
)
