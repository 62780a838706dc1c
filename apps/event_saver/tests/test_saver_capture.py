"""The daemon over real sockets: what the exchange says is in the database, once."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from event_saver import saver as saver_module
from event_saver.main import EventSaver
from grid_db import DatabaseFactory
from testkit.waiting import until

LONG = "SAVER_LONG" in os.environ

# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def is_up(saver: EventSaver) -> bool:
    return all(one["is_connected"] for one in saver.get_stats()["streams"].values())


@pytest.mark.slow
async def test_ten_minutes_of_six_streams_are_stored_to_the_row(
    world: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    exchange, saver, contexts, stored = world(per_s=6, speed=150)
    for context in contexts:
        await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver))
    begin_trades = set(exchange.said.trades)
    clock = exchange.parts.exchange
    end_ms = clock.now_ms + 10 * 60_000
    while clock.now_ms < end_ms:
        exchange.trade_some()
        await asyncio.sleep(0.1)
    exchange.halt()
    said = exchange.said
    await caught_up(saver)
    await saver.stop()
    (last,) = (one for one in caplog.records if one.getMessage().startswith("stopped"))
    told = last.fields  # type: ignore[attr-defined]  # of the JSON line
    assert told["trades"]["written"] == len(stored.trades())
    assert told["orders"]["written"] == len(stored.orders())
    assert all(
        one["received"] == one["written"] + one["known"]
        for one in (told["trades"], told["orders"], told["wallet"])
    )
    assert sorted(set(stored.trades()) - begin_trades) == sorted(set(said.trades) - begin_trades)
    assert len(stored.trades()) == len(set(stored.trades())) > 3_000
    executions = stored.executions()
    for name in ("alice", "bob"):
        assert len(executions[name]) > 50
        assert sorted(executions[name]) == sorted(said.executions[name])
    assert stored.orders() == said.orders
    assert stored.positions() == said.positions
    assert set(said.wallets) <= set(stored.wallets())
    assert stored.tickers() > 100
    assert stored.gaps() == []


async def caught_up(saver: EventSaver) -> None:
    """Return once nothing has arrived for a while and all that has is written."""
    before = -1
    while True:
        streams = saver.get_stats()["streams"].values()
        received = sum(one["received"] for one in streams)
        if received == before and not any(one["waiting"] for one in streams):
            break
        before = received
        await asyncio.sleep(0.5)
    assert await saver.flushed()
    await until(lambda: saver.get_stats()["spool"]["bytes"] == 0)


async def stream(exchange: Any, seconds: float) -> None:
    """Let the accounts trade for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        exchange.trade_some(2)
        await asyncio.sleep(0.1)


def latest(orders: dict[tuple[str, str, int], str]) -> dict[tuple[str, str], str]:
    """Return the last state of each order."""
    return {key[:2]: orders[key] for key in sorted(orders)}


async def finish(exchange: Any, saver: EventSaver) -> None:
    """Halt the market and stop the daemon once everything has arrived."""
    exchange.halt()
    await until(lambda: is_up(saver))
    await caught_up(saver)
    await saver.stop()


def check_private(exchange: Any, stored: Any) -> None:
    """Every execution once, every order as it ended."""
    for name, ids in exchange.said.executions.items():
        assert sorted(stored.executions()[name]) == sorted(ids)
    assert latest(stored.orders()) == latest(exchange.said.orders)


@on_sqlite
async def test_duplicated_reordered_and_malformed_frames_do_no_harm(
    world: Callable[..., Any], caplog: Any
) -> None:
    exchange, saver, contexts, stored = world()
    await saver.add_account(contexts[0])
    await saver.start()
    await until(lambda: is_up(saver))
    before = set(exchange.said.trades)
    exchange.fault("duplicate", probability=0.3)
    exchange.fault("reorder", probability=0.2)
    hub = exchange.parts.hub
    broken = [
        b'{"topic":"execution","creationTime":1,"data":[{"category":"linear"}]}',
        b'{"topic":"execution","creationTime":1,"data":[{"category":"linear"}]}',
        b'{"topic":"wallet","data":7}',
        b"no json",
    ]
    for frame in broken:
        exchange.call(
            lambda frame=frame: [  # type: ignore[misc]  # bound default
                one.send(frame) for one in hub.sessions.values() if one.channel == "private"
            ]
        )
        await stream(exchange, 0.3)
    exchange.call(exchange.parts.faults.remove)
    await asyncio.sleep(0.5)
    malformed = saver.get_stats()["streams"][f"account {contexts[0].account_id}"]["malformed"]
    assert malformed == 4
    lines = [r for r in caplog.records if "malformed frame" in r.message]
    assert len(lines) == 3  # once per kind
    await finish(exchange, saver)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])
    stats = saver.get_stats()["writers"]
    assert sum(one["duplicate"] for one in stats.values()) > 0
    assert sum(one["failed"] + one["dropped"] for one in stats.values()) == 0


