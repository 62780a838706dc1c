"""Breaks of the connection: fetched afterwards, or in the ledger with times and reason."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import BybitAsyncClient, BybitRestClient
from event_saver.main import EventSaver
from event_saver.reconcile import market as reconcile_market
from event_saver.reconcile.account import AccountFeed, AccountSource
from event_saver.reconcile.reconciler import Patience
from event_saver.writers import WriterSet
from grid_db import CaptureStream, DatabaseFactory, GapStatus, TenantScope
from testkit.waiting import until

LONG = "SAVER_LONG" in os.environ


# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def is_up(saver: EventSaver) -> bool:
    return all(one["is_connected"] for one in saver.get_stats()["streams"].values())


async def stream(exchange: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        exchange.trade_some(2)
        await asyncio.sleep(0.1)


def ms(moment: datetime) -> float:
    return moment.timestamp() * 1000


def latest(orders: dict[tuple[str, str, int], str]) -> dict[tuple[str, str], str]:
    return {key[:2]: orders[key] for key in sorted(orders)}


async def begin(saver: EventSaver, contexts: list[Any]) -> None:
    for context in contexts:
        await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver))
    # the trades of three symbols and each account are looked at after the connection
    await settled(saver)


async def settled(saver: EventSaver, within_s: float = 40.0) -> None:
    """Return once no break is being looked at; the news of one may still be on its way."""
    for _ in range(2):
        await until(lambda: saver.get_stats()["gaps"]["working"] == 0, within_s)
        await asyncio.sleep(0.2)


async def end(exchange: Any, saver: EventSaver, broken_s: float = 0.0) -> None:
    """Stop once the break was worked on, which takes longer for a long one."""
    await until(lambda: is_up(saver), 40.0)
    gaps = saver.get_stats
    await settled(saver, 40.0 + broken_s / 5)
    exchange.halt()
    await asyncio.sleep(0.5)
    await until(lambda: not any(one["waiting"] for one in gaps()["streams"].values()))
    assert await saver.flushed()
    # a statement that takes long on a busy machine lets rows go to disk
    await until(lambda: gaps()["spool"]["bytes"] == 0, 15.0 + broken_s / 5)
    await saver.stop()


def check(exchange: Any, stored: Any, before: set[Any]) -> None:
    """All private facts are there; every trade that is not lies in a gap, and every gap lacks
    some."""
    for name, ids in exchange.said.executions.items():
        assert sorted(stored.executions()[name]) == sorted(ids)
    assert latest(stored.orders()) == latest(exchange.said.orders)
    absent = set(exchange.said.trades) - before - set(stored.trades())
    ledger = [one for one in stored.gaps() if one.stream is CaptureStream.TRADES]
    explained = set()
    for gap in ledger:
        inside = {
            key
            for key in absent
            if key[0] == gap.symbol
            and ms(gap.gap_start) <= exchange.said.trades[key] <= ms(gap.gap_end)
        }
        assert inside, f"nothing is missing in {gap}"
        explained |= inside
    assert absent == explained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "per_s"), [(1.0, 150), (2.6, 150), *([(30.0, 60), (600.0, 3)] if LONG else [])]
)
async def test_a_break_is_closed_where_the_exchange_still_has_everything(
    world: Callable[..., Any], seconds: float, per_s: float
) -> None:
    threshold = 20.0 if seconds < 2 else 2.0  # a busy machine takes its time to reconnect
    config = {"gap_threshold_seconds": threshold}
    exchange, saver, contexts, stored = world(per_s=per_s, config=config)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("*", seconds)
    await stream(exchange, seconds + 0.5)
    await end(exchange, saver, seconds)
    check(exchange, stored, before)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    ledger = stored.gaps()
    assert all(one.status is GapStatus.MISSING for one in ledger)
    streams = sorted(one.stream for one in ledger)
    if seconds < threshold:
        assert streams == []
        return
    # states have no history: tickers of three symbols, positions and wallet of two accounts
    assert streams == ["positions"] * 2 + ["tickers"] * 3 + ["wallet"] * 2
    for gap in ledger:
        assert "no history" in gap.reason
        assert gap.reason.startswith("disconnected")
        assert timedelta(seconds=seconds - 1) < gap.gap_end - gap.gap_start


@on_sqlite
async def test_a_range_that_is_longer_than_an_answer_is_fetched_in_full(
    database: DatabaseFactory, start_exchange: Any, make_contexts: Any
) -> None:
    exchange = start_exchange()
    context = make_contexts(database, exchange)[0]
    start = datetime.now(UTC)
    for _ in range(15):
        exchange.trade_some(20)
        await asyncio.sleep(0.03)
    exchange.halt()
    writers = WriterSet()
    source = AccountSource(database, writers, overlap_s=1.0, most_pages=1)
    with BybitRestClient(context.api_key, context.api_secret, context.place) as client:
        feed = AccountFeed(context.owner, frozenset(context.symbols), BybitAsyncClient(client))
        executed = await source.fetch_executions(feed, start)
        await source.fetch_orders(feed, start)
        (batch,) = writers.executions.take(10_000)
        with database.get_session() as session:
            TenantScope(session, context.user_id).executions.bulk_insert(batch.records)
        assert await source.fetch_executions(feed, start) == executed
        assert writers.executions.buffered == 0  # what is stored is not stored again
    said = exchange.said
    assert len(said.executions["alice"]) > 100  # what a page has
    assert {one.exec_id for one in batch.records} == said.executions["alice"]
    assert executed == {(one.symbol, one.order_id) for one in batch.records}
    assert all(one.closed_pnl is not None for one in batch.records if one.closed_size)
    (orders,) = writers.orders.take(10_000)
    found = {one.order_id: one.status for one in orders.records}
    assert found == {
        order_id: status
        for (name, order_id), status in latest(said.orders).items()
        if name == "alice"
    }


@on_sqlite
async def test_an_order_that_was_open_at_the_last_look_is_asked_for_by_its_id(
    database: DatabaseFactory, start_exchange: Any, make_contexts: Any
) -> None:
    exchange = start_exchange()
    context = make_contexts(database, exchange)[0]
    await asyncio.sleep(0.2)  # until there is a price
    order_id = exchange.rest_order("alice")
    writers = WriterSet()
    source = AccountSource(database, writers, overlap_s=0.0)
    with BybitRestClient(context.api_key, context.api_secret, context.place) as client:
        feed = AccountFeed(context.owner, frozenset(context.symbols), BybitAsyncClient(client))
        await asyncio.sleep(0.1)
        await source.fetch_orders(feed, datetime.now(UTC))  # it was created before
        exchange.call(
            lambda: exchange.parts.exchange.cancel(
                exchange.parts.exchange.accounts["alice"], "BTCUSDT", order_id, ""
            )
        )
        await asyncio.sleep(0.1)
        await source.fetch_orders(feed, datetime.now(UTC))
        (batch,) = writers.orders.take(100)
        await source.fetch_orders(feed, datetime.now(UTC))
    assert [(one.order_id, one.status) for one in batch.records] == [
        (order_id, "New"),
        (order_id, "Cancelled"),
    ]
    assert writers.orders.buffered == 0


@pytest.mark.slow
@on_sqlite
async def test_what_the_exchange_cannot_give_stands_in_the_ledger(
    world: Callable[..., Any],
) -> None:
    exchange, saver, contexts, stored = world(per_s=1_500)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("public", 2.5)
    await stream(exchange, 3.0)
    await end(exchange, saver)
    check(exchange, stored, before)
    trades = [one for one in stored.gaps() if one.stream is CaptureStream.TRADES]
    assert {one.symbol for one in trades} == {"BTCUSDT", "ETHUSDT", "LTCUSDT"}
    for gap in trades:
        assert gap.status is GapStatus.MISSING
        assert gap.reason == (
            "disconnected; only the last 1,000 trades can be asked for afterwards"
        )
        assert gap.account_id is None


@on_sqlite
async def test_an_exchange_that_does_not_answer_leaves_an_open_gap_that_is_closed_later(
    world: Callable[..., Any],
) -> None:
    config = {"gap_threshold_seconds": 20.0}  # a busy machine takes its time to reconnect
    exchange, saver, contexts, stored = world(per_s=60, config=config)
    await begin(saver, contexts[:1])
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.fault("ret_code", channel="rest", code=10005, message="Permission denied")
    exchange.cut("*", 0.5)
    await stream(exchange, 1.0)
    await until(lambda: saver.get_stats()["gaps"]["noted"] >= 5)
    await asyncio.sleep(0.5)
    ledger = stored.gaps()
    assert {one.status for one in ledger} == {GapStatus.OPEN}
    assert sorted({one.stream for one in ledger}) == ["executions", "orders", "trades"]
    assert all("Permission denied" in one.reason for one in ledger)
    assert "alice-key" not in str(ledger)
    exchange.call(exchange.parts.faults.remove)
    assert await saver.retry_gaps() == 5
    await end(exchange, saver)
    check_filled = stored.gaps()
    assert {one.status for one in check_filled} == {GapStatus.FILLED}
    assert all(one.reason == "disconnected; fetched later" for one in check_filled)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])


class Archive:
    """Daily files over HTTP, as the exchange publishes them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        files = self.files

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/trading"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(self, exchange: Any) -> None:
        """Write a file for each symbol and day of what was traded."""
        lines: dict[str, list[str]] = {}
        for symbol, market in exchange.parts.exchange.markets.items():
            for (name, trade_id), moment in exchange.said.trades.items():
                if name != symbol:
                    continue
                day = datetime.fromtimestamp(moment / 1000, UTC).date().isoformat()
                price = market.price(market.last_ticks)
                stamp = f"{Decimal(moment) / 1000:.4f}"
                lines.setdefault(f"/trading/{symbol}/{symbol}{day}.csv.gz", []).append(
                    f"{stamp},{symbol},Buy,1,{price},PlusTick,{trade_id},1,1,1"
                )
        head = (
            "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
            "foreignNotional"
        )
        for path, rows in lines.items():
            self.files[path] = gzip.compress("\n".join([head, *rows, ""]).encode())


