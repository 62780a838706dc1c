"""The one way in which this project writes CSV: no cell is a formula for a spreadsheet.

A text that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a line end,
and is no number) gets an apostrophe before it, which spreadsheets take as the mark of a text. A
text that begins with an apostrophe gets another one, so that reading is exact.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import IO, Final, Protocol

import polars as pl

MARK: Final = "'"
# the wide forms are the same characters to a spreadsheet in Asia
_ODD: Final = r"^['=+\-@\t\r\n＝＋－＠]"
_NUMBER: Final = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_IS_ODD, _IS_NUMBER = re.compile(_ODD), re.compile(_NUMBER)


class RowWriter(Protocol):
    """Writes rows of texts."""

    def writerow(self, row: Iterable[str], /) -> object: ...


def safe_cell(text: str) -> str:
    """Return a text as it is written."""
    is_odd = _IS_ODD.match(text) is not None and _IS_NUMBER.fullmatch(text) is None
    return MARK + text if is_odd else text


def plain_cell(text: str) -> str:
    """Return what was written: the inverse of `safe_cell`."""
    return text.removeprefix(MARK)


class SafeWriter:
    """`csv.writer` with safe cells and lines that end as on Unix."""

    def __init__(self, file: IO[str]) -> None:
        self._writer: RowWriter = csv.writer(file, lineterminator="\n")

    def row(self, cells: Iterable[str]) -> None:
        """Write one row."""
        self._writer.writerow([safe_cell(text) for text in cells])


def csv_of(frame: pl.DataFrame) -> bytes:
    """Return a table as CSV with safe cells."""
    return frame.with_columns(_safe(name) for name in _texts(frame)).write_csv().encode()


def plain_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table that was read as texts as it was before it was written."""
    return frame.with_columns(pl.col(name).str.strip_prefix(MARK) for name in _texts(frame))


def _texts(frame: pl.DataFrame) -> list[str]:
    return [name for name, kind in frame.schema.items() if kind == pl.String]


def _safe(name: str) -> pl.Expr:
    text = pl.col(name)
    is_odd = text.str.contains(_ODD) & ~text.str.contains(_NUMBER)
    return pl.when(is_odd).then(pl.lit(MARK) + text).otherwise(text).alias(name)
