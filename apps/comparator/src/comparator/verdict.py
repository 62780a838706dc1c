"""A comparison from options to verdict: the run and the backtest found, compared, reported."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

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
from grid_service.command import ExitCodes
from gridcore.errors import GridcoreError
from market_data.basics.time_range import TimeRange

WRONG_START, FAILED, BREACHED = 1, 2, 3

REPORT_NAME = "report.html"

console = Console(emoji=False, highlight=False)


class ToleranceBreachedError(Exception):
    """The backtest differs from the live run beyond the tolerances; the report says how."""


EXIT_CODES: ExitCodes = {
    ToleranceBreachedError: BREACHED,
    SplitError: FAILED,
    **dict.fromkeys(
        (ConfigFileError, GridDbError, GridcoreError, ValueError, OSError), WRONG_START
    ),
}


def compare(
    *,
    run_id: str,
    start: str | None,
    end: str | None,
    backtest_trades: str | Path | None,
    backtest_config: str | Path | None,
    symbol: Sequence[str] | None,
    database_url: str | None,
    user: str | None,
    backtest_equity: str | Path | None,
    coin: str,
    output: str | Path | None,
    price_tolerance: str,
    qty_tolerance: str,
    fee_tolerance: str,
    debug: bool,
) -> None:
    """Compare what a run traded live with a backtest of the same time, and report it.

    Tolerances are texts: of prices and fees in USDT, of quantities in the base coin. Raises the
    errors of EXIT_CODES.
    """
    output = None if output is None else Path(output)
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
    config: str | Path | None, symbols: Sequence[str], wanted: TimeRange, database: DatabaseFactory
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
