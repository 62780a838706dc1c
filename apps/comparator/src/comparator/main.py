"""Command line: compare a live run with a backtest of it.

    python -m comparator.main --run-id ID --backtest-trades var/backtest/BTCUSDT/trades.csv
    python -m comparator.main --run-id ID --backtest-config conf/backtest.yaml --symbol BTCUSDT

Exit codes: 0 within tolerance; 3 beyond it; 1 the options, the run or the files cannot be compared;
2 the comparison itself failed; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from comparator.columns.errors import ComparatorError, SplitError
from comparator.comparison import Comparison
from comparator.money.metrics import Tolerances
from comparator.recorded_run import compare_run, find_run
from comparator.report.reporter import ComparatorReporter
from comparator.sources import (
    Backtest,
    backtest_of_config,
    backtest_of_files,
    open_database,
    tenant,
)
from grid_config.yaml_config import ConfigFileError
from grid_db import DatabaseFactory, GridDbError
from gridcore.errors import GridcoreError
from market_data.basics.time_range import TimeRange

WITHIN, WRONG_START, FAILED, BREACHED, INTERRUPTED = 0, 1, 2, 3, 130

REPORT_NAME = "report.html"


class ToleranceBreachedError(Exception):
    """The backtest differs from the live run beyond the tolerances; the report says how."""


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
console = Console(emoji=False, highlight=False)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


@app.command()
def comparator(
    run_id: Annotated[str, typer.Option("--run-id", help="The live run, a UUID.")],
    start: Annotated[
        str | None, typer.Option(help="2025-01-01 or 2025-01-01T12:00:00, UTC. Default: the run's.")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="A date alone means the whole day. Default: the run's.")
    ] = None,
    backtest_trades: Annotated[
        Path | None,
        typer.Option("--backtest-trades", help="trades.csv or trades.parquet of an export."),
    ] = None,
    backtest_config: Annotated[
        Path | None,
        typer.Option(
            "--backtest-config",
            help="Run this backtest first, on the recorded market unless it names other data.",
        ),
    ] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Only this one; may be repeated. A configuration needs it."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="Of the recording; else the environment decides."),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="Whose run; needed where there are several users.")
    ] = None,
    backtest_equity: Annotated[
        Path | None,
        typer.Option("--backtest-equity", help="equity.csv of the export; else the file beside."),
    ] = None,
    coin: Annotated[str, typer.Option(help="Of the wallet whose equity is compared.")] = "USDT",
    output: Annotated[
        Path | None, typer.Option(help=f"Folder for the CSV files and {REPORT_NAME}.")
    ] = None,
    price_tolerance: Annotated[
        str, typer.Option("--price-tolerance", help="USDT per base coin.")
    ] = "0",
    qty_tolerance: Annotated[str, typer.Option("--qty-tolerance", help="Base coin.")] = "0",
    fee_tolerance: Annotated[
        str,
        typer.Option("--fee-tolerance", help="USDT per trade; 0.00000001 where fees are rounded."),
    ] = "0",
    debug: Annotated[bool, typer.Option("--debug", help="Log what the strategies decide.")] = False,
) -> None:
    """Compare what a run traded live with a backtest of the same time.

    Exit codes: 0 within tolerance; 3 beyond it; 1 the options, the run or the files cannot be
    compared; 2 the comparison itself failed; 130 interrupted.
    """
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.CRITICAL, stream=sys.stderr, format="%(message)s"
    )
    tolerances = Tolerances(
        price=_amount("--price-tolerance", price_tolerance),
        qty=_amount("--qty-tolerance", qty_tolerance),
        fee=_amount("--fee-tolerance", fee_tolerance),
    )
    if (backtest_trades is None) is (backtest_config is None):
        raise ComparatorError("give either --backtest-trades or --backtest-config")
    if backtest_config is not None and not symbol:
        raise ComparatorError("--backtest-config needs --symbol: say which one to simulate")
    TimeRange.parse(start, end)
    with open_database(database_url) as database:
        user_id = tenant(database, user)
        with database.get_session() as session:
            live = find_run(session, user_id, run_id, start, end)
            backtest = (
                backtest_of_files(backtest_trades, backtest_equity)
                if backtest_trades is not None
                else _simulated(backtest_config, symbol or [], live.wanted, database)
            )
            comparison = compare_run(
                session,
                user_id,
                live,
                backtest,
                symbols=symbol,
                coin=coin,
                tolerances=tolerances,
            )
    _report(comparison, output)
    if not comparison.within_tolerance:
        raise ToleranceBreachedError


def _simulated(
    config: Path | None, symbols: Sequence[str], wanted: TimeRange, database: DatabaseFactory
) -> Backtest:
    assert config is not None  # noqa: S101 - one of the two is given
    return backtest_of_config(config, symbols, wanted, database)


def _report(comparison: Comparison, output: Path | None) -> None:
    reporter = ComparatorReporter(comparison)
    # files first: whoever reads only the head of the text still gets them
    if output is not None:
        reporter.export(output)
        reporter.html(output / REPORT_NAME)
    reporter.print(console)
    if output is not None:
        console.print(f"report: {output / REPORT_NAME}", markup=False)


def _amount(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise ComparatorError(f"{option} is {text!r}; give a number that is not below zero")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        app(args=None if argv is None else list(argv), prog_name="comparator")
    except ToleranceBreachedError:
        return BREACHED
    except SplitError as error:
        errors.print(f"comparator: {error}")
        return FAILED
    except (ConfigFileError, GridDbError, GridcoreError, ValueError) as error:
        for line in str(error).splitlines():
            errors.print(f"comparator: {line}")
        return WRONG_START
    except SystemExit as stopped:
        # complaints about options leave with 2, which means something else here
        return stopped.code if stopped.code in (WITHIN, INTERRUPTED) else WRONG_START
    return WITHIN


if __name__ == "__main__":
    sys.exit(main())
