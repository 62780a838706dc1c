"""A disk that is full, for real: what is sent is a row or lies in a gap, also after kill -9."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from event_saver.spool.spool import Spool
from event_saver.writers import WriteLimits, WriteLoop, WriterSet
from grid_db import (
    CaptureStream,
    DatabaseFactory,
    DatabaseSettings,
    GapStatus,
    MarketGapRepository,
    PublicTradeRepository,
    TenantScope,
)
from grid_db.testing_rows import NOBODY, SYMBOL, Tenant, market_gap, trade
from testkit.waiting import eventually

LIMITS = WriteLimits(batch_size=10, flush_interval_s=0.1, first_retry_s=0.05, longest_retry_s=0.2)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class SmallDisk:
    """A file system of some megabytes in memory, for database and spool."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path / 'small.db'}"

    def fill(self) -> None:
        """Take all that is left."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "small", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - as mount above


@pytest.fixture
def small_database(small_disk: SmallDisk) -> Iterator[DatabaseFactory]:
    settings = DatabaseSettings(database_url=SecretStr(small_disk.url))
    with DatabaseFactory(settings) as database:
        database.create_tables()
        yield database


def stored_and_gaps(database: DatabaseFactory) -> tuple[set[str], list[Any]]:
    with database.get_session() as session:
        rows = {one.trade_id for one in PublicTradeRepository(session).iterate(SYMBOL)}
        return rows, MarketGapRepository(session).find(stream=CaptureStream.TRADES)


def unexplained(numbers: range, rows: set[str], gaps: list[Any]) -> list[int]:
    def lies_in_one(moment: datetime) -> bool:
        return any(gap.gap_start <= moment <= gap.gap_end for gap in gaps)

    return [
        n for n in numbers if f"t{n}" not in rows and not lies_in_one(trade(n).exchange_ts)
    ]  # fmt: skip


@pytest.mark.slow
def test_every_trade_that_found_no_room_lies_in_a_gap(
    small_disk: SmallDisk, small_database: DatabaseFactory
) -> None:
    spool = Spool(small_disk.path / "spool")
    writers = WriterSet()
    loop = WriteLoop(small_database, spool, writers.all, LIMITS)
    loop.start()
    chance = random.Random(3)
    number = 0

    def send(seconds: float) -> None:
        nonlocal number
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count = chance.randint(1, 30)
            writers.trades.add_records([trade(n) for n in range(number, number + count)])
            number += count
            time.sleep(0.01)

    send(0.5)
    for _ in range(3):
        small_disk.fill()
        send(1.5)
        writers.gaps.note(market_gap(stream=CaptureStream.TICKERS), None)
        eventually(lambda: loop.losses.pending > 0)
        small_disk.free()
        send(0.5)
    eventually(lambda: not loop.losses.pending and not loop.buffered and spool.is_empty)
    loop.stop()
    spool.close()
    stats = writers.trades.stats()
    rows, gaps = stored_and_gaps(small_database)
    assert stats.dropped > 100  # it was full, really
    assert len(rows) == number - stats.dropped
    assert unexplained(range(number), rows, gaps) == []
    assert len(gaps) <= stats.dropped / 10  # losses of one outage are a few entries
    assert all(gap.status is GapStatus.OPEN for gap in gaps)
    assert all(gap.reason.startswith("lost while the database was away; ") for gap in gaps)
    with small_database.get_session() as session:
        assert MarketGapRepository(session).find(stream=CaptureStream.TICKERS)


def test_nothing_of_an_account_is_lost_without_a_gap_of_it(
    small_disk: SmallDisk, small_database: DatabaseFactory
) -> None:
    tenant = Tenant(small_database, "alice")
    spool = Spool(small_disk.path / "spool")
    writers = WriterSet()
    loop = WriteLoop(small_database, spool, writers.all, LIMITS)
    loop.start()
    small_disk.fill()
    writers.executions.add_records([tenant.execution("e1", symbol="ETHUSDT")], tenant.user_id)
    writers.wallets.add_records([tenant.wallet()], tenant.user_id)
    eventually(lambda: loop.losses.pending == 2)
    small_disk.free()
    eventually(lambda: not loop.losses.pending)
    loop.stop()
    spool.close()
    with small_database.get_session() as session:
        gaps = TenantScope(session, tenant.user_id).capture_gaps.find(tenant.account.id)
    found = {(gap.stream, gap.symbol, gap.status) for gap in gaps}
    assert found == {
        (CaptureStream.EXECUTIONS, "ETHUSDT", GapStatus.OPEN),
        (CaptureStream.WALLET, "*", GapStatus.MISSING),
    }


def test_rows_and_gaps_wait_for_room_without_files_piling_up(
    small_disk: SmallDisk, small_database: DatabaseFactory
) -> None:
    spool = Spool(small_disk.path / "spool")
    writers = WriterSet()
    loop = WriteLoop(small_database, spool, writers.all, LIMITS)
    loop.start()
    small_disk.fill()
    for first in range(0, 500, 10):
        writers.trades.add_records([trade(n) for n in range(first, first + 10)])
        time.sleep(0.005)
    eventually(lambda: writers.trades.settled == 500)
    assert len(list(spool.folder.iterdir())) <= 4
    loop.stop()  # there is no room to the end
    assert loop.losses.pending
    spool.close()


def test_a_row_that_the_database_refuses_lies_in_a_gap_even_where_it_is_not_kept(
    small_disk: SmallDisk, small_database: DatabaseFactory
) -> None:
    tenant = Tenant(small_database, "alice")
    spool = Spool(small_disk.path / "spool")
    writers = WriterSet()
    loop = WriteLoop(small_database, spool, writers.all, LIMITS)
    (spool.folder / "rejected.lines").mkdir()  # no file can be written there
    stray = replace(tenant.execution("e1"), run_id=NOBODY)
    writers.executions.add_records([stray], tenant.user_id)
    loop.start()
    eventually(lambda: writers.executions.stats().failed == 1 and not loop.losses.pending)
    loop.stop()
    spool.close()
    with small_database.get_session() as session:
        (gap,) = TenantScope(session, tenant.user_id).capture_gaps.find()
    assert gap.status is GapStatus.MISSING
    assert gap.reason.startswith("refused by the database; not kept: ")
    assert gap.gap_start == gap.gap_end == stray.exchange_ts


@pytest.mark.slow
@on_sqlite
@pytest.mark.parametrize("end", ["kill", "term", "kill when there is room again"])
def test_a_daemon_that_ends_while_the_disk_is_full_leaves_the_loss_to_the_next_start(
    small_disk: SmallDisk,
    small_database: DatabaseFactory,
    database: DatabaseFactory,
    start_exchange: Any,
    make_contexts: Any,
    make_stored: Any,
    settings_file: Any,
    children: Any,
    end: str,
) -> None:
    exchange = start_exchange(per_s=1_500)
    contexts = make_contexts(small_database, exchange)[:1]
    file = settings_file(small_database, exchange, SPOOL_DIR=small_disk.path / "spool")
    stored = make_stored(small_database, contexts)
    child = children.start("--config", str(file))
    eventually(lambda: len(stored.trades()) > 500)
    begun: dict[str, int] = {}
    for key in stored.trades():
        moment = exchange.said.trades[key]
        begun[key[0]] = min(moment, begun.get(key[0], moment))
    said = dict(exchange.said.trades)
    before = {key for key, moment in said.items() if moment < begun[key[0]]}
    small_disk.fill()
    for _ in range(20):
        exchange.trade_some(1)
        time.sleep(0.1)
    if end == "term":
        child.terminate()
    else:
        if end != "kill":
            small_disk.free()
            time.sleep(1.0)
        child.kill()
    child.join(12)
    if end in ("kill", "term"):
        small_disk.free()
    known = len(stored.trades())
    child = children.start("--config", str(file))
    # a busy machine takes its time to start, and to fetch what was missed
    eventually(lambda: len(stored.trades()) > known, 60)
    exchange.trade_some(2)
    time.sleep(6.0)
    exchange.halt()
    time.sleep(3.0)
    child.terminate()
    child.join(12)
    assert child.exitcode == 0
    absent = set(exchange.said.trades) - before - set(stored.trades())
    assert len(absent) > 500  # more than could be asked for
    gaps = [gap for gap in stored.gaps() if gap.stream is CaptureStream.TRADES]
    lonely = [
        key
        for key in absent
        if not any(
            gap.symbol == key[0]
            and gap.gap_start.timestamp() * 1000 <= exchange.said.trades[key] + 1
            and exchange.said.trades[key] - 1 <= gap.gap_end.timestamp() * 1000
            for gap in gaps
        )
    ]
    assert lonely == []
    assert set(stored.executions()["alice"]) == exchange.said.executions["alice"]
