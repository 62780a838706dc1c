"""What a public trade archive of Bybit's looks like: its columns, with or without a header.

Columns: timestamp (Unix seconds with up to 6 decimals), symbol, side (taker), size, price,
tickDirection, trdMatchID, grossValue, homeNotional, foreignNotional and, in newer files, RPI.
Here and not in `archive`, so that a daemon that reads rows one by one loads no columns of arrays.
"""

from market_data.basics.data_errors import UnreadableFileError

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


def header_names(first_line: bytes) -> tuple[str, ...]:
    """Return the fields of a line, without byte order mark, quotes and blanks."""
    text = first_line.decode("utf-8-sig", "replace")
    return tuple(name.strip().strip('"') for name in text.split(","))


def archive_columns(first_line: bytes, file: str) -> tuple[tuple[str, ...], bool]:
    """Return the columns of an archive and whether its first line is a header.

    Raises UnreadableFileError if it is no trade archive.
    """
    names = header_names(first_line)
    if "timestamp" in names:
        missing = [name for name in NEEDED_COLUMNS if name not in names]
        if missing:
            raise UnreadableFileError(f"{file}: no column {', '.join(missing)} in {names}")
        return names, True
    if len(names) in (len(ARCHIVE_COLUMNS) - 1, len(ARCHIVE_COLUMNS)):
        return ARCHIVE_COLUMNS[: len(names)], False
    raise UnreadableFileError(
        f"{file}: not a trade archive: {len(names)} columns in its first line"
        f" ({first_line[:60]!r}), an archive has 10 or 11"
    )
