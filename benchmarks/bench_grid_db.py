"""Rows per second of grid_db: public trades in and out, each beside a plain driver doing the same.

    uv run python benchmarks/bench_grid_db.py --rows 1000000

The plain baselines are measured in the same run, on the same rows, tables, constraints and
settings of the connection. Plain sqlite3 and plain COPY get rows that are ready to bind; grid_db
gets records and converts, checks and counts them.
"""

import argparse
import gc
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg

from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    PublicTradeRecord,
    PublicTradeRepository,
)
from grid_db.testing import EmbeddedPostgres, settings_for
from grid_db.values import timestamp_us
from gridcore import SideType

Row = tuple[str, float, str, str]
_COLUMNS = "symbol, trade_id, exchange_ts, local_ts, side, price, size"
_START = datetime(2026, 1, 1, tzinfo=UTC)


def make_trades(count: int) -> list[PublicTradeRecord]:
    """Return `count` trades in time order, 20 ms apart, with random UUIDs as on Bybit."""
    rng = random.Random(1)
    ticks = 600_000
    trades = []
    for number in range(count):
        ticks += rng.randint(-3, 3)
        moment = _START + timedelta(milliseconds=20 * number)
        trades.append(
            PublicTradeRecord(
                symbol="BTCUSDT",
                trade_id=str(UUID(int=rng.getrandbits(128))),
                exchange_ts=moment,
                local_ts=moment + timedelta(milliseconds=40),
                side=rng.choice((SideType.BUY, SideType.SELL)),
                price=Decimal(ticks).scaleb(-1),
                size=Decimal(rng.randint(1, 4_000)).scaleb(-3),
            )
        )
    return trades


def rate(rows: int, work: Callable[[], object]) -> float:
    """Return rows per second of one call."""
    gc.collect()
    start = time.perf_counter()
    work()
    return rows / (time.perf_counter() - start)


def insert_all(factory: DatabaseFactory, trades: list[PublicTradeRecord]) -> None:
    """Insert all trades in one transaction; fail if the count is wrong."""
    with factory.get_session() as session:
        assert PublicTradeRepository(session).bulk_insert(trades) == len(trades)


def insert_batches(factory: DatabaseFactory, trades: list[PublicTradeRecord], size: int) -> None:
    """Insert the trades in committed batches of `size`, as the capture daemon does."""
    for first in range(0, len(trades), size):
        with factory.get_session() as session:
            PublicTradeRepository(session).bulk_insert(trades[first : first + size])


def read_columns(factory: DatabaseFactory, count: int) -> None:
    """Read all trades into columns; fail if some are missing."""
    with factory.get_session() as session:
        assert len(PublicTradeRepository(session).read_columns("BTCUSDT")) == count


def read_events(factory: DatabaseFactory, count: int) -> None:
    """Read all trades as events, one at a time."""
    with factory.get_session() as session:
        assert sum(1 for _ in PublicTradeRepository(session).iterate_events("BTCUSDT")) == count


@contextmanager
def sqlite_factory(folder: Path, name: str) -> Iterator[DatabaseFactory]:
    """Give a factory on a new SQLite file with all tables."""
    url = f"sqlite:///{folder / name}"
    with DatabaseFactory(DatabaseSettings(database_url=url)) as factory:
        factory.create_tables()
        yield factory


