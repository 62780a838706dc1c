"""Command line: download market data, import files, and list what is there.

    python -m backtest.data fetch --symbol BTCUSDT --start 2025-01-01 --end 2025-01-31
    python -m backtest.data import FILE...
    python -m backtest.data info

Exit codes: 0 everything done; 1 the command itself is wrong (options, dates, files that do not
exist); 2 something could not be done (a day is missing, a file is damaged), the rest was done;
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from backtest.places import STORE_VARIABLE, default_store
from grid_service.command import ExitCodes, run_command, typer_app
from market_data.basics.public_archives import PUBLIC_ARCHIVES

EXAMPLE, MORE = "Example: python -m backtest.data", "More: docs/data.md"

app = typer_app(
    no_args_is_help=True,
    help="Market data for backtests: download, import, list."
    " Exit codes: 0 done, 1 wrong command, 2 not everything could be done.",
    epilog=f"{EXAMPLE} info. {MORE}",
)

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


@app.command(epilog=f"{EXAMPLE} fetch --symbol BTCUSDT --start 2025-01-01 --end 2025-01-31. {MORE}")
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
    # imported when there is something to do, so that --help answers at once
    from backtest.store_commands import fetch_days  # noqa: PLC0415

    fetch_days(
        symbol,
        start.date(),
        end.date(),
        base_url=base_url,
        store=store or default_store(),
        workers=workers,
        attempts=attempts,
        timeout_s=timeout,
        keep_files=keep_files,
        strict=strict,
    )


@app.command("import", epilog=f"{EXAMPLE} import downloads/*.csv.gz. {MORE}")
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
    from backtest.store_commands import import_into  # noqa: PLC0415 - as above

    import_into(store or default_store(), files, symbol=symbol, workers=workers, strict=strict)


@app.command(epilog=f"{EXAMPLE} info --verify. {MORE}")
def info(
    store: StoreOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every trade column with its checksum.")
    ] = False,
    gaps: Annotated[int, typer.Option(min=0, help="Gaps to list for each series.")] = 10,
) -> None:
    """List what the store holds: ranges, rows, gaps and faults of the data."""
    from backtest.store_commands import list_store  # noqa: PLC0415 - as above

    list_store(store or default_store(), verify=verify, gaps=gaps)


def _exit_codes() -> ExitCodes:
    from backtest.store_commands import EXIT_CODES  # noqa: PLC0415 - as above

    return EXIT_CODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run_command(
        "backtest.data", lambda: app(args=argv, prog_name="backtest.data"), _exit_codes
    )


if __name__ == "__main__":
    sys.exit(main())
