"""What accounts did while nobody listened, or while a frame was lost: asked for over REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import BybitAsyncClient, BybitRestClient
from event_saver.reconcile.account import AccountFeed, AccountSource
from event_saver.reconcile.reconciler import Patience
from event_saver.writers import WriterSet
from grid_db import DatabaseFactory, TenantScope
from testkit.saver_run import begin, end, is_up, latest, stream
from testkit.waiting import until

# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


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
