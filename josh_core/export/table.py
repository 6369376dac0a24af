"""The quality table as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from josh_core.metrics.verdicts import rows
from josh_core.types import Reconstruction


def save_table(result: Reconstruction, path: Path) -> None:
    """Write the rows of quality.rows as `path` (.csv): name, value, unit, verdict, sentence."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "value", "unit", "verdict", "sentence"])
        for row in rows(result.quality):
            writer.writerow([row.name, "" if row.value is None else row.value, row.unit, row.verdict, row.sentence])
