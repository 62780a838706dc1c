"""Command line: download market data, import files, and list what is there.

    python -m backtest.data fetch --symbol BTCUSDT --start 2025-01-01 --end 2025-01-31
    python -m backtest.data import FILE...
    python -m backtest.data info

Exit codes: 0 everything done; 1 the command itself is wrong (options, dates, files that do not
exist); 2 something could not be done (a day is missing, a file is damaged), the rest was done;
130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from threading import Lock
from typing import Annotated

import typer
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
from market_data.basics.data_errors import DataError, WrongRangeError
from market_data.download.download import Downloader, Patience
from market_data.download.fetch import PUBLIC_ARCHIVES, ArchiveFetcher, DayResult, days_between
from market_data.store.store_import import Importer, ImportResult

DONE, WRONG_COMMAND, NOT_ALL_DONE, INTERRUPTED = 0, 1, 2, 130
STORE_VARIABLE = "HEDGE_GRID_STORE"


class NotAllDoneError(DataError):
    """Something was left undone, and each instance was named on the console."""


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Market data for backtests: download, import, list."
    " Exit codes: 0 done, 1 wrong command, 2 not everything could be done.",
)
console = Console(markup=False, emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False)


def default_store() -> Path:
    """Return the store used without --store: $HEDGE_GRID_STORE or a folder in the user's cache."""
    named = os.environ.get(STORE_VARIABLE)
    return Path(named) if named else _user_cache() / "market-data"


def rules_cache() -> Path:
    """Return the folder where answers of the exchange about contracts are kept."""
    return _user_cache() / "contracts"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hedge-grid"


StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        file_okay=False,
        help=f"Folder of the store. Default: ${STORE_VARIABLE}, else ~/.cache/hedge-grid.",
    ),
]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=64, help="Files handled at the same time, one thread each.")
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Refuse files with corrupt, duplicate or out-of-order rows."),
]


@app.command()
def fetch(
    symbol: Annotated[
        list[str], typer.Option("--symbol", help="As Bybit writes it; may be repeated.")
    ],
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First UTC day.")],
    end: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last UTC day, included.")],
    base_url: Annotated[
        str, typer.Option(help="Where SYMBOL/SYMBOLyyyy-mm-dd.csv.gz lie.")
    ] = PUBLIC_ARCHIVES,
    store: StoreOption = None,
    workers: WorkersOption = 2,
    attempts: Annotated[
        int, typer.Option(min=1, help="Attempts without a new byte before a day fails.")
    ] = 5,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds of silence that are a cut.")
    ] = 30,
    keep_files: Annotated[
        bool, typer.Option("--keep-files", help="Keep the archives in STORE/downloads.")
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Download Bybit's public trade archives, day by day, into the store.

    Days that are there already are skipped. A download that was cut goes on where it stopped, in
    the same command or the next. A day without an archive is named, the others go on.
    """
    days = days_between(start.date(), end.date())
    fetcher = ArchiveFetcher(
        store or default_store(),
        Downloader(Patience(attempts=attempts, timeout_s=timeout)),
        base_url=base_url,
        keep_files=keep_files,
        strict=strict,
    )
    results: list[DayResult] = []
    for name in symbol:
        if not name.isalnum() or name != name.upper():
            raise WrongRangeError(f"{name!r} is no symbol of Bybit; write it as BTCUSDT")
        with _FetchScreen(name, len(days)) as screen:
            results += fetcher.fetch(
                name, days, workers=workers, progress=screen.progress, done=screen.done
            )
    missing = [result for result in results if result.is_missing]
    if missing:
        raise NotAllDoneError(f"{len(missing)} of {len(results)} days are missing, see above")


@app.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Any mixture.")],
    symbol: Annotated[
        str | None, typer.Option(help="Symbol of kline files whose name does not say it.")
    ] = None,
    store: StoreOption = None,
    workers: WorkersOption = 2,
    strict: StrictOption = False,
) -> None:
    """Put files into the store: trade archives (CSV, CSV.GZ, Parquet), klines, mark-price klines,
    funding history, instruments and risk limits. What a file is, its contents say.
    """
    importer = Importer(store or default_store(), symbol=symbol, strict=strict)
    results = importer.add_all(files, workers=workers, done=_say)
    failed = sum(bool(result.error) for result in results)
    if failed:
        raise NotAllDoneError(f"{failed} of {len(results)} files were not imported, see above")


@app.command()
def info(
    store: StoreOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every trade column with its checksum.")
    ] = False,
    gaps: Annotated[int, typer.Option(min=0, help="Gaps to list for each series.")] = 10,
) -> None:
    """List what the store holds: ranges, rows, gaps and faults of the data."""
    if not print_store(console, store or default_store(), gaps_shown=gaps, verify=verify):
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

    def __enter__(self) -> "_FetchScreen":
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="backtest.data")
    except DataError as error:
        errors.print(f"backtest.data: {error}", style="red", soft_wrap=True)
        return WRONG_COMMAND if isinstance(error, WrongRangeError) else NOT_ALL_DONE
    except SystemExit as stopped:
        # Typer's own complaints about options leave with 2, which means something else here.
        return stopped.code if stopped.code in (DONE, INTERRUPTED) else WRONG_COMMAND
    return DONE


if __name__ == "__main__":
    sys.exit(main())
