"""The ways in which benchmarks.spoiled spoils a clip: commands of ffmpeg, in which {plain} is the clip.

{other} is another film, of somebody who does squats. All times are made for a clip of 2.4 s, 640 px wide.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from josh_core.types import Float

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
    order: Callable[[Float], Float] | None = None  # s of the clip shown at times of the version; None: by the rate

    def when(self, times: Float) -> Float:
        """Times [n] s of the clip that are shown at times [n] s of the version."""
        return self.rate * times if self.order is None else self.order(times)


def filtered(name: str, film: str, *said: str, closer: float = 1.0, rate: float = 1.0) -> Spoil:
    return Spoil(name, ("-i", "{plain}", "-vf", film, *X264), "", closer, rate, said)


def with_other(name: str, graph: str, *said: str, closer: float = 1.0) -> Spoil:
    """With another film."""
    return Spoil(
        name, ("-i", "{plain}", "-t", "2.4", "-i", "{other}", "-filter_complex", graph, *X264), "", closer, 1.0, said
    )


def drawn_over(
    name: str, graph: str, *said: str, closer: float = 1.0, order: Callable[[Float], Float] | None = None
) -> Spoil:
    """With what a graph draws itself, such as boxes that move: ffmpeg's drawbox stands still."""
    make = ("-i", "{plain}", "-filter_complex", graph, *X264)
    return Spoil(name, make, closer=closer, said=said, order=order)


