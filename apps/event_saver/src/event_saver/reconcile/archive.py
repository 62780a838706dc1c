"""Daily files of all trades, which the exchange publishes about a day late.

Source: exchange fact sheet, section 10. The trade ids are those of the stream, so what is read
here fits what was captured. A day is read through, never held in memory.
"""

from __future__ import annotations

import csv
import gzip
import io
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import IO

from grid_db import PublicTradeRecord
from gridcore import SideType

TIMEOUT_S = 60.0
LONGEST_LINE = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ArchiveError(Exception):
    """The file cannot be had or read now. The text is one sentence."""


class NotPublishedError(ArchiveError):
    """The day's file is not there yet."""


def days_of(start: datetime, end: datetime) -> list[str]:
    """Return the UTC days that [start, end] touches, as the file names write them."""
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    return [
        (first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)
    ]


def read_trades(
    base_url: str, symbol: str, start: datetime, end: datetime
) -> Iterator[PublicTradeRecord]:
    """Yield the trades with start <= time <= end in the order of the files. Blocking.

    Raises NotPublishedError while a day is missing, ArchiveError for any other trouble.
    """
    for day in days_of(start, end):
        url = f"{base_url}/{symbol}/{symbol}{day}.csv.gz"
        request = urllib.request.Request(url, headers={"User-Agent": "event-saver"})  # noqa: S310 - from the settings
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                yield from _trades(answer, symbol, start, end)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (403, 404):
                raise NotPublishedError(f"the archive has no trades of {day} yet") from None
            raise ArchiveError(f"the archive answered {error.code} for {day}") from None
        except (OSError, EOFError, ValueError, KeyError, InvalidOperation, csv.Error) as error:
            raise ArchiveError(
                f"the archive of {day} cannot be read ({type(error).__name__})"
            ) from error


def _trades(
    answer: IO[bytes], symbol: str, start: datetime, end: datetime
) -> Iterator[PublicTradeRecord]:
    with gzip.open(answer) as unpacked:
        for row in csv.DictReader(_lines(io.TextIOWrapper(unpacked, encoding="utf-8"))):
            moment = _EPOCH + timedelta(
                microseconds=int(Decimal(row["timestamp"]).scaleb(6).to_integral_value())
            )
            if start <= moment <= end and row["symbol"] == symbol:
                yield PublicTradeRecord(
                    symbol=symbol,
                    trade_id=row["trdMatchID"],
                    exchange_ts=moment,
                    side=SideType(row["side"]),
                    price=Decimal(row["price"]),
                    size=Decimal(row["size"]),
                )


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines. Raises ValueError for one that no archive has: it could fill the memory."""
    while line := text.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE:,} characters")
        yield line
