"""The columns of a trade archive: where they are, and the lines that do not have them."""

from dataclasses import dataclass

import polars as pl

from backtest.data_errors import UnreadableFileError

ARCHIVE_COLUMNS = (
    "timestamp",
    "symbol",
    "side",
    "size",
    "price",
    "tickDirection",
    "trdMatchID",
    "grossValue",
    "homeNotional",
    "foreignNotional",
    "RPI",
)
NEEDED_COLUMNS = ("timestamp", "symbol", "side", "size", "price")
ID_COLUMN = "trdMatchID"


@dataclass(frozen=True, slots=True)
class ArchiveLayout:
    """Where the columns are."""

    width: int
    columns: tuple[str, ...]

    @classmethod
    def of(cls, first_line: bytes, file: str) -> tuple["ArchiveLayout", bool]:
        """Return the layout and whether the first line is a header."""
        names = first_line.decode("utf-8-sig", "replace").strip().split(",")
        if "timestamp" in names:
            missing = [name for name in NEEDED_COLUMNS if name not in names]
            if missing:
                raise UnreadableFileError(f"{file}: no column {', '.join(missing)} in {names}")
            return cls(len(names), tuple(names)), True
        if len(names) in (len(ARCHIVE_COLUMNS) - 1, len(ARCHIVE_COLUMNS)):
            return cls(len(names), ARCHIVE_COLUMNS[: len(names)]), False
        raise UnreadableFileError(
            f"{file}: not a trade archive: {len(names)} columns in its first line"
            f" ({first_line[:60]!r}), an archive has 10 or 11"
        )

    def frame(self, block: bytes) -> pl.DataFrame | None:
        """Return the needed columns as text, or None if some line has another width."""
        wanted = [n for n, name in enumerate(self.columns) if name in (*NEEDED_COLUMNS, ID_COLUMN)]
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                schema={f"column_{n + 1}": pl.String for n in range(self.width)},
                columns=wanted,
                quote_char=None,
                truncate_ragged_lines=True,
            )
        except pl.exceptions.PolarsError:
            return None
        if frame.height * (self.width - 1) != block.count(b","):
            return None
        frame.columns = [self.columns[n] for n in wanted]
        return frame

    def split(self, block: bytes, first_line: int) -> "SplitBlock":
        """Return the lines with as many fields as the layout has, and the numbers of all."""
        whole: list[bytes] = []
        numbers: list[int] = []
        torn: list[tuple[int, int]] = []
        for number, line in enumerate(block.split(b"\n"), first_line):
            if not line.strip():
                continue
            fields = line.count(b",") + 1
            if fields == self.width:
                # Bytes that are no UTF-8 make their own field unreadable, not the block.
                whole.append(line.decode("utf-8", "replace").encode())
                numbers.append(number)
            else:
                torn.append((number, fields))
        return SplitBlock(b"".join(line + b"\n" for line in whole), numbers, torn)


@dataclass(frozen=True, slots=True)
class SplitBlock:
    """Lines of a damaged block. `line_numbers` belong to the lines of `whole`."""

    whole: bytes
    line_numbers: list[int]
    torn: list[tuple[int, int]]  # line number, fields