@on_sqlite
async def test_a_frame_of_the_market_that_cannot_be_read_is_asked_for_over_rest(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said never comes over the stream, and no break tells of it."""
    monkeypatch.setattr(saver_module, "DOUBT_S", 1.0)
    exchange, saver, _, stored = world(per_s=60)
    await saver.start()
    await until(lambda: is_up(saver) and len(stored.trades()) > 20)
    before = {key for key in dict(exchange.said.trades) if key not in set(stored.trades())}
    exchange.fault("lose", channel="public", match="publicTrade", duration_s=1.0)
    await asyncio.sleep(0.7)
    exchange.call(
        lambda: [
            one.send(b'{"topic":"publicTrade.BTCUSDT","ts":1,"type":"snapshot","data":[{"T":1}]}')
            for one in exchange.parts.hub.sessions.values()
            if one.channel == "public"
        ]
    )
    await asyncio.sleep(3.0)
    await finish(exchange, saver)
    begun = min(exchange.said.trades[key] for key in stored.trades())
    said = {key for key, moment in exchange.said.trades.items() if moment >= begun + 1_000}
    assert said - before <= set(stored.trades())


@pytest.mark.parametrize("seconds", [1.5, *([60.0] if LONG else [])])
async def test_an_outage_of_the_database_costs_nothing(
    world: Callable[..., Any], database: DatabaseFactory, outage: Any, seconds: float
) -> None:
    exchange, saver, contexts, stored = world(config={"memory_rows": 1_000})
    for context in contexts:
        await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver) and saver.get_stats()["gaps"]["closed"] == 2)
    before = set(exchange.said.trades)
    with outage(database):
        await stream(exchange, seconds)
        stats = saver.get_stats()
        assert stats["spool"]["bytes"] > 0
        assert any("database_down" in text for _, text in stats["alarms"])
        assert sum(one["buffered"] for one in stats["writers"].values()) < 1_000
    # it looks again after up to 15 s
    await until(lambda: saver.get_stats()["spool"]["bytes"] == 0, 30.0)
    await stream(exchange, 0.3)
    await finish(exchange, saver)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    check_private(exchange, stored)
    assert stored.positions() == exchange.said.positions
    assert stored.gaps() == []
    assert saver.get_stats()["spool"]["bytes"] == 0


@pytest.mark.slow
async def test_a_slow_database_does_not_hold_up_the_loop(
    world: Callable[..., Any], database: DatabaseFactory
) -> None:
    if database.dialect == "sqlite":
        event.listen(database.engine, "begin", lambda _: time.sleep(0.05))
        event.listen(database.engine, "commit", lambda _: time.sleep(0.05))
    else:
        with database.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.05); RETURN NULL; END'"
            )
            for table in ("public_trades", "ticker_snapshots", "private_executions", "orders",
                          "position_snapshots", "wallet_snapshots"):  # fmt: skip
                connection.exec_driver_sql(
                    f"CREATE TRIGGER nap BEFORE INSERT ON {table}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION nap()"
                )
    exchange, saver, contexts, stored = world(per_s=40)
    for context in contexts:
        await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver))
    await stream(exchange, 1.5)
    # a loop that waited for the database would be late by a statement all the time; that others use
    # the machine too makes it late now and then
    assert saver.lag.percentile_s(0.5) < 0.05
    await finish(exchange, saver)
    check_private(exchange, stored)
    assert stored.positions() == exchange.said.positions
    assert sum(one["dropped"] for one in saver.get_stats()["writers"].values()) == 0


async def test_two_daemons_and_another_list_of_symbols_are_harmless(
    world: Callable[..., Any], make_saver: Any, tmp_path: Any
) -> None:
    exchange, saver, contexts, stored = world()
    second = make_saver(exchange, symbols="ETHUSDT", spool_dir=tmp_path / "second")
    await saver.add_account(contexts[0])
    await second.add_account(contexts[0])
    await saver.start()
    await second.start()
    await until(lambda: is_up(saver) and is_up(second))
    before = set(exchange.said.trades)
    await stream(exchange, 1.0)
    await second.stop()
    third = make_saver(exchange, symbols="LTCUSDT,ETHUSDT", spool_dir=tmp_path / "second")
    await third.start()
    await until(lambda: is_up(third))
    await stream(exchange, 0.5)
    await finish(exchange, third)
    await finish(exchange, saver)
    assert len(stored.trades()) == len(set(stored.trades()))
    assert set(exchange.said.trades) - before <= set(stored.trades())
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])


@on_sqlite
async def test_a_loop_that_is_late_costs_no_ticker(world: Callable[..., Any]) -> None:
    exchange, saver, _, stored = world(per_s=1_500)
    await saver.start()
    await until(lambda: is_up(saver))
    for _ in range(3):
        time.sleep(0.3)  # noqa: ASYNC251 - this is what is late
        await asyncio.sleep(0.1)
    exchange.halt()
    await caught_up(saver)
    public = saver.get_stats()["streams"]["public"]
    await saver.stop()
    assert public["conflated"] == 0
    assert len(stored.trades()) + stored.tickers() == public["received"]


@on_sqlite
async def test_an_account_without_a_run_keeps_positions_and_wallet(
    world: Callable[..., Any], caplog: Any
) -> None:
    exchange, saver, contexts, stored = world(with_run=False)
    await saver.start()
    await saver.add_account(contexts[0])  # while it runs
    assert "has no run" in caplog.text
    await until(lambda: is_up(saver))
    await stream(exchange, 0.5)
    assert await saver.remove_account(contexts[0].account_id)
    assert not await saver.remove_account(contexts[0].account_id)
    known = len(stored.positions())
    assert known > 0
    await stream(exchange, 0.3)
    await finish(exchange, saver)
    assert len(stored.positions()) == known
    assert stored.wallets()
    assert stored.executions()["alice"] == []
    assert stored.orders() == {}


@on_sqlite
async def test_symbols_that_an_account_does_not_want_are_ignored(
    world: Callable[..., Any], database: DatabaseFactory
) -> None:
    exchange, saver, contexts, stored = world()
    await saver.add_account(replace(contexts[0], symbols=("ETHUSDT",)))
    with pytest.raises(ValueError, match="captured already"):
        await saver.add_account(contexts[0])
    await saver.start()
    await until(lambda: is_up(saver))
    await stream(exchange, 1.0)
    await finish(exchange, saver)
    status = saver.get_stats()["streams"]
    assert status == {}  # nothing is connected any more
    assert {key[1] for key in stored.positions()} == {"ETHUSDT"}


@on_sqlite
async def test_an_account_without_symbols_is_captured_with_all_its_contracts(
    world: Callable[..., Any], make_saver: Callable[..., Any], database: DatabaseFactory
) -> None:
    keys = {"symbols": "", "api_key": "alice-key", "api_secret": "alice-secret"}
    exchange, saver, contexts, stored = world(config=keys)
    context = replace(contexts[0], symbols=())
    await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver))
    assert set(saver.get_stats()["streams"]) == {f"account {context.account_id}"}
    await stream(exchange, 2.0)
    await saver.stop()
    # what happens while nobody captures is fetched by REST, of whatever contract
    await stream(exchange, 1.0)
    again = make_saver(exchange, **keys)
    await again.add_account(context)
    await again.start()
    await until(lambda: is_up(again))
    await finish(exchange, again)
    said = exchange.said
    assert sorted(stored.executions()["alice"]) == sorted(said.executions["alice"])
    assert len({key[1] for key in stored.positions()}) == 3
    assert stored.trades() == []


@on_sqlite
async def test_what_people_see_shows_no_secret(world: Callable[..., Any]) -> None:
    _, saver, contexts, _ = world()
    await saver.add_account(contexts[0])
    await saver.start()
    await until(lambda: is_up(saver))
    seen = f"{saver.get_stats()} {contexts[0]!r} {contexts} {vars(saver)}"
    await saver.stop()
    assert "alice-key" not in seen
    assert "alice-secret" not in seen
