"""Effects of apps and editors by which benchmarks.spoiled spoils a clip: trails, pulses, glitches, confetti and more.

Written as those of benchmarks/spoils.py, for the same length and size.
"""

from __future__ import annotations

import numpy as np

from benchmarks.spoils import SAME, Spoil, drawn_over, filtered, with_other
from benchmarks.spoils_further import moved_rows

PULSES = "zoompan=z='1+0.15*exp(-6*mod(on/30,0.6))':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=1:s=640x360:fps=30"
SPIN = "rotate='2*PI*t/2.4',crop=300:168,scale=640:360"
TILT_SHIFT = (
    "[0:v]format=yuv420p,split=3[a][b][c];[b]gblur=sigma=6[d];"
    "[c]geq=lum='255*clip(abs(Y/H-0.5)*4-0.6,0,1)':cb=128:cr=128[m];[a][d][m]maskedmerge"
)
FILTER = "curves=vintage,eq=saturation=1.8:contrast=1.4,colorbalance=rs=.3:bs=-.2,vignette=PI/3"
OLD_FILM = (
    "hue=s=0,noise=alls=30:allf=t,crop=616:336:x='12+5*sin(46*t)':y='12+9*sin(69*t+1)',"
    "eq=brightness='0.08*sin(60*t)':eval=frame"
)
BUTTON = (
    "color=red:s=40x40:r=30:d=2.4,format=rgba,geq=r=230:g=20:b=20:"
    "a='255*lt(hypot(X-20,Y-20),12+6*sin(2*PI*T))'[k];color=white:s=10x16:r=30:d=2.4[m];"
    "[0:v][k]overlay=300:310:shortest=1[v];[v][m]overlay='200+150*sin(t)':'150+60*cos(2*t)':shortest=1"
)


def _confetti() -> str:
    """Coloured slips on a tall sheet that falls over the picture."""
    rng = np.random.default_rng(0)
    colours = ("red", "yellow", "lime", "cyan", "magenta", "orange")
    slips = ",".join(
        f"drawbox={rng.integers(0, 630)}:{rng.integers(0, 1060)}:{rng.integers(5, 12)}:{rng.integers(4, 9)}:"
        f"{colours[k % len(colours)]}:fill"
        for k in range(150)
    )
    return (
        f"color=black:s=640x1080:r=30:d=2.4,format=rgb24,{slips},colorkey=black:0.1:0[s];"
        "[0:v][s]overlay='10*sin(3*t)':'-720+300*t':shortest=1"
    )


EFFECTS: tuple[Spoil, ...] = (
    drawn_over("confetti", _confetti()),
    drawn_over("pulsing button and a cursor", BUTTON),
    drawn_over("tilt shift", TILT_SHIFT),
    filtered("filter of an app, with a vignette", FILTER),
    filtered("old film that weaves", OLD_FILM, closer=640 / 616),
    filtered("glitches", moved_rows("if(lt(mod(T,0.7),0.12)*lt(mod(floor(Y/30)+floor(T*15),3),1),40*sin(Y),0)")),
    filtered("ripples", moved_rows("4*sin(Y/14+9*T)")),
    filtered("pulses to a beat", PULSES, "swings"),
    filtered("spins", SPIN, closer=640 / 300),
    filtered("cartoon", "edgedetect=mode=colormix:high=0.1:low=0.05"),
    filtered("mosaic", "scale=96:-2,scale=640:360:flags=neighbor"),
    filtered("trails", "lagfun=decay=0.93"),
    filtered("ghosts of five frames", "tmix=frames=5"),
    filtered("rolled by a stabiliser, black corners", "rotate='0.06*sin(2*PI*1.3*t)+0.03*sin(2*PI*3*t)'"),
    drawn_over("mirrored from the middle on", "split[a][b];[b]hflip[c];[a][c]overlay=enable='gt(t,1.3)'", "a cut"),
    with_other(
        "reaction below",
        f"[0:v]crop=640:240:0:60,{SAME}[a];[1:v]scale=640:-2,crop=640:160:0:60,{SAME}[b];[a][b]vstack",
        "split",
    ),
)