BLOCKS = ",".join(f"drawbox=x={40 + 34 * k}:y=322:w={14 + 5 * (k % 3)}:h=16:c=white:t=fill" for k in range(16))
TICKER = (
    "color=navy:s=640x30:r=30:d=2.4[n];color=navy:s=940x30:r=30:d=2.4,"
    + ",".join(f"drawbox=x={60 * k}:y=8:w={20 + 7 * (k % 3)}:h=14:c=white:t=fill" for k in range(16))
    + "[t];[0:v][n]overlay=0:330:shortest=1[b];[b][t]overlay='-120*t':330:shortest=1"
)
PROGRESS = "color=red:s=640x10:r=30:d=2.4[p];[0:v][p]overlay='-640+640*t/2.4':350:shortest=1"
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
    with_other("round logo", f"{CIRCLE}[l];[0:v][l]overlay=530:20:shortest=1", "stays in the image"),
    drawn_over("ticker that moves", TICKER),
    filtered("watermarks, half transparent", WATERMARKS, "stays in the image"),
    drawn_over("progress bar", PROGRESS),
    filtered("subtitles that change", SUBTITLES),
    filtered("captions that stay", BLOCKS, "stays in the image"),
    filtered("bands above and below", "drawbox=0:0:iw:46:black:fill,drawbox=0:314:iw:46:black:fill", "Borders"),
    filtered("screen recording", UI, "Borders", "stays in the image"),
    with_other(
        "small film in the corner",
        f"[0:v]{SAME}[a];[1:v]scale=112:200,{SAME}[b];[a][b]overlay=510:10",
        "smaller picture",
    ),
    with_other(
        "small round film in the corner",
        f"[0:v]{SAME}[a];[1:v]scale=112:200,crop=110:110,fps=30,settb=1/30,format=rgba,"
        "geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lt(hypot(X-55,Y-55),54)'[b];[a][b]overlay=510:10",
        "smaller picture",
    ),
    filtered(
        "upright, between blurred copies",
        "split[a][b];[a]scale=-2:640,crop=360:640,boxblur=20[c];[b]scale=360:-2[d];[c][d]overlay=0:218",
    ),
    filtered("mirrored halves", "crop=iw/2:ih:0:0,split[a][b];[b]hflip[c];[a][c]hstack", "split"),
    with_other(
        "split screen", f"[0:v]crop=320:360,{SAME}[a];[1:v]scale=320:-2,crop=320:360,{SAME}[b];[a][b]hstack", "split"
    ),
)
CUTS = (
    with_other(
        "wipe to another film",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=wipeleft:0.4:1.6",
    ),
    with_other(
        "slide to another film",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=slideup:0.4:1.6",
    ),
    with_other(
        "fade through white",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=fadewhite:0.5:1.5",
    ),
    with_other(
        "fade through black",
        f"[0:v]{SAME}[a];[1:v]trim=0:1.2,scale=640:-2,crop=640:360,{SAME}[b];[a][b]xfade=fadeblack:0.5:1.5",
    ),
    filtered("out of black and into white", "fade=in:0:10,fade=out:62:10:c=white"),
    filtered("frames left out, without time stamps", "select='not(between(n,36,50))',setpts=N/30/TB"),
    filtered("frames missing, with time stamps", "select='not(between(n,30,36))*not(between(n,50,52))'"),
    filtered("stills, one after the other", "fps=2,fps=30", "another pace", "faster"),
)
SHAPES = (
    filtered(
        "zoom and drift",
        "zoompan=z='1.05+0.3*on/72':x='(iw-iw/zoom)*on/72':y='(ih-ih/zoom)/2':d=1:s=640x360:fps=30",
        "zooms",
    ),
    filtered("pixels of 4:3, said", "scale=640:480,setsar=4/3"),
    filtered("squeezed to 4:3, not said", "scale=480:360,setsar=1"),
    filtered("square", "crop=360:360", closer=640 / 360),
    filtered("very wide", "crop=640:180:0:150"),
    Spoil(
        "turned, said in the file",
        ("-i", "{plain}", "-vf", "transpose=1", *X264, *UPRIGHT),
        "turned.mp4",
    ),
    filtered("tilted by 8 degrees", "rotate=0.14,crop=520:292", closer=640 / 520),
    filtered("mirrored", "hflip"),
    filtered("160 px", "scale=160:-2"),
    filtered("fisheye", "lenscorrection=k1=0.25:k2=0.05", "lens"),
    filtered("feet out of the picture", "crop=480:270:80:20", "no feet", closer=640 / 480),
    filtered("upper bodies", "crop=320:180:160:90", "no feet", closer=2.0),
    filtered("hand shake that rolls", ROLL, closer=640 / 540),
    filtered("picture shifted, as by a stabiliser", SHIFT, closer=640 / 580),
)
TIMES = (
    filtered("8 frames a second", "fps=8"),
    filtered("240 frames a second", "fps=240"),
    filtered("doubled frames", "fps=60"),
    filtered("twice as fast", "setpts=0.5*PTS", "sped up", rate=2.0),
    filtered("time lapse", "setpts=0.25*PTS", "sped up", rate=4.0),
    filtered("slow motion", "setpts=4*PTS,fps=30", "slow motion", rate=0.25),
    filtered("slow motion, in between made up", "setpts=3*PTS,minterpolate=fps=30", "slow motion", rate=1 / 3),
    filtered("ghosts of other frames", "tmix=frames=5"),
    Spoil("reversed", ("-i", "{plain}", "-vf", "reverse", *X264), order=lambda t: 2.4 - t),
    Spoil("starts at 100 s", ("-i", "{plain}", "-c", "copy", "-output_ts_offset", "100"), "late.mkv"),
    Spoil("edit list", ("-ss", "0.5", "-i", "{plain}", "-c", "copy"), "edit.mp4", order=lambda t: t + 0.5),
)
COLOURS = (
    filtered("gray", "format=gray,format=yuv420p"),
    filtered("negative", "negate"),
    filtered("full range, not said", "scale=out_range=full"),
    filtered("dark", "eq=contrast=0.4:brightness=-0.3"),
    filtered("strong blur", "gblur=sigma=3"),
    filtered("noise", "noise=alls=50:allf=t"),
    filtered("few colours", "lutyuv=y='floor(val/40)*40'"),
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
    filtered("interlaced, not said", "minterpolate=fps=60,tinterlace=interleave_top,setfield=prog"),
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
