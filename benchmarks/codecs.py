"""The same clip in twelve containers and codecs: how far pictures, cameras and bodies differ between codings.

    python -m benchmarks.codecs [--run] [--only WORD]

The first coding is lossless and the others are compared with it. Without --run only the reader looks at them; with it
the whole method runs in mode fast (half a minute each on two cores). Needs ffmpeg.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.footage import EXAMPLES, ffmpeg
from josh_core import pipeline
from josh_core.clip.load import load_clip
from josh_core.geometry import rotation_angle
from josh_core.settings import Settings
from josh_core.types import Clip, Float, Reconstruction

SOURCE = EXAMPLES / "beam_pan" / "clip.mp4"  # 1.7 s, a camera that turns
X264, X265 = ("-c:v", "libx264", "-crf", "20"), ("-c:v", "libx265", "-crf", "22", "-x265-params", "log-level=none")
CODINGS: dict[str, tuple[str, ...]] = {
    "lossless.mkv": ("-c:v", "ffv1"),
    "h264.mp4": X264,
    "h264_full_range.mp4": (*X264, "-vf", "scale=out_range=full", "-color_range", "pc", "-pix_fmt", "yuvj420p"),
    "h264_444.mp4": (*X264, "-pix_fmt", "yuv444p"),
    "h264.ts": X264,
    "hevc_10_bits.mp4": (*X265, "-pix_fmt", "yuv420p10le"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-crf", "28", "-b:v", "0", "-cpu-used", "6"),
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "4M", "-deadline", "realtime"),
    "prores.mov": ("-c:v", "prores_ks"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-q:v", "2"),
    "mjpeg.mov": ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-q:v", "2"),
}


@dataclass(frozen=True)
class _Read:
    """A clip in one coding as it was read, and its result."""

    clip: Clip
    result: Reconstruction | None


def main() -> int:
    """Make, read, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the whole method on each")
    parser.add_argument("--only", default="", help="codings whose name holds this, beside the lossless one")
    args = parser.parse_args()
    first: _Read | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, options in CODINGS.items():
            if first is not None and args.only not in name:
                continue
            path = Path(folder) / name
            ffmpeg("-i", str(SOURCE), "-an", *options, str(path))
            clip = load_clip(path, Settings())
            read = _Read(clip, pipeline.run(path, Settings(mode="fast"))["fast"] if args.run else None)
            first = first or read
            print(f"{name:<22s} {_difference(first, read)}", flush=True)
    return 0


def _difference(first: _Read, other: _Read) -> str:
    a, b = first.clip, other.clip
    said = [f"{len(b)} frames of {b.width}x{b.height}"]
    if len(a) == len(b) and (a.width, a.height) == (b.width, b.height):
        said.append(f"times {1000 * np.abs(a.times - b.times).max():.1f} ms")
        off = [cv2.absdiff(a.frame(t), b.frame(t)).mean() for t in range(0, len(a), 10)]
        bias = [b.frame(t).mean() - a.frame(t).mean() for t in range(0, len(a), 10)]
        said.append(f"pictures {np.mean(off):.1f} levels, brighter by {np.mean(bias):+.1f}")
        if first.result is not None and other.result is not None:
            said += _of_results(first.result, other.result)
    return ", ".join(said)


def _of_results(a: Reconstruction, b: Reconstruction) -> list[str]:
    focal = b.intrinsics[0, 0] / a.intrinsics[0, 0] - 1
    said = [f"focal {100 * focal:+.1f} %", f"camera {_turned(a, b):.2f} degrees", f"{len(b.people)} people"]
    if len(a.people) == len(b.people) > 0:
        x, y = a.people[0], b.people[0]
        _, i, j = np.intersect1d(x.frames, y.frames, return_indices=True)
        world = np.linalg.norm(x.joints[i] - y.joints[j], axis=-1)
        rooted = np.linalg.norm(_rooted(x.joints[i]) - _rooted(y.joints[j]), axis=-1)
        said.append(f"joints {1000 * world.mean():.0f} mm in the world, {1000 * rooted.mean():.0f} mm about the pelvis")
    return said


def _turned(a: Reconstruction, b: Reconstruction) -> float:
    """Largest angle in degrees between two cameras of the same frame, each since its first frame."""
    since = [r.world_from_cam[:1, :3, :3].swapaxes(1, 2) @ r.world_from_cam[:, :3, :3] for r in (a, b)]
    return float(np.degrees(rotation_angle(since[0].swapaxes(1, 2) @ since[1])).max())


def _rooted(joints: Float) -> Float:
    return joints - joints[:, :1]


if __name__ == "__main__":
    sys.exit(main())
