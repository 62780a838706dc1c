"""CSV text to columns of text, with the number of every line and without the torn ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from market_data.basics.data_errors import UnreadableFileError
from market_data.basics.quality import CORRUPT_SAMPLES_KEPT


@dataclass(slots=True)
class CorruptRows:
    """Rows that were left out of one file, the first few in words."""

    file: str
    count: int = 0
    torn: int = 0  # of `count`: lines with too few or too many fields
    samples: list[str] = field(default_factory=list)

    def add(self, line: int, why: str) -> None:
        """Count one row."""
        self.count += 1
        if len(self.samples) < CORRUPT_SAMPLES_KEPT:
            self.samples.append(f"{self.file} line {line}: {why}")


@dataclass(frozen=True, slots=True)
class TextLines:
    """Whole lines as columns of text; `numbers` are their lines in the file."""

    frame: pl.DataFrame
    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """The columns of a file, and those of them that are wanted."""

    columns: tuple[str, ...]
    wanted: tuple[str, ...]

    def lines(self, block: bytes, first_line: int, corrupt: CorruptRows) -> TextLines:
        """Return the wanted columns of whole lines; torn lines are counted in `corrupt`.

        Raises UnreadableFileError for a block that is no text.
        """
        frame = self._frame(block)
        if frame is not None:
            return TextLines(frame, range(first_line, first_line + frame.height))
        whole: list[bytes] = []
        numbers: list[int] = []
        for number, line in enumerate(block.split(b"\n"), first_line):
            if not line.strip():
                continue
            fields = line.count(b",") + 1
            if fields == len(self.columns):
                # Bytes that are no UTF-8 make their own field unreadable, not the block.
                whole.append(line.decode("utf-8", "replace").encode())
                numbers.append(number)
            else:
                corrupt.torn += 1
                corrupt.add(number, f"{fields} fields instead of {len(self.columns)}")
        frame = self._frame(b"".join(line + b"\n" for line in whole))
        if frame is None:
            raise UnreadableFileError(f"{corrupt.file}: not text from line {first_line} on")
        return TextLines(frame, numbers)

    def _frame(self, block: bytes) -> pl.DataFrame | None:
        """Return the wanted columns, or None if some line has another width."""
        width = len(self.columns)
        places = [n for n, name in enumerate(self.columns) if name in self.wanted]
        if not block:
            return pl.DataFrame(schema={self.columns[n]: pl.String for n in places})
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                schema={f"column_{n + 1}": pl.String for n in range(width)},
                columns=places,
                quote_char=None,
                truncate_ragged_lines=True,
            )
        except pl.exceptions.PolarsError:
            return None
        if frame.height * (width - 1) != block.count(b","):
            return None
        frame.columns = [self.columns[n] for n in places]
        return frame
