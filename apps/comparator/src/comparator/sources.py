"""Where a comparison gets its inputs: the database, its user, a backtest from files or made now."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr, ValidationError

from backtest.places import default_store
from backtest.result.session import BacktestSession
from backtest.run.engine import BacktestEngine
from backtest.run.sources import provider_of
from backtest.settings.config import BacktestConfig
from comparator.columns.errors import ComparatorError
from comparator.columns.trades import Source, TradeTable
from comparator.money.equity import Point
from comparator.sides.backtest_file import read_equity
from comparator.sides.loader import BacktestTradeLoader, Side
from grid_config.yaml_config import load_yaml_config
from grid_db import (
    DatabaseConfigError,
    DatabaseFactory,
    DatabaseSettings,
    UserRepository,
    user_id_for,
)
from gridcore.moments import moment
from market_data.basics.time_range import TimeRange


class Backtest(NamedTuple):
    """A backtest to compare with: what it did, its equity curve, and where it comes from."""

    side: Side
    curve: list[Point]
    source: str


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


def backtest_of_files(trades: str | Path, equity: str | Path | None) -> Backtest:
    """Return a backtest from its trades file; the equity curve from the file named or beside it."""
    trades = Path(trades)
    side = BacktestTradeLoader().of_file(trades)
    beside = trades.with_name(f"equity{trades.suffix}")
    if equity is None and beside.is_file() and beside != trades:
        equity = beside
    curve = [] if equity is None else read_equity(equity)
    return Backtest(side, curve, f"file {trades.name}")


def backtest_of_config(
    path: str | Path, symbols: Sequence[str], wanted: TimeRange, database: DatabaseFactory
) -> Backtest:
    """Run the configuration over the range; data from where it says, else from the database.

    The equity curve is that of a single symbol: symbols are simulated apart, each with the whole
    initial balance.
    """
    path = Path(path)
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
