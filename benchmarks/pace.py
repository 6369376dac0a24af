"""What the thresholds of josh_core/metrics/pace.py rest on: the pace of people in results, as it is and played faster.

    python -m benchmarks.pace RESULT [...] [--rates 1 2 4 0.5 0.25]

RESULT is a folder with a manifest.json (as `josh run` writes one for each mode), or one that holds such folders. Prints
for each person the speed, steps a second, the length of a step, the walk ratio, the jitter, and what is told of it. A
clip played k times as fast is computed: times divided by k, jitter times k cubed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from josh_core.export.bundle import load_bundle
from josh_core.metrics.pace import pace, steps
from josh_core.metrics.verdicts import short

COLUMNS = {"m/s": 8, "steps/s": 9, "step m": 8, "ratio": 8, "jitter": 9}  # and their widths
RATES = (1.0, 2.0, 4.0, 0.5, 0.25)


def main() -> None:
    """Load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--rates", nargs="*", type=float, default=RATES, help="times as fast as in the result")
    args = parser.parse_args()
    heads = "".join(f"{name:>{width}s}" for name, width in COLUMNS.items())
    print(f"{'result':<28s}{'person':>7s}{'rate':>6s}{heads}  told")
    for folder in [f.parent for path in args.results for f in sorted(path.rglob("manifest.json"))]:
        result = load_bundle(folder)
        for k, person in enumerate(result.people):
            numbers, times = result.quality["people"][k], result.frame_times[person.frames]
            for rate in args.rates:
                cadence, length = steps(person.joints, times / rate)
                told = {
                    "speed_m_s": (numbers["speed_m_s"] or 0.0) * rate,
                    "jitter": (numbers.get("jitter") or 0.0) * rate**3,
                    "steps_hz": cadence,
                    "step_m": length,
                }
                ratio = told["speed_m_s"] / cadence**2 if cadence else None
                values = (told["speed_m_s"], cadence, length, ratio, told["jitter"])
                shown = ["-" if v is None else short(v) for v in values]
                cells = "".join(f"{v:>{width}s}" for v, width in zip(shown, COLUMNS.values(), strict=True))
                print(f"{'/'.join(folder.parts[-3:]):<28s}{k + 1:>7d}{rate:>6g}{cells}  {pace(told)}")


if __name__ == "__main__":
    main()
