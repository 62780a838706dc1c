"""Where both sides come from: the run of one tenant, and a backtest from files or made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr, ValidationError
from sqlalchemy.orm import Session

from backtest.config import BacktestConfig
from backtest.data import default_store
from backtest.engine import BacktestEngine
from backtest.session import BacktestSession
from backtest.sources import provider_of
from backtest.time_range import FIRST_US, LAST_US, TimeRange
from backtest.trades import moment, to_us
from backtest.yaml_config import load_yaml_config
from comparator.backtest_file import read_equity
from comparator.equity import Point
from comparator.errors import ComparatorError
from comparator.loader import BacktestTradeLoader, Side
from comparator.trades import Source, TradeTable
from grid_db import (
    DatabaseConfigError,
    DatabaseFactory,
    DatabaseSettings,
    InvalidValueError,
    RunRecord,
    TenantScope,
    UserRepository,
    user_id_for,
)


class Backtest(NamedTuple):
    """A backtest to compare with: what it did, its equity curve, and where it comes from."""

    side: Side
    curve: list[Point]
    source: str


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run and the range of it that is compared."""

    run: RunRecord
    wanted: TimeRange


def open_database(url: str | None) -> DatabaseFactory:
    """Return the database that the URL, or else the environment, names, with its tables checked."""
    try:
        settings = (
            DatabaseSettings() if url is None else DatabaseSettings(database_url=SecretStr(url))
        )
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise DatabaseConfigError(f"GRIDBOT_{name}: {first['msg']}") from None
    database = DatabaseFactory(settings)
    database.check_schema()
    return database


def tenant(database: DatabaseFactory, name: str | None) -> str:
    """Return the id of the user of that name, or of the only user there is.

    Raises ComparatorError where the database has several users and none was named.
    """
    if name is not None:
        return user_id_for(name)
    with database.get_session() as session:
        users = UserRepository(session).list_all()
    if len(users) != 1:
        raise ComparatorError(
            f"the database shows {len(users)} users; say with --user whose run it is"
        )
    return users[0].id


def find_run(
    session: Session, user_id: str, run_id: str, start: str | None, end: str | None
) -> LiveRun:
    """Return the user's run and the range asked for, by default all of the run.

    Another user's run is answered as one that never was. Raises ComparatorError, WrongRangeError.
    """
    scope = TenantScope(session, user_id)
    try:
        run = scope.runs.get_by_id(run_id)
    except InvalidValueError:
        raise ComparatorError(
            f"--run-id is {run_id!r}, no UUID; copy it from the runs table"
        ) from None
    if run is None:
        known = scope.runs.get_by_user_id(limit=1)
        newest = f"; the newest one is {known[0].id}" if known else ""
        raise ComparatorError(f"the user has no run {run_id}{newest}")
    asked = TimeRange.parse(start, end)
    start_us = to_us(run.started_at) if asked.start_us == FIRST_US else asked.start_us
    end_us = asked.end_us if asked.end_us != LAST_US else _end_us(scope, run)
    return LiveRun(run, TimeRange.parse(start_us, end_us))


def _end_us(scope: TenantScope, run: RunRecord) -> int:
    """Return when a run ended; for one that still runs, just after its last execution."""
    if run.ended_at is not None:
        return to_us(run.ended_at) + 1
    last = None
    if run.account_id is not None:
        last = scope.executions.get_last_execution_ts(run.account_id)
    return to_us(last or run.started_at) + 1


def backtest_of_files(trades: Path, equity: Path | None) -> Backtest:
    """Return a backtest from its trades file; the equity curve from the file named or beside it."""
    side = BacktestTradeLoader().of_file(trades)
    beside = trades.with_name(f"equity{trades.suffix}")
    if equity is None and beside.is_file() and beside != trades:
        equity = beside
    curve = [] if equity is None else read_equity(equity)
    return Backtest(side, curve, f"file {trades.name}")


def backtest_of_config(
    path: Path, symbols: Sequence[str], wanted: TimeRange, database: DatabaseFactory
) -> Backtest:
    """Run the configuration over the range; data from where it says, else from the database.

    The equity curve is that of a single symbol: symbols are simulated apart, each with the whole
    initial balance.
    """
    config = load_yaml_config(path, BacktestConfig)
    named = config.data.store is not None or config.data.database_url is not None
    provider = provider_of(
        config.data, db=None if named else database, default_store=default_store()
    )
    engine = BacktestEngine(config)
    sessions = [
        engine.run(symbol, moment(wanted.start_us), moment(wanted.end_us), provider)
        for symbol in symbols
    ]
    return of_sessions(sessions, f"configuration {path.name}")


def of_sessions(sessions: Sequence[BacktestSession], source: str) -> Backtest:
    """Return finished sessions, one per symbol, as one side."""
    loader = BacktestTradeLoader()
    sides = [loader.of_session(session) for session in sessions]
    single = sessions[0].equity if len(sessions) == 1 else None
    curve: list[tuple[int, Decimal]] = (
        [] if single is None else list(zip(single.ts_us, single.equity, strict=True))
    )
    warnings = [
        f"{session.symbol}: {warning}" for session in sessions for warning in session.warnings
    ]
    side = Side(
        trades=joined([side.trades for side in sides]),
        funding=[paid for side in sides for paid in side.funding],
        warnings=warnings,
    )
    return Backtest(side, curve, source)


def joined(tables: Sequence[TradeTable]) -> TradeTable:
    """Return several tables of one side as one."""
    if len(tables) == 1:
        return tables[0]
    return TradeTable.of_trades(
        Source.BACKTEST, [trade for table in tables for trade in table.trades()]
    )
