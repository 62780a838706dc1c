"""Writers, the writing thread and the spool behind it, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from event_saver.spool.rows import TICKERS, TRADES, Batch
from event_saver.spool.spool import Spool
from event_saver.writers import BatchWriter, WriteLimits, WriteLoop, WriterSet, journal
from grid_db import (
    JOURNAL_BOUND_BYTES,
    CaptureStream,
    DatabaseFactory,
    MarketGapRepository,
    TenantScope,
)
from grid_db.testing_rows import NOBODY, SYMBOL, Tenant, after, market_gap, ticker, trade
from testkit.waiting import eventually

LIMITS = WriteLimits(
    batch_size=10, flush_interval_s=0.1, first_retry_s=0.05, longest_retry_s=0.2, memory_rows=500
)


on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
Block = Callable[..., AbstractContextManager[None]]


class Writing:
    """Writers with their thread, ended with the test."""

    def __init__(self, database: DatabaseFactory, spool: Spool, limits: WriteLimits) -> None:
        self.lost: list[tuple[Batch, str]] = []
        self.writers = WriterSet()
        self.loop = WriteLoop(
            database,
            spool,
            self.writers.all,
            limits,
            on_loss=lambda batch, reason: self.lost.append((batch, reason)),
        )
        self.loop.start()


@pytest.fixture
def start(database: DatabaseFactory, spool: Spool) -> Iterator[Callable[..., Writing]]:
    started: list[Writing] = []

    def begin(limits: WriteLimits = LIMITS) -> Writing:
        started.append(Writing(database, spool, limits))
        return started[-1]

    yield begin
    for one in started:
        one.loop.stop()


def stored(database: DatabaseFactory) -> list[str]:
    """Return the trades in the order in which they were stored."""
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT trade_id FROM public_trades ORDER BY id")
        return [row[0] for row in rows]


def test_rows_are_written_by_size_and_by_age(
    start: Callable[..., Writing], database: DatabaseFactory
) -> None:
    one = start()
    one.writers.trades.add_records([trade(n) for n in range(10)])
    eventually(lambda: len(stored(database)) == 10)
    one.writers.trades.add_records([trade(10)])  # below the size
    eventually(lambda: len(stored(database)) == 11, 2)
    stats = one.writers.trades.stats()
    assert (stats.received, stats.written, stats.buffered, stats.failed) == (11, 11, 0, 0)


def test_duplicates_are_counted_and_harmless(
    start: Callable[..., Writing], database: DatabaseFactory
) -> None:
    one = start()
    for _ in range(3):
        one.writers.trades.add_records([trade(n) for n in range(20)])
    eventually(lambda: one.writers.trades.settled == 60)
    stats = one.writers.trades.stats()
    assert (stats.written, stats.duplicate) == (20, 40)
    assert len(stored(database)) == 20


def test_every_kind_of_every_user_is_stored(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool
) -> None:
    one = start()
    tenants = [Tenant(database, name) for name in ("alice", "bob")]
    for tenant in tenants:
        user = tenant.user_id
        one.writers.executions.add_records([tenant.execution()], user)
        one.writers.orders.add_records([tenant.order("New"), tenant.order("Filled")], user)
        one.writers.positions.add_records([tenant.position()], user)
        one.writers.wallets.add_records([tenant.wallet()], user)
        one.writers.gaps.note(tenant.gap(), user)
    one.writers.tickers.add_records([ticker()])
    one.writers.gaps.note(market_gap(), None)
    assert asyncio.run(one.loop.durable(5))
    eventually(
        lambda: spool.is_empty
    )  # where rows go when a statement takes long on a busy machine
    for tenant in tenants:
        with database.get_session() as session:
            scope = TenantScope(session, tenant.user_id)
            account = tenant.account.id
            assert len(list(scope.executions.iterate_by_account(account))) == 1
            latest = scope.orders.get_latest(account, "o1")
            assert latest is not None
            assert latest.status == "Filled"
            assert len(scope.positions.get_by_account_range(account, SYMBOL)) == 1
            assert len(scope.wallets.get_by_account_range(account)) == 1
            (gap,) = scope.capture_gaps.find()
            assert gap.stream is CaptureStream.EXECUTIONS


def test_an_outage_loses_nothing_and_the_spool_is_empty_afterwards(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool, outage: Block
) -> None:
    one = start(replace(LIMITS, max_batch_rows=50))  # so that the replay takes a while
    one.writers.trades.add_records([trade(n) for n in range(10)])
    eventually(lambda: len(stored(database)) == 10)
    with outage(database):
        for first in range(10, 2_000, 10):
            one.writers.trades.add_records([trade(n) for n in range(first, first + 10)])
        eventually(lambda: one.writers.trades.settled == 2_000)
        assert not spool.is_empty
        assert one.writers.trades.buffered == 0
        assert one.loop.database_state().error is not None
    for first in range(2_000, 2_500, 10):
        one.writers.trades.add_records([trade(n) for n in range(first, first + 10)])
        time.sleep(0.002)
    eventually(lambda: spool.is_empty and not one.loop.buffered)
    assert stored(database) == [f"t{n}" for n in range(2_500)]
    assert one.loop.database_state().error is None
    stats = one.writers.trades.stats()
    assert stats.written + stats.duplicate == stats.received == 2_500


def test_small_batches_on_disk_are_stored_together(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool
) -> None:
    for n in range(50):
        spool.append(Batch(TRADES, None, [trade(n)]))
        spool.append(Batch(TICKERS, None, [ticker(exchange_ts=after(n))]))
    one = start()
    eventually(lambda: spool.is_empty)
    assert stored(database) == [f"t{n}" for n in range(50)]
    assert one.writers.tickers.stats().written == 50
    assert one.loop.database_state().commits == 2


def test_what_stayed_on_disk_is_stored_by_the_next_start_in_order(
    database: DatabaseFactory, spool: Spool, tmp_path: Path, outage: Block
) -> None:
    first = Writing(database, spool, LIMITS)
    with outage(database):
        first.writers.trades.add_records([trade(n) for n in range(100)])
        eventually(lambda: first.writers.trades.settled == 100)
        first.writers.trades.add_records([trade(n) for n in range(100, 105)])
        assert first.loop.stop()
    spool.close()
    again = Spool(tmp_path / "spool")
    second = Writing(database, again, LIMITS)
    second.writers.trades.add_records([trade(n) for n in range(105, 200)])
    eventually(lambda: again.is_empty and len(stored(database)) == 200)
    second.loop.stop()
    again.close()
    assert stored(database) == [f"t{n}" for n in range(200)]


def test_one_row_that_the_database_refuses_does_not_hold_up_the_others(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool
) -> None:
    one = start()
    rows = [trade(n) for n in range(40)]
    rows[17] = trade(17, trade_id="x" * 1_000)
    one.writers.trades.add_records(rows)
    eventually(lambda: one.writers.trades.settled == 40)
    assert len(stored(database)) == 39
    assert one.writers.trades.stats().failed == 1
    assert b"x" * 1_000 in (spool.folder / "rejected.lines").read_bytes()


def test_rows_of_an_account_that_is_gone_are_kept_aside(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool
) -> None:
    one, tenant = start(), Tenant(database, "alice")
    stray = replace(tenant.execution("e2"), account_id=NOBODY)
    one.writers.executions.add_records([tenant.execution(), stray], tenant.user_id)
    eventually(lambda: one.writers.executions.settled == 2)
    stats = one.writers.executions.stats()
    assert (stats.written, stats.failed) == (1, 1)
    # so is the row of the ledger that would tell of it
    eventually(lambda: not one.loop.losses.pending)
    assert spool.rejected_rows == 2


def test_a_statement_that_hangs_does_not_let_memory_grow(
    start: Callable[..., Writing], database: DatabaseFactory, spool: Spool, hanging: Block
) -> None:
    one = start()
    with hanging(database, 0.3):
        for first in range(0, 5_000, 10):
            one.writers.trades.add_records([trade(n) for n in range(first, first + 10)])
        eventually(
            lambda: one.writers.trades.buffered <= 500 and one.writers.trades.settled >= 4_000
        )
        assert not spool.is_empty
        eventually(lambda: "has been running" in str(one.loop.database_state().error))
    eventually(lambda: spool.is_empty and not one.loop.buffered)
    assert stored(database) == [f"t{n}" for n in range(5_000)]
    # those of the statement went to disk too, and are counted once
    stats = one.writers.trades.stats()
    assert (stats.received, stats.written, stats.duplicate) == (5_000, 5_000, 0)


def test_rows_told_as_lost_that_a_hanging_statement_stored_are_not_counted_as_lost(
    database: DatabaseFactory, tmp_path: Path, hanging: Block
) -> None:
    tiny = Spool(tmp_path / "tiny", max_bytes=200)
    one = Writing(database, tiny, replace(LIMITS, memory_rows=20))
    with hanging(database, 0.5):
        one.writers.trades.add_records([trade(n) for n in range(30)])
        eventually(lambda: one.writers.trades.buffered == 0)  # the statement has them
        for first in range(30, 500, 10):
            one.writers.trades.add_records([trade(n) for n in range(first, first + 10)])
        eventually(lambda: one.writers.trades.settled >= 450)
    eventually(lambda: one.writers.trades.settled == 500)
    one.writers.trades.add_records([trade(n) for n in range(500, 520)])
    eventually(lambda: one.writers.trades.settled == 520)
    one.writers.trades.add_records([trade(n) for n in range(500, 520)])  # known by now
    eventually(lambda: one.writers.trades.settled == 540)
    one.loop.stop()
    tiny.close()
    stats = one.writers.trades.stats()
    there = len(stored(database))
    assert 50 <= there < 520
    assert (stats.written, stats.dropped, stats.duplicate) == (there, 520 - there, 20)


def test_stopping_while_a_statement_hangs_puts_everything_on_disk(
    database: DatabaseFactory, spool: Spool, tmp_path: Path, hanging: Block
) -> None:
    one = Writing(database, spool, WriteLimits(batch_size=10, flush_interval_s=5))
    with hanging(database, 0):
        one.writers.trades.add_records([trade(n) for n in range(20)])
        eventually(lambda: one.writers.trades.buffered == 0)
        one.writers.trades.add_records([trade(n) for n in range(20, 40)])
        begun = time.monotonic()
        assert not one.loop.stop(0.3)
        assert time.monotonic() - begun < 1
        assert one.loop.buffered <= 20  # those in the statement, which are on disk too
    spool.close()
    again = Spool(tmp_path / "spool")
    rows = [record.trade_id for batch in again.peek(1_000) for record in batch.records]
    assert rows == [f"t{n}" for n in range(40)]
    again.close()
    eventually(lambda: not one.loop.is_alive)


def test_with_no_room_public_rows_go_first_and_the_loss_is_told(
    database: DatabaseFactory, tmp_path: Path, outage: Block
) -> None:
    tenant = Tenant(database, "alice")
    small = Spool(tmp_path / "small", max_bytes=10_000)
    one = Writing(database, small, LIMITS)
    with outage(database):
        for first in range(0, 500, 10):
            one.writers.trades.add_records([trade(n) for n in range(first, first + 10)])
            one.loop.flush()
        eventually(lambda: one.writers.trades.settled == 500)
        one.writers.executions.add_records([tenant.execution()], tenant.user_id)
        assert asyncio.run(one.loop.durable(5))
    eventually(lambda: small.is_empty)
    one.loop.stop()
    small.close()
    stats = one.writers.trades.stats()
    assert stats.dropped > 0
    assert stats.written == len(stored(database)) == 500 - stats.dropped
    assert one.writers.executions.stats().written == 1
    lost = [record.trade_id for batch, _ in one.lost for record in batch.records]
    assert sorted([*lost, *stored(database)]) == sorted(f"t{n}" for n in range(500))
    assert all("lost while the database was away" in reason for _, reason in one.lost)


def test_durable_waits_for_rows_added_before_and_gives_up_in_time(
    start: Callable[..., Writing], database: DatabaseFactory, hanging: Block
) -> None:
    one = start(WriteLimits(batch_size=1_000, flush_interval_s=60))
    one.writers.trades.add_records([trade(n) for n in range(3)])
    assert asyncio.run(one.loop.durable(5))
    assert len(stored(database)) == 3
    with hanging(database, 0):
        one.writers.trades.add_records([trade(3, exchange_ts=after(9))])
        assert not asyncio.run(one.loop.durable(0.2))


def test_two_loops_on_one_database_are_harmless(
    start: Callable[..., Writing], database: DatabaseFactory, tmp_path: Path
) -> None:
    other_spool = Spool(tmp_path / "other")
    one, two = start(), Writing(database, other_spool, LIMITS)
    for first in range(0, 1_000, 20):
        for writing in (one, two):
            writing.writers.trades.add_records([trade(n) for n in range(first, first + 20)])
    eventually(lambda: one.writers.trades.settled == two.writers.trades.settled == 1_000)
    two.loop.stop()
    other_spool.close()
    written = one.writers.trades.stats().written + two.writers.trades.stats().written
    assert written == len(stored(database)) == 1_000


@on_sqlite
def test_a_reader_that_keeps_the_log_from_being_emptied_is_told(
    database: DatabaseFactory, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LOOK_S", 0.1)
    one = Writing(database, spool, LIMITS)
    one.writers.trades.add_records([trade(n) for n in range(10)])
    eventually(lambda: len(stored(database)) == 10)
    with database.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM public_trades").all()
        with database.transaction() as connection:
            connection.exec_driver_sql("CREATE TABLE filler (content BLOB)")
            connection.exec_driver_sql(
                f"INSERT INTO filler VALUES (zeroblob({JOURNAL_BOUND_BYTES + (1 << 20)}))"
            )
        eventually(lambda: one.loop.database_state().journal_held_s > 0)
        assert one.loop.database_state().journal_bytes > JOURNAL_BOUND_BYTES
        one.writers.trades.add_records([trade(n) for n in range(10, 20)])  # writing goes on
        eventually(lambda: len(stored(database)) == 20)
    eventually(lambda: not one.loop.database_state().journal_held_s)
    assert one.loop.database_state().journal_bytes < JOURNAL_BOUND_BYTES
    one.loop.stop()


@on_sqlite
@pytest.mark.parametrize("room", [1 << 20, 2_000], ids=["room on disk", "no room"])
def test_a_failure_that_nobody_foresaw_leaves_rows_on_disk_or_a_gap(
    database: DatabaseFactory, tmp_path: Path, room: int
) -> None:
    def store(*_: object) -> int:
        raise RuntimeError("a fault of the program itself")

    writers = WriterSet()
    broken = BatchWriter(replace(TRADES, store=store))
    spool = Spool(tmp_path / "spool", max_bytes=room)
    loop = WriteLoop(database, spool, [writers.gaps, broken], LIMITS)
    loop.start()
    broken.add_records([trade(n) for n in range(200)])
    eventually(lambda: broken.settled == 200 and not loop.losses.pending and spool.is_empty)
    loop.stop()
    spool.close()
    with database.get_session() as session:
        gaps = MarketGapRepository(session).find(stream=CaptureStream.TRADES)
    if room > 2_000:
        assert len(stored(database)) == 200  # read back from the disk as what they are
        assert gaps == []
        return
    (gap,) = gaps
    assert (gap.gap_start, gap.gap_end) == (trade(0).exchange_ts, trade(199).exchange_ts)
