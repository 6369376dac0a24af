"""Further ways in which benchmarks.spoiled spoils a clip: effects of apps and editors, weather, faults of cameras.

Written as those of benchmarks/spoils.py, for the same length and size.
"""

from __future__ import annotations

import numpy as np

from benchmarks.spoils import BLOCKS, SAME, drawn_over, filtered, with_other

CHANGING = "stays in the image"
FONT = "fontsize=26:fontcolor=white"


def moved_rows(shift: str) -> str:
    """Rows of the picture moved sideways, by an expression of Y (row) and T (s)."""
    return "format=gbrp,geq=" + ":".join(f"{c}='{c}(X+{shift},Y)'" for c in "rgb")


BARS = (
    "color=black:s=640x60:r=30:d=2.4,split[a][b];[0:v][a]overlay=0:'-60+60*clip((t-0.8)/0.6,0,1)':shortest=1[c];"
    "[c][b]overlay=0:'H-60*clip((t-0.8)/0.6,0,1)':shortest=1"
)
HEARTS = (
    "color=red:s=24x24:r=30:d=2.4,format=rgba,geq=r=230:g=40:b=80:a='255*lt(hypot(X-12,Y-12),11)',split=4"
    "[a][b][c][d];[0:v][a]overlay='560+14*sin(5*t)':'340-150*t':shortest=1[p];"
    "[p][b]overlay='585+12*sin(4*t+1)':'400-150*t':shortest=1[q];"
    "[q][c]overlay='570+16*sin(6*t+2)':'470-150*t':shortest=1[r];[r][d]overlay='580+9*sin(5*t)':'560-150*t':shortest=1"
)
BUTTONS = ",".join(f"drawbox=592:{80 + 52 * k}:34:34:white@0.8:fill" for k in range(5))
PLAYER = (
    "drawbox=0:320:iw:40:black@0.6:fill,drawbox=16:332:12:16:white:fill,drawbox=60:338:560:4:gray:fill[v];"
    "color=red:s=14x14:r=30:d=2.4[k];color=white:s=10x16:r=30:d=2.4[m];[v][k]overlay='60+200*t':333:shortest=1[w];"
    "[w][m]overlay='200+90*sin(2*t)':'150+60*cos(3*t)':shortest=1"
)
CABIN = "drawbox=0:300:iw:60:0x202020:fill,drawbox=0:0:iw:22:black@0.7:fill"
CABIN += f",drawtext=text='%{{pts\\:hms}} 47 km/h N51.5 W0.12':x=8:y=2:{FONT}:fontsize=18"
NOISY_TAPE = "scale=320:-2,scale=640:-2:flags=neighbor,rgbashift=rh=4:bh=-4,noise=alls=24:allf=t," + moved_rows(
    "if(gt(Y,344),30*sin(T*60+Y),1.6*sin(Y/7+T*40))"
)
SCREEN = (
    "drawgrid=w=4:h=4:t=1:c=black@0.12,pad=860:520:110:80:0x1a1a1e,"
    "perspective=x0=20:y0=14:x1=838:y1=0:x2=0:y2=520:x3=860:y3=506:sense=destination,"
    "crop=640:360:x='110+5*sin(3.1*t)':y='80+4*cos(4.3*t)'"
)
STEREO = "split[a][b];[a]crop=iw-8:ih:0:0,scale=320:360[c];[b]crop=iw-8:ih:8:0,scale=320:360[d];[c][d]hstack"
STEREO_FULL = "split[a][b];[a]crop=632:ih:0:0[c];[b]crop=632:ih:8:0[d];[c][d]hstack"
SNOW = (
    "color=black:s=640x1440:r=30:d=2.4,noise=c0s=100:c0f=u,format=gray,geq=lum='255*gt(lum(X,Y),49)',dilation,"
    "gblur=0.8,crop=640:360:0:'1080-420*t'[s];[s]split[m][n];[n]format=gray,geq=lum=255[w];[w][m]alphamerge[o];"
    "[0:v][o]overlay=shortest=1"
)
BREATHING = (
    "zoompan=z='1.04+0.03*sin(2*PI*on/24)':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=640x360:fps=30,split[a][b];"
    "[b]gblur=sigma=5[c];[a][c]blend=all_expr='A+(B-A)*(0.5+0.5*sin(2*PI*T/0.8))'"
)
STROBE = "eq=brightness='if(lt(mod(t*30,5),1),0.45,-0.25)':eval=frame"
EXPOSURE = "eq=brightness='0.28*gt(mod(t,0.8),0.4)':contrast='1+0.3*gt(mod(t,0.8),0.4)':eval=frame"
FLICKER = "format=yuv420p,geq=lum='clip(lum(X,Y)*(1+0.3*sin(2*PI*(2*Y/H+11*T))),0,255)':cb='cb(X,Y)':cr='cr(X,Y)'"
NIGHT = "hue=s=0,eq=contrast=1.6:brightness=0.08,colorchannelmixer=0.2:0:0:0:0:0.9:0:0:0:0:0.25,noise=alls=22:allf=t"
NIGHT += ",vignette=PI/3.2"
DIRT = ",".join(
    f"drawbox={x}:{y}:{w}:{w}:black@0.75:fill"
    for x, y, w in ((90, 60, 12), (300, 220, 9), (430, 80, 14), (520, 270, 10))
)

