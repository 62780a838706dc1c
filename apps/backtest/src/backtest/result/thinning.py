"""Fewer points for drawing, with every extreme kept. What is counted never goes through here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 4_000


def thin_rows(values: NDArray[np.generic], most: int = MOST_POINTS) -> NDArray[np.int64]:
    """Return rows to draw, ascending: first, last, and lowest and highest of each of most/2 parts.

    All rows when there are not more than `most`.
    """
    count = len(values)
    if count <= most:
        return np.arange(count, dtype=np.int64)
    borders = np.linspace(0, count, most // 2 + 1).astype(np.int64)
    rows = [0, count - 1]
    for low, high in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        part = values[low:high]
        rows.append(low + int(part.argmin()))
        rows.append(low + int(part.argmax()))
    return np.unique(np.array(rows, dtype=np.int64))


def thin_evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of `count` rows, evenly spread, first and last included."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