@pytest.fixture
def archive() -> Iterator[Archive]:
    served = Archive()
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.mark.slow
@on_sqlite
async def test_older_trades_come_from_the_daily_files_once_they_appear(
    world: Callable[..., Any], archive: Archive
) -> None:
    exchange, saver, _, stored = world(per_s=1_500, config={"archive_url": archive.url})
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    exchange.cut("public", 2.5)
    await asyncio.sleep(3.0)
    await until(lambda: is_up(saver) and saver.get_stats()["gaps"]["noted"] >= 6)
    exchange.halt()
    await asyncio.sleep(1.0)

    def open_gaps() -> list[Any]:
        return [one for one in stored.gaps() if one.status is GapStatus.OPEN]

    assert len(open_gaps()) == 3
    assert await saver.retry_gaps() == 0  # the day is not over
    assert all("has no trades of" in one.reason for one in open_gaps())
    assert {one.attempts for one in open_gaps()} == {1}
    archive.publish(exchange)
    assert await saver.retry_gaps() == 3
    await saver.stop()
    assert open_gaps() == []
    assert set(exchange.said.trades) - before <= set(stored.trades())
    reasons = [one.reason for one in stored.gaps() if one.status is GapStatus.FILLED]
    assert all("trades from the archive" in reason for reason in reasons)


