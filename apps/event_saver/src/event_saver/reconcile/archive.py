"""Daily files of all trades, which the exchange publishes about a day late.

Downloaded and read by market_data. The trade ids are those of the stream, so what is read here fits
what was captured. A day is read through, never held in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

from grid_db import PublicTradeRecord
from market_data.basics.data_errors import DataError
from market_data.download.download import Downloader, DownloadError, NotPublishedError, Patience
from market_data.files.archive_trades import archive_trades

__all__ = ["ArchiveError", "NotPublishedError", "days_of", "read_trades"]

# What is not there yet is tried again later anyway.
_PATIENCE = Patience(attempts=2, first_wait_s=1.0, timeout_s=60.0)


class ArchiveError(Exception):
    """The file cannot be had or read now. The text is one sentence."""


def days_of(start: datetime, end: datetime) -> list[str]:
    """Return the UTC days that [start, end] touches, as the file names write them."""
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    return [
        (first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)
    ]


def read_trades(
    base_url: str, symbol: str, start: datetime, end: datetime, folder: Path | str | None = None
) -> Iterator[PublicTradeRecord]:
    """Yield the trades with start <= time <= end in the order of the files. Blocking.

    A file lies in `folder` while it is read (or where the system keeps such files), and what came
    of one that was cut off waits there for the next attempt. Raises NotPublishedError while a day
    is missing, ArchiveError for any other trouble.
    """
    with (
        tempfile.TemporaryDirectory(prefix="event-saver-")
        if folder is None
        else nullcontext(folder) as place
    ):
        for day in days_of(start, end):
            name = f"{symbol}{day}.csv.gz"
            file = Path(place) / name
            try:
                Downloader(_PATIENCE).fetch(f"{base_url}/{symbol}/{name}", file)
                yield from archive_trades(file, symbol, start, end)
            except DownloadError as error:
                if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                    raise NotPublishedError(f"the archive has no trades of {day} yet") from None
                if error.status is not None:
                    raise ArchiveError(f"the archive answered {error.status} for {day}") from error
                raise ArchiveError(f"the archive of {day} cannot be had ({error})") from error
            except (DataError, OSError) as error:
                raise ArchiveError(
                    f"the archive of {day} cannot be read ({type(error).__name__})"
                ) from error
            finally:
                file.unlink(missing_ok=True)
