"""Paths as their callers write them: one or several, as text or as Path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

Paths = str | Path | Iterable[str | Path]


def paths_of(given: Paths) -> list[Path]:
    """Return the paths in their order; one that stands alone is a list of one."""
    if isinstance(given, str | Path):  # text is an Iterable too: of its letters
        return [Path(given)]
    return [Path(one) for one in given]