@pytest.mark.slow
async def test_a_restart_closes_what_was_missed_and_twice_changes_nothing(
    world: Callable[..., Any], make_saver: Any
) -> None:
    exchange, saver, contexts, stored = world(per_s=100)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    await stream(exchange, 0.5)
    await saver.stop()
    await stream(exchange, 1.0)
    for _ in range(2):
        again = make_saver(exchange)
        for context in contexts:
            await again.add_account(context)
        await again.start()
        await settled(again)
        await again.stop()
    exchange.halt()
    last = make_saver(exchange)
    for context in contexts:
        await last.add_account(context)
    await last.start()
    await end(exchange, last)
    check(exchange, stored, before)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    rows = (stored.trades(), stored.executions(), stored.orders())
    final = make_saver(exchange)
    await final.start()
    await end(exchange, final)
    assert (stored.trades(), stored.executions(), stored.orders()) == rows


@on_sqlite
async def test_what_a_process_left_because_it_ended_too_soon_is_fetched_by_the_next(
    world: Callable[..., Any], make_saver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows of after the hole must not make the hole look captured."""
    monkeypatch.setattr(reconcile_market, "OVERLAP", timedelta(0))
    exchange, saver, _, stored = world(per_s=100)
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    await asyncio.sleep(0.5)
    await saver.stop()
    await asyncio.sleep(1.0)
    hasty = make_saver(exchange, patience=Patience(settle_s=60.0))
    await hasty.start()
    await until(lambda: is_up(hasty))
    await asyncio.sleep(1.0)
    await hasty.stop()
    last = make_saver(exchange)
    await last.start()
    await end(exchange, last)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    # states have no history
    assert {one.stream for one in stored.gaps()} == {CaptureStream.TICKERS}


@on_sqlite
async def test_a_lost_file_and_a_crash_right_after_do_not_hide_a_hole(
    world: Callable[..., Any], make_saver: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second process knows the hole from the rows alone, and ends before it is fetched."""
    monkeypatch.setattr(reconcile_market, "OVERLAP", timedelta(0))
    exchange, saver, _, stored = world(per_s=100)
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    await asyncio.sleep(0.5)
    await saver.stop()
    (tmp_path / "spool" / "progress.json").unlink()
    await asyncio.sleep(1.0)
    hasty = make_saver(exchange, patience=Patience(settle_s=60.0))
    await hasty.start()
    await until(lambda: is_up(hasty))
    await asyncio.sleep(0.5)
    await hasty.stop()
    last = make_saver(exchange)
    await last.start()
    await end(exchange, last)
    assert set(exchange.said.trades) - before <= set(stored.trades())


@pytest.mark.slow
@on_sqlite
async def test_an_account_that_is_removed_before_it_is_connected_stays_away(
    world: Callable[..., Any],
) -> None:
    exchange, saver, contexts, _ = world(per_s=30)
    await begin(saver, [])
    exchange.fault("refuse", channel="private")
    await saver.add_account(contexts[0])
    await asyncio.sleep(0.5)
    assert await saver.remove_account(contexts[0].account_id)
    assert saver.get_stats()["gaps"]["working"] == 0
    exchange.call(exchange.parts.faults.remove)
    await asyncio.sleep(6.0)  # longer than one look at the connection
    sessions = exchange.call(lambda: list(exchange.parts.hub.sessions.values()))
    assert [one for one in sessions if one.account is not None] == []
    await saver.stop()


@on_sqlite
async def test_an_account_that_comes_back_while_its_past_is_looked_at_is_held_until_that_is_done(
    world: Callable[..., Any], make_saver: Any, tmp_path: Path
) -> None:
    """The first look must not release what the second one holds."""
    exchange, _, contexts, _ = world(per_s=30)
    saver = make_saver(exchange, patience=Patience(settle_s=4.0, pauses_s=(0.1,)))
    await saver.start()
    await saver.add_account(contexts[0])
    await until(lambda: is_up(saver))
    await asyncio.sleep(3.0)
    assert await saver.remove_account(contexts[0].account_id)
    await saver.add_account(contexts[0])
    await until(lambda: is_up(saver))
    await asyncio.sleep(1.7)  # the first look would be over by now, the second one is not
    await saver.stop()
    held = json.loads((tmp_path / "spool" / "progress.json").read_text())["held"]
    assert f"executions/{contexts[0].account_id}/*" in held


@on_sqlite
async def test_an_order_from_long_before_the_break_that_ended_in_it_is_looked_up(
    world: Callable[..., Any],
) -> None:
    exchange, saver, contexts, stored = world(per_s=30)
    await begin(saver, contexts[:1])
    await asyncio.sleep(0.5)
    order_id = exchange.rest_order("alice")
    await asyncio.sleep(1.6)
    exchange.rest_order("alice")  # a sign of life, so that the break begins long after the order
    await asyncio.sleep(0.1)
    exchange.cut("private", 0.5)
    exchange.call(
        lambda: exchange.parts.exchange.cancel(
            exchange.parts.exchange.accounts["alice"], "BTCUSDT", order_id, ""
        )
    )
    await asyncio.sleep(1.0)
    await end(exchange, saver)
    assert latest(stored.orders())["alice", order_id] == "Cancelled"


@on_sqlite
async def test_what_happened_before_anything_was_stored_is_found_at_the_next_start(
    world: Callable[..., Any], make_saver: Any
) -> None:
    exchange, saver, contexts, stored = world(per_s=30)
    await begin(saver, contexts[:1])
    await saver.stop()
    await stream(exchange, 1.0)
    exchange.halt()
    await asyncio.sleep(0.5)
    assert stored.executions()["alice"] == []
    again = make_saver(exchange)
    await begin(again, contexts[:1])
    # the account and the trades of three symbols
    assert again.get_stats()["gaps"]["closed"] == 4
    await again.stop()
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])


async def test_executions_that_the_stream_lost_without_a_break_are_found_by_the_audit(
    world: Callable[..., Any],
) -> None:
    exchange, saver, contexts, stored = world(per_s=60, config={"audit_interval": 2.5})
    await begin(saver, contexts[:1])
    exchange.fault("lose", channel="private", probability=0.5)
    await stream(exchange, 1.0)
    exchange.call(exchange.parts.faults.remove)
    exchange.halt()

    def complete() -> bool:
        return set(stored.executions()["alice"]) == exchange.said.executions["alice"]

    assert not complete()
    await until(complete)
    await saver.stop()
    with_profit = [one for context in contexts[:1] for one in stored.closing(context)]
    assert with_profit
    assert all(one.closed_pnl is not None for one in with_profit)
