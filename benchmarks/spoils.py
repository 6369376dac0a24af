"""The ways in which benchmarks.spoiled spoils a clip: commands of ffmpeg, in which {plain} is the clip.

{other} is another film, of somebody who does squats. All times are made for a clip of 2.4 s, 640 px wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

X264 = ("-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-an")
UPRIGHT = ("-bsf:v", "h264_metadata=display_orientation=insert:rotate=90")
SAME = "fps=30,settb=1/30,setsar=1,format=yuv420p"


@dataclass(frozen=True)
class Spoil:
    """One way, what it does to the numbers, and by which words of a note it is told."""

    name: str
    make: tuple[str, ...]
    file: str = ""
    closer: float = 1.0  # the focal over the longer side, times that of the clip as it was
    rate: float = 1.0  # seconds of the clip in a second of the version
    said: tuple[str, ...] = ()
    damage: Callable[[bytes], bytes] | None = None  # what happens to the file in the end


def _f(name: str, film: str, *said: str, closer: float = 1.0, rate: float = 1.0) -> Spoil:
    return Spoil(name, ("-i", "{plain}", "-vf", film, *X264), "", closer, rate, said)


def _c(name: str, graph: str, *said: str, closer: float = 1.0) -> Spoil:
    """With another film."""
    return Spoil(
        name, ("-i", "{plain}", "-t", "2.4", "-i", "{other}", "-filter_complex", graph, *X264), "", closer, 1.0, said
    )


BLOCKS = ",".join(f"drawbox=x={40 + 34 * k}:y=322:w={14 + 5 * (k % 3)}:h=16:c=white:t=fill" for k in range(16))
TICKER = "drawbox=0:330:iw:30:navy:fill," + ",".join(
    f"drawbox=x='mod({60 * k}-120*t+640,640)':y=338:w={20 + 7 * (k % 3)}:h=14:c=white:t=fill" for k in range(10)
)
SUBTITLES = ",".join(
    f"drawbox=x={170 + 30 * k}:y={300 + 22 * j}:w={14 + 6 * (k % 3)}:h=12:c=white:t=fill"
    f":enable='between(mod(t+{j}*0.4,1.2),0.1,1.0)'"
    for k in range(10)
    for j in (0, 1)
)
WATERMARKS = ",".join(
    f"drawbox=x={80 + 160 * i}:y={60 + 110 * j}:w={w}:h={h}:c=white@0.3:t=fill"
    for i in range(3)
    for j in range(3)
    for w, h in ((90, 10), (10, 40))
)
UI = "scale=480:-2,pad=640:400:80:50:0x303338,drawbox=0:0:640:40:0x202124:fill,drawbox=10:12:120:16:white:fill"
UI += ",drawbox=12:60:50:10:gray:fill,drawbox=12:90:44:10:gray:fill,drawbox=12:120:54:10:gray:fill"
ROLL = "rotate=0.05*sin(2*PI*1.7*t)+0.02*sin(2*PI*5*t),crop=540:300"
SHIFT = "crop=580:320:x='30+12*sin(2*PI*2.3*t)':y='20+10*cos(2*PI*3.1*t)'"  # no turning lens does that
CIRCLE = "color=red:s=90x90:d=3,format=rgba,geq=r='255*gt(mod(X+Y,20),9)':g=30:b=60:a='255*lt(hypot(X-45,Y-45),44)'"

OVERLAYS = (
    _c("round logo", f"{CIRCLE}[l];[0:v][l]overlay=530:20:shortest=1", "stays in the image"),
    _f("ticker that moves", TICKER),
    _f("watermarks, half transparent", WATERMARKS, "stays in the image"),
    _f("progress bar", "drawbox=0:350:'iw*t/2.4':10:red:fill"),
    _f("subtitles that change", SUBTITLES),
    _f("captions that stay", BLOCKS, "stays in the image"),
    _f("bands above and below", "drawbox=0:0:iw:46:black:fill,drawbox=0:314:iw:46:black:fill", "Borders"),
    _f("screen recording", UI, "Borders", "stays in the image"),
    _c(
        "small film in the corner",
        f"[0:v]{SAME}[a];[1:v]scale=112:200,{SAME}[b];[a][b]overlay=510:10",
        "smaller picture",
    ),
    _c(
        "small round film in the corner",
        f"[0:v]{SAME}[a];[1:v]scale=112:200,crop=110:110,fps=30,settb=1/30,format=rgba,"
        "geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lt(hypot(X-55,Y-55),54)'[b];[a][b]overlay=510:10",
        "smaller picture",
    ),
    _f(
        "upright, between blurred copies",
        "split[a][b];[a]scale=-2:640,crop=360:640,boxblur=20[c];[b]scale=360:-2[d];[c][d]overlay=0:218",
    ),
    _f("mirrored halves", "crop=iw/2:ih:0:0,split[a][b];[b]hflip[c];[a][c]hstack", "split"),
    _c("split screen", f"[0:v]crop=320:360,{SAME}[a];[1:v]scale=320:-2,crop=320:360,{SAME}[b];[a][b]hstack", "split"),
)
CUTS = (
    _c(
        "wipe to another film",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=wipeleft:0.4:1.6",
    ),
    _c(
        "slide to another film",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=slideup:0.4:1.6",
    ),
    _c(
        "fade through white",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=fadewhite:0.5:1.5",
    ),
    _c(
        "fade through black",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=fadeblack:0.5:1.5",
    ),
    _f("out of black and into white", "fade=in:0:10,fade=out:62:10:c=white"),
    _f("frames left out, without time stamps", "select='not(between(n,36,50))',setpts=N/30/TB"),
    _f("frames missing, with time stamps", "select='not(between(n,30,36))*not(between(n,50,52))'"),
    _f("stills, one after the other", "fps=2,fps=30", "another pace", "faster"),
)
SHAPES = (
    _f(
        "zoom and drift",
        "zoompan=z='1.05+0.3*on/72':x='(iw-iw/zoom)*on/72':y='(ih-ih/zoom)/2':d=1:s=640x360:fps=30",
        "zooms",
    ),
    _f("pixels of 4:3, said", "scale=640:480,setsar=4/3"),
    _f("squeezed to 4:3, not said", "scale=480:360,setsar=1"),
    _f("square", "crop=360:360", closer=640 / 360),
    _f("very wide", "crop=640:180:0:150"),
    Spoil(
        "turned, said in the file",
        ("-i", "{plain}", "-vf", "transpose=1", *X264, *UPRIGHT),
        "turned.mp4",
    ),
    _f("tilted by 8 degrees", "rotate=0.14,crop=520:292", closer=640 / 520),
    _f("mirrored", "hflip"),
    _f("160 px", "scale=160:-2"),
    _f("fisheye", "lenscorrection=k1=0.25:k2=0.05", "lens"),
    _f("feet out of the picture", "crop=480:270:80:20", "no feet", closer=640 / 480),
    _f("upper bodies", "crop=320:180:160:90", "no feet", closer=2.0),
    _f("hand shake that rolls", ROLL, closer=640 / 540),
    _f("picture shifted, as by a stabiliser", SHIFT, closer=640 / 580),
)
TIMES = (
    _f("8 frames a second", "fps=8"),
    _f("240 frames a second", "fps=240"),
    _f("doubled frames", "fps=60"),
    _f("twice as fast", "setpts=0.5*PTS", "sped up", rate=2.0),
    _f("time lapse", "setpts=0.25*PTS", "sped up", rate=4.0),
    _f("slow motion", "setpts=4*PTS,fps=30", "slow motion", rate=0.25),
    _f("slow motion, in between made up", "setpts=3*PTS,minterpolate=fps=30", "slow motion", rate=1 / 3),
    _f("ghosts of other frames", "tmix=frames=5"),
    _f("reversed", "reverse"),
    Spoil("starts at 100 s", ("-i", "{plain}", "-c", "copy", "-output_ts_offset", "100"), "late.mkv"),
    Spoil("edit list", ("-ss", "0.5", "-i", "{plain}", "-c", "copy"), "edit.mp4"),
)
COLOURS = (
    _f("gray", "format=gray,format=yuv420p"),
    _f("negative", "negate"),
    _f("full range, not said", "scale=out_range=full"),
    _f("dark", "eq=contrast=0.4:brightness=-0.3"),
    _f("strong blur", "gblur=sigma=3"),
    _f("noise", "noise=alls=50:allf=t"),
    _f("few colours", "lutyuv=y='floor(val/40)*40'"),
    Spoil("tagged as PQ", ("-i", "{plain}", *X264, "-color_trc", "smpte2084", "-color_primaries", "bt2020"), "pq.mp4"),
    Spoil("hardly any bits", ("-i", "{plain}", *X264[:2], "-crf", "40", *X264[4:]), "coarse.mp4"),
    Spoil(
        "interlaced, upper field first",
        ("-i", "{plain}", "-vf", "fps=60,tinterlace=interleave_top,setfield=tff", *X264, "-flags", "+ilme+ildct"),
        "tff.mp4",
    ),
    Spoil(
        "interlaced, lower field first",
        (
            "-i",
            "{plain}",
            "-vf",
            "minterpolate=fps=60,tinterlace=interleave_bottom,setfield=bff",
            *X264,
            "-flags",
            "+ilme+ildct",
        ),
        "bff.mp4",
    ),
    _f("interlaced, not said", "minterpolate=fps=60,tinterlace=interleave_top,setfield=prog"),
)
FILES = (
    Spoil("sound only", ("-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac"), "sound.mp4"),
    Spoil("no frames", ("-i", "{plain}", "-vf", "select=0", *X264), "none.mkv"),
    Spoil("by another name", ("-i", "{plain}", *X264, "-f", "matroska"), "film.txt"),
    Spoil("ends early", ("-i", "{plain}", *X264), "cut.ts", damage=lambda data: data[: 2 * len(data) // 3]),
    Spoil("ends early, MP4", ("-i", "{plain}", *X264), "cut.mp4", damage=lambda data: data[: len(data) // 2]),
    Spoil(
        "two films, the small one first",
        ("-i", "{plain}", "-map", "0:v", "-map", "0:v", "-s:v:0", "160x90", *X264),
        "two.mp4",
    ),
)
SPOILS = (*OVERLAYS, *CUTS, *SHAPES, *TIMES, *COLOURS, *FILES)