@contextmanager
def plain_sqlite(file: Path) -> Iterator[sqlite3.Connection]:
    """Give a plain connection with the same settings as grid_db's."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -65536")
        yield connection


def sqlite_rows(folder: Path, trades: list[PublicTradeRecord]) -> Iterator[Row]:
    """Measure SQLite."""
    count, given = len(trades), f"{len(trades):,} trades"
    ready = [
        (
            trade.symbol,
            trade.trade_id,
            timestamp_us(trade.exchange_ts),
            timestamp_us(trade.local_ts),
            trade.side.value,
            str(trade.price),
            str(trade.size),
        )
        for trade in trades
    ]
    with sqlite_factory(folder, "plain.db"):
        pass
    statement = (
        f"INSERT INTO public_trades ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (symbol, trade_id) DO NOTHING"
    )
    with plain_sqlite(folder / "plain.db") as connection:

        def insert() -> None:
            connection.executemany(statement, ready)
            connection.commit()

        plain = rate(count, insert)
    yield "SQLite insert, plain sqlite3 executemany", plain, "rows/s", given
    with sqlite_factory(folder, "ours.db") as factory:
        ours = rate(count, lambda: insert_all(factory, trades))
        yield "SQLite insert, grid_db bulk_insert", ours, "rows/s", given
        yield "SQLite insert, grid_db / plain (target 60 %)", 100 * ours / plain, "%", given

        def read() -> None:
            query = (
                "SELECT exchange_ts, side, price, size FROM public_trades WHERE symbol = ?"
                " ORDER BY exchange_ts, id"
            )
            for _ in connection.execute(query, ("BTCUSDT",)):
                pass

        # twice in turn, the better of both: the first reader also warms the file
        with plain_sqlite(folder / "ours.db") as connection:
            plain, ours = 0.0, 0.0
            for _ in range(2):
                plain = max(plain, rate(count, read))
                ours = max(ours, rate(count, lambda: read_columns(factory, count)))
        yield "SQLite read in time order, plain sqlite3 cursor", plain, "rows/s", given
        yield "SQLite read into columns, grid_db", ours, "rows/s", given
        yield (
            "SQLite read into columns, grid_db / plain (target 60 %)",
            100 * ours / plain,
            "%",
            given,
        )
        events = rate(count, lambda: read_events(factory, count))
        yield "SQLite read into events, grid_db", events, "rows/s", given
    few = trades[: min(count, 20_000)]
    with sqlite_factory(folder, "batches.db") as factory:
        batches = rate(len(few), lambda: insert_batches(factory, few, 100))
    yield "SQLite insert, batches of 100, each committed", batches, "rows/s", f"{len(few):,} trades"


def postgresql_rows(server: EmbeddedPostgres, trades: list[PublicTradeRecord]) -> Iterator[Row]:
    """Measure PostgreSQL."""
    count, given = len(trades), f"{len(trades):,} trades"
    ready = [
        (
            trade.symbol,
            trade.trade_id,
            trade.exchange_ts,
            trade.local_ts,
            trade.side.value,
            trade.price,
            trade.size,
        )
        for trade in trades
    ]
    url = server.create_database(with_tables=True)
    plain_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain_url) as connection:

        def insert() -> None:
            connection.execute(
                "CREATE TEMP TABLE stage ON COMMIT DROP AS"
                f" SELECT {_COLUMNS} FROM public_trades WITH NO DATA"
            )
            with connection.cursor().copy(f"COPY stage ({_COLUMNS}) FROM STDIN") as copy:
                for row in ready:
                    copy.write_row(row)
            connection.execute(
                f"INSERT INTO public_trades ({_COLUMNS}) SELECT {_COLUMNS} FROM stage"
                " ON CONFLICT (symbol, trade_id) DO NOTHING"
            )
            connection.commit()

        plain = rate(count, insert)
    server.drop_database(url)
    yield "PostgreSQL insert, plain COPY and INSERT", plain, "rows/s", given
    url = server.create_database(with_tables=True)
    with DatabaseFactory(settings_for(url)) as factory:
        ours = rate(count, lambda: insert_all(factory, trades))
        yield "PostgreSQL insert, grid_db bulk_insert", ours, "rows/s", given
        yield "PostgreSQL insert, grid_db / plain (target 60 %)", 100 * ours / plain, "%", given
        columns = rate(count, lambda: read_columns(factory, count))
        yield "PostgreSQL read into columns, grid_db", columns, "rows/s", given
        events = rate(count, lambda: read_events(factory, count))
        yield "PostgreSQL read into events, grid_db", events, "rows/s", given
    few = trades[: min(count, 20_000)]
    second = server.create_database(with_tables=True)
    with DatabaseFactory(settings_for(second)) as factory:
        batches = rate(len(few), lambda: insert_batches(factory, few, 100))
    yield (
        "PostgreSQL insert, batches of 100, each committed",
        batches,
        "rows/s",
        f"{len(few):,} trades",
    )
    server.drop_database(second)
    server.drop_database(url)


def rows(count: int = 1_000_000) -> list[Row]:
    """Return (name, value, unit, input) of every figure, over `count` trades."""
    trades = make_trades(count)
    folder = Path(tempfile.mkdtemp(prefix="bench-grid-db-"))
    try:
        table = list(sqlite_rows(folder, trades))
    finally:
        shutil.rmtree(folder)
    server = EmbeddedPostgres()
    try:
        table += postgresql_rows(server, trades)
    finally:
        server.stop()
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000, help="trades to write and read")
    arguments = parser.parse_args()
    for name, value, unit, given in rows(arguments.rows):
        print(f"{name:<58} {value:>12,.0f} {unit:<7} {given}")


if __name__ == "__main__":
    main()