APPS = (
    drawn_over("bars that close", BARS, "Borders"),
    filtered("buttons and a caption of an app", f"{BUTTONS},{BLOCKS}", CHANGING),
    drawn_over("player with a mouse", f"[0:v]{PLAYER}", CHANGING),
    drawn_over("hearts that rise", HEARTS),
    with_other(
        "webcam with a name tag",
        f"[0:v]{SAME}[a];[1:v]crop=iw:ih*0.5:0:ih*0.2,scale=150:-2,crop=150:110,pad=154:132:2:2:0x303030,"
        f"drawtext=text='Ana (guest)':x=8:y=113:fontsize=14:fontcolor=white,{SAME}[b];[a][b]overlay=476:10",
        "smaller picture",
    ),
    filtered("timecode burnt in", f"drawtext=text='%{{pts\\:hms}}':x=(w-tw)/2:y=h-44:box=1:boxcolor=black:{FONT}"),
    filtered(
        "faces blurred",
        "split[a][b];[b]crop=iw:130:0:60,scale=40:-2,scale=640:130:flags=neighbor[c];[a][c]overlay=0:60",
    ),
    filtered("dashboard camera", CABIN),
    filtered("recording in a corner, blinking", "drawbox=20:20:16:16:red:fill:enable='lt(mod(t,1),0.5)'"),
)
EDITS = (
    drawn_over(
        "title card first",
        "color=navy:s=640x360:r=30:d=0.8,drawtext=text='My walk':x=200:y=150:fontsize=60:fontcolor=white,"
        f"{SAME}[t];[0:v]{SAME}[a];[t][a]concat",
        order=lambda t: t - 0.8,
    ),
    drawn_over(
        "countdown first",
        "color=gray:s=640x360:r=30:d=1.2,drawtext=text='%{eif\\:3-floor(t*2.5)\\:d}':x=290:y=110:fontsize=140:"
        f"fontcolor=black,{SAME}[t];[0:v]{SAME}[a];[t][a]concat",
        order=lambda t: t - 1.2,
    ),
    drawn_over(
        "punched in by 1.3",
        f"[0:v]split[a][b];[a]trim=0:1.4,{SAME}[c];[b]trim=1.4:2.4,setpts=PTS-STARTPTS,"
        f"crop=iw/1.3:ih/1.3,scale=640:360,{SAME}[d];[c][d]concat",
        "a cut",
    ),
    drawn_over(
        "punched in by 1.1",
        f"[0:v]split[a][b];[a]trim=0:1.4,{SAME}[c];[b]trim=1.4:2.4,setpts=PTS-STARTPTS,"
        f"crop=iw/1.1:ih/1.1,scale=640:360,{SAME}[d];[c][d]concat",
        "a cut",
    ),
    drawn_over(
        "boomerang",
        f"[0:v]trim=0:0.8,{SAME},split=3[a][b][c];[b]reverse[d];[a][d][c]concat=n=3",
        order=lambda t: 0.8 - np.abs(0.8 - t % 1.6),
    ),
    drawn_over(
        "loop with a soft seam",
        f"[0:v]{SAME},split[a][b];[b]trim=0:1.2,{SAME}[c];[a][c]xfade=fade:0.5:1.9,trim=0:3.1",
        "a seam",
        order=lambda t: np.where(t < 2.15, t, t - 1.9),
    ),
    drawn_over("loop", f"[0:v]trim=0:1.2,{SAME},split[a][b];[a][b]concat", order=lambda t: t % 1.2),
    filtered("turned over in the middle", "rotate=PI:enable='gt(t,1.3)'", "a cut", "upside"),
    filtered("rolls over slowly", "rotate='PI/2*clip((t-0.8)/0.8,0,1)'"),
    filtered("stands still in the middle", "loop=30:1:36,setpts=N/30/TB", "stands still"),
    with_other(
        "double exposure", f"[0:v]{SAME}[a];[1:v]scale=640:-2,crop=640:360,{SAME}[b];[a][b]blend=all_mode=average"
    ),
    with_other(
        "background replaced",
        f"[0:v]{SAME},split[p][q];[p]format=rgba,colorkey=0x8f9094:0.28:0.02[a];[1:v]scale=640:-2,crop=640:360,{SAME}[b];"
        "[q][b]overlay[c];[c][a]overlay",
    ),
    filtered("stereo, side by side", STEREO, "split"),
    filtered("stereo, side by side, full width", STEREO_FULL, "split"),
    filtered("stereo, red and cyan", "rgbashift=rh=-7"),
)
CAMERAS = (
    filtered("rolling shutter wobbles", moved_rows("5*sin(2*PI*(Y/200+9*T))")),
    filtered("focus and size breathe", BREATHING),
    filtered("exposure jumps", EXPOSURE),
    filtered("strobe light", STROBE),
    filtered("flickering light", FLICKER),
    filtered("night vision", NIGHT),
    filtered("dirt on the lens", DIRT, CHANGING),
    filtered("vignette", "vignette=PI/2.6"),
    drawn_over("snow falls", SNOW),
    filtered("tape", NOISY_TAPE),
    filtered("filmed off a screen", SCREEN),
    filtered("9 by 21", "crop=154:360", closer=640 / 360),
)
PACES = (
    filtered("stop motion, 5 pictures a second", "fps=5,fps=30", "repeat"),
    filtered("stutters", "select='not(between(mod(n,11),4,7))',fps=30"),
    filtered("blended to another rate", "fps=24,framerate=fps=30"),
    filtered("order of frames mixed up", "shuffleframes='1 0 2'"),
)
FURTHER = (*APPS, *EDITS, *CAMERAS, *PACES)
