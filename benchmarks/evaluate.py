"""Print the errors of a result against ground truth: python -m benchmarks.evaluate TRUTH.npz RESULT_DIR"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from josh_core.errors import JoshError
from josh_core.export.bundle import load_bundle
from josh_core.metrics.accuracy import evaluate
from josh_core.metrics.ground_truth import load_truth
from josh_core.metrics.verdicts import short


def main(argv: list[str]) -> int:
    """Returns the exit status: 2 for files that cannot be used."""
    if len(argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        errors = evaluate(load_bundle(Path(argv[2])), load_truth(Path(argv[1])))
    except JoshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(table(errors)))
    return 0


def table(errors: dict[str, Any]) -> list[str]:
    """Lines of one number each, grouped as `evaluate` groups them."""
    groups = {"camera": errors["camera"], "scene": errors["scene"]}
    groups |= {f"person {person['person']}": person for person in errors["people"]}
    lines = []
    for title, numbers in groups.items():
        for name, value in numbers.items():
            if name != "person":
                lines.append(f"{title:<10s} {name:<22s} {'-' if value is None else short(value):>10s}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv))
