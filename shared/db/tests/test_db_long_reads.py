"""Readers that take their time: every row in order, and SQLite's log goes on being emptied."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from grid_db import (
    JOURNAL_BOUND_BYTES,
    DatabaseFactory,
    DatabaseSettings,
    PublicTradeRecord,
    PublicTradeRepository,
    TenantScope,
)
from grid_db.columns import TradeColumns
from grid_db.testing_rows import NOW, SYMBOL, Tenant, trade


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "long.db"


def opened(file: Path) -> DatabaseFactory:
    return DatabaseFactory(DatabaseSettings(database_url=SecretStr(f"sqlite:///{file}")))


@pytest.fixture
def sqlite(file: Path) -> Iterator[DatabaseFactory]:
    with opened(file) as database:
        database.create_tables()
        yield database


def store(database: DatabaseFactory, trades: list[PublicTradeRecord]) -> None:
    with database.get_session() as session:
        assert PublicTradeRepository(session).bulk_insert(trades) == len(trades)


def log_of(file: Path) -> int:
    return file.with_name(file.name + "-wal").stat().st_size


def fill(database: DatabaseFactory) -> None:
    """Write more than the log is to hold."""
    with database.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE filler (content BLOB)")
    for _ in range(10):
        with database.transaction() as connection:
            connection.exec_driver_sql(f"INSERT INTO filler VALUES (zeroblob({8 << 20}))")


def at(millisecond: int) -> datetime:
    return NOW + timedelta(milliseconds=millisecond)


# trades of one moment: few, as many as a page holds, around its border, and more than two pages
TIES = [
    lambda number: number,
    lambda number: number // 7,
    lambda number: number // 2_000,
    lambda number: number // 1_999,
    lambda number: 0 if number < 9_000 else number,
    lambda number: 0,
]


@pytest.mark.parametrize("moment_of", TIES, ids=range(len(TIES)))
def test_every_row_comes_once_and_in_order(database: DatabaseFactory, moment_of: object) -> None:
    assert callable(moment_of)
    trades = [
        trade(number, exchange_ts=at(moment_of(number)), symbol=SYMBOL) for number in range(12_345)
    ]
    store(database, trades)
    with database.get_session() as session:
        repository = PublicTradeRepository(session)
        assert list(repository.iterate(SYMBOL)) == trades
        columns = repository.read_columns(SYMBOL)
        some = repository.read_columns(SYMBOL, at(1), at(2))
    assert list(columns.price.to_decimals()) == [one.price for one in trades]
    assert len(some) == sum(one.exchange_ts == at(1) for one in trades)


def test_executions_too(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    rows = [tenant.execution(f"e{number}", exchange_ts=at(number // 3)) for number in range(11_000)]
    with database.get_session() as session:
        TenantScope(session, tenant.user_id).executions.bulk_insert(rows)
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        assert list(scope.executions.iterate_by_account(tenant.account.id)) == rows


@pytest.mark.slow
@pytest.mark.parametrize("how", ["iterate", "iterate_columns"])
def test_a_slow_reader_does_not_hold_the_log(sqlite: DatabaseFactory, file: Path, how: str) -> None:
    store(sqlite, [trade(number) for number in range(20_000)])
    with opened(file) as other, other.get_session() as session:
        repository = PublicTradeRepository(session)
        rows: Iterator[object] = (
            repository.iterate(SYMBOL)
            if how == "iterate"
            else repository.iterate_columns(SYMBOL, chunk_rows=1_000)
        )
        next(rows)
        for first in range(20_000, 120_000, 5_000):
            store(sqlite, [trade(number) for number in range(first, first + 5_000)])
        assert log_of(file) < 10 << 20
        # what was stored meanwhile is later, so it comes too
        read = sum(len(one) if isinstance(one, TradeColumns) else 1 for one in rows)
    assert read > 117_000


def test_a_reader_of_somebody_else_that_holds_the_log_is_told_until_it_is_gone(
    sqlite: DatabaseFactory, file: Path
) -> None:
    store(sqlite, [trade(number) for number in range(10)])
    state = sqlite.trim_journal()
    assert state is not None
    assert not state.is_held
    with opened(file) as other, other.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT count(*) FROM public_trades").all()
        fill(sqlite)
        assert log_of(file) > JOURNAL_BOUND_BYTES
        state = sqlite.trim_journal()
        assert state is not None
        assert state.is_held
        assert state.size > JOURNAL_BOUND_BYTES
    state = sqlite.trim_journal()
    assert state is not None
    assert (state.size, state.is_held) == (0, False)
    assert log_of(file) == 0


def test_a_log_that_was_held_shrinks_by_itself(sqlite: DatabaseFactory, file: Path) -> None:
    """Also where no writer of ours looks at it: other programs use the file too."""
    store(sqlite, [trade(number) for number in range(10)])
    with opened(file) as other, other.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SELECT count(*) FROM public_trades").all()
        fill(sqlite)
        assert log_of(file) > JOURNAL_BOUND_BYTES + (8 << 20)
    for number in range(10, 15_000, 5_000):
        store(sqlite, [trade(n) for n in range(number, number + 5_000)])
    assert log_of(file) <= JOURNAL_BOUND_BYTES


def test_other_databases_have_no_such_log(database: DatabaseFactory) -> None:
    if database.dialect == "postgresql":
        assert database.trim_journal() is None
