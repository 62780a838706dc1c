"""Market data fetched, imported and listed, with what a person sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from backtest.info_table import print_store
from grid_service.command import ExitCodes
from market_data.basics.data_errors import DataError, WrongRangeError
from market_data.basics.paths import Paths
from market_data.download.download import Downloader, Patience
from market_data.download.fetch import ArchiveFetcher, DayResult, days_between
from market_data.store.store_import import Importer, ImportResult

WRONG_COMMAND, NOT_ALL_DONE = 1, 2
EXIT_CODES: ExitCodes = {
    WrongRangeError: WRONG_COMMAND,
    DataError: NOT_ALL_DONE,
    OSError: WRONG_COMMAND,  # the folder of the store
}


class NotAllDoneError(DataError):
    """Something was left undone, and each instance was named on the console."""


console = Console(markup=False, emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


def fetch_days(
    symbols: Sequence[str],
    first: date,
    last: date,
    *,
    base_url: str,
    store: str | Path,
    workers: int,
    attempts: int,
    timeout_s: float,
    keep_files: bool,
    strict: bool,
) -> None:
    """Download the UTC days from first to last, both included. Raises DataError."""
    days = days_between(first, last)
    fetcher = ArchiveFetcher(
        store,
        Downloader(Patience(attempts=attempts, timeout_s=timeout_s)),
        base_url=base_url,
        keep_files=keep_files,
        strict=strict,
    )
    results: list[DayResult] = []
    for name in symbols:
        if not name.isalnum() or name != name.upper():
            raise WrongRangeError(f"{name!r} is no symbol of Bybit; write it as BTCUSDT")
        with _FetchScreen(name, len(days)) as screen:
            results += fetcher.fetch(
                name, days, workers=workers, progress=screen.progress, done=screen.done
            )
    missing = [result for result in results if result.is_missing]
    if missing:
        raise NotAllDoneError(f"{len(missing)} of {len(results)} days are missing, see above")


def import_into(
    store: str | Path,
    files: Paths,
    *,
    symbol: str | None,
    workers: int,
    strict: bool,
) -> None:
    """Put files into the store. Raises DataError."""
    importer = Importer(store, symbol=symbol, strict=strict)
    results = importer.add_all(files, workers=workers, done=_say)
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise NotAllDoneError(f"{failed} of {len(results)} files were not imported, see above")


def list_store(store: str | Path, *, verify: bool, gaps: int) -> None:
    """Print what the store holds. Raises DataError for damage."""
    if not print_store(console, store, gaps_shown=gaps, verify=verify):
        raise NotAllDoneError("the store is damaged, see above")


def _say(result: ImportResult) -> None:
    if result.error:
        errors.print(f"{result.file}: not imported: {result.error}", style="red", soft_wrap=True)
        return
    console.print(f"{result.file}: {result.summary}", soft_wrap=True)
    for fault in result.faults:
        console.print(f"  {fault}", soft_wrap=True)


class _FetchScreen:
    """Progress bars of one symbol: its days, and the bytes of the days under way."""

    def __init__(self, symbol: str, days: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._bytes = Progress(*columns, console=console)
        self._symbol = symbol
        self._days = days
        self._tasks: dict[date, TaskID] = {}
        self._finished = 0
        self._lock = Lock()

    def __enter__(self) -> _FetchScreen:
        self._bytes.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bytes.stop()

    def progress(self, day: date, done: int, total: int | None) -> None:
        with self._lock:
            if day not in self._tasks:
                self._tasks[day] = self._bytes.add_task(f"{self._symbol} {day}", total=total)
        self._bytes.update(self._tasks[day], completed=done, total=total)

    def done(self, result: DayResult) -> None:
        with self._lock:
            self._finished += 1
            if result.day in self._tasks:
                self._bytes.remove_task(self._tasks.pop(result.day))
            line = f"{self._finished}/{self._days} {result.day} {result.outcome}: {result.text}"
        style = "red" if result.is_missing else ""
        console.print(line, style=style, soft_wrap=True)
