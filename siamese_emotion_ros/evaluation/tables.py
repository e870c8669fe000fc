"""Measured rows as CSV."""
from __future__ import annotations

import csv
import io
from typing import Any, Sequence


def as_csv(rows: Sequence[Any], number: str = ".4f") -> bytes:
    """At least one row, all NamedTuples of a kind, below a header; floats in the format `number`, None left empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0]._fields)
    for row in rows:
        writer.writerow([format(value, number) if isinstance(value, float) else value for value in row])
    return text.getvalue().encode()
