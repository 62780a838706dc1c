"""Bybit's public trade archives, downloaded by day and put into the store."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from market_data.basics.data_errors import DataError, UnreadableFileError, WrongRangeError
from market_data.basics.public_archives import PUBLIC_ARCHIVES
from market_data.download.download import Download, Downloader, NotPublishedError, Progress
from market_data.store.store import TradeStore
from market_data.store.store_import import Importer

_DOWNLOADS = "downloads"


class DayOutcome(StrEnum):
    """What became of one day."""

    FETCHED = "fetched"
    ALREADY_THERE = "already there"
    NOT_PUBLISHED = "not published"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DayResult:
    """One day of the range; `text` says more."""

    day: date
    outcome: DayOutcome
    text: str

    @property
    def is_missing(self) -> bool:
        """Return whether the store still lacks this day."""
        return self.outcome in (DayOutcome.NOT_PUBLISHED, DayOutcome.FAILED)


def days_between(start: date, end: date) -> list[date]:
    """Return the days from `start` to `end`, both included. Raises WrongRangeError."""
    if start > end:
        raise WrongRangeError(f"start {start} is after end {end}; exchange them")
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def archive_name(symbol: str, day: date) -> str:
    """Return the name of one day's archive: BTCUSDT2025-01-31.csv.gz."""
    return f"{symbol}{day.isoformat()}.csv.gz"


class ArchiveFetcher:
    """Brings days of trades into the store at `root`.

    Files lie in ROOT/downloads until they are imported, and stay there with `keep_files`.
    """

    def __init__(
        self,
        root: str | Path,
        downloader: Downloader,
        base_url: str = PUBLIC_ARCHIVES,
        *,
        keep_files: bool = False,
        strict: bool = False,
    ) -> None:
        self.root = Path(root)
        self.downloader = downloader
        self.base_url = base_url
        self.keep_files = keep_files
        self.strict = strict

    def fetch(
        self,
        symbol: str,
        days: Sequence[date],
        *,
        workers: int = 2,
        progress: Callable[[date, int, int | None], None] = lambda _day, _done, _total: None,
        done: Callable[[DayResult], None] = lambda _result: None,
    ) -> list[DayResult]:
        """Fetch the days that the store lacks, in order, on `workers` threads.

        A day that fails does not stop the others. Raises DataError for an impossible symbol.
        """
        stored = {
            source.name
            for day in TradeStore(self.root).days(symbol)
            for source in day.quality.sources
        }

        def one(day: date) -> DayResult:
            name = archive_name(symbol, day)
            if name in stored:
                result = DayResult(day, DayOutcome.ALREADY_THERE, f"{name}: already there")
            else:
                result = self._day(symbol, day, lambda now, total: progress(day, now, total))
            done(result)
            return result

        with ThreadPoolExecutor(workers) as pool:
            try:
                return list(pool.map(one, days))
            except BaseException:  # interrupted: do not wait for the days that are left
                self.downloader.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _day(self, symbol: str, day: date, progress: Progress) -> DayResult:
        name = archive_name(symbol, day)
        url = f"{self.base_url.rstrip('/')}/{symbol}/{name}"
        target = self.root / _DOWNLOADS / symbol / name
        importer = Importer(self.root, strict=self.strict)
        try:
            download = self._downloaded(url, target, progress)
            try:
                imported = importer.add(target)
            except UnreadableFileError:
                # Damaged on the way, or by an earlier broken resume: once more from the start.
                target.unlink(missing_ok=True)
                download = self._downloaded(url, target, progress)
                imported = importer.add(target)
        except NotPublishedError:
            text = f"{name}: the server has no archive of this day (HTTP 404){_perhaps_early(day)}"
            return DayResult(day, DayOutcome.NOT_PUBLISHED, text)
        except DataError as error:
            return DayResult(day, DayOutcome.FAILED, str(error))
        if not self.keep_files:
            target.unlink(missing_ok=True)
        resumed = f", resumed at byte {download.resumed_at:,}" if download.resumed_at else ""
        faults = "".join(f"; {fault}" for fault in imported.faults)
        text = f"{imported.summary} (sha256 {download.sha256[:16]}{resumed}){faults}"
        return DayResult(day, DayOutcome.FETCHED, text)

    def _downloaded(self, url: str, target: Path, progress: Progress) -> Download:
        if target.exists():  # kept from before, or left by an interrupted import
            size = target.stat().st_size
            with target.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return Download(target, sha256, size, resumed_at=size)
        return self.downloader.fetch(url, target, progress)


def _perhaps_early(day: date) -> str:
    today = datetime.now(UTC).date()
    return "; archives appear about a day later" if (today - day).days <= 1 else ""
