"""A contract or an account that cannot be captured: told, looked at again, and all else goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from bybit_adapter import StreamTiming
from event_saver.main import EventSaver
from event_saver.reconcile.reconciler import Patience
from grid_db import (
    CaptureStream,
    CredentialCipher,
    DatabaseFactory,
    Environment,
    TenantScope,
    UserRepository,
    generate_key,
)
from testkit.waiting import until

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

IMPATIENT = StreamTiming(
    ping_interval_s=5.0,
    ping_timeout_s=4.0,
    socket_check_s=0.2,
    silence_s=1.5,
    attempt_s=3.0,
    first_pause_s=0.05,
    longest_pause_s=0.3,
)


def set_status(exchange: Any, symbol: str, status: str) -> None:
    """Let the exchange list a contract with another status; one that is not traded is silent."""

    def change() -> None:
        paper = exchange.parts.exchange
        market = paper.markets[symbol]
        if status != "Trading":
            paper.operator.halt(symbol, halted=True)
        market.listing = replace(market.listing, row={**market.listing.row, "status": status})
        if status == "Trading":
            paper.operator.halt(symbol, halted=False)

    exchange.call(change)


class Markets(dict[str, Any]):
    """Markets of an exchange of which one can be without topics, though it is listed."""

    refused = ""

    def get(self, key: str, default: Any = None) -> Any:
        return default if key == self.refused else super().get(key, default)


def refuse_topics(exchange: Any, symbol: str) -> None:
    """Refuse the subscriptions to a symbol from now on; "" to none."""

    def change() -> None:
        paper = exchange.parts.exchange
        if not isinstance(paper.markets, Markets):
            markets = Markets(paper.markets)
            paper.markets, paper.market = markets, markets.__getitem__
        paper.markets.refused = symbol

    exchange.call(change)


def captured(stored: Any, symbol: str, since: int = 0) -> int:
    return sum(key[0] == symbol for key in stored.trades()) - since


def alarms(saver: EventSaver) -> str:
    return " | ".join(sentence for _, sentence in saver.get_stats()["alarms"])


async def test_a_contract_that_is_closed_is_captured_once_it_lives(
    world: Callable[..., Any],
) -> None:
    exchange, saver, _, stored = world(per_s=100, config={"symbol_interval": 0.5})
    set_status(exchange, "LTCUSDT", "Closed")
    await saver.start()
    await until(lambda: captured(stored, "BTCUSDT") > 20 and captured(stored, "ETHUSDT") > 20)
    assert captured(stored, "LTCUSDT") == 0
    assert "not_captured: LTCUSDT: not traded: Closed" in alarms(saver)
    assert saver.get_stats()["is_healthy"]
    set_status(exchange, "LTCUSDT", "Trading")
    await until(lambda: captured(stored, "LTCUSDT") > 20)
    await until(lambda: "LTCUSDT" not in alarms(saver))
    await saver.stop()


async def test_a_name_that_the_exchange_does_not_know_keeps_nobody_out(
    world: Callable[..., Any],
) -> None:
    exchange, saver, _, stored = world(per_s=100, config={"symbols": "BTCUSDT,DOGEUSDT"})
    await saver.start()
    await until(lambda: captured(stored, "BTCUSDT") > 20)
    assert "not_captured: DOGEUSDT: not listed: " in alarms(saver)
    await saver.stop()
    assert exchange.said.trades


async def test_a_contract_that_is_delivered_in_mid_run_is_told_and_the_others_go_on(
    world: Callable[..., Any],
) -> None:
    exchange, saver, _, stored = world(
        per_s=100, config={"symbol_interval": 0.5, "gap_threshold_seconds": 0.5}
    )
    await saver.start()
    await until(lambda: captured(stored, "LTCUSDT") > 20)
    set_status(exchange, "LTCUSDT", "Closed")
    await until(lambda: "not_captured: LTCUSDT: not traded: Closed" in alarms(saver))
    before = captured(stored, "BTCUSDT")
    await until(lambda: captured(stored, "BTCUSDT", before) > 50)
    assert saver.get_stats()["streams"]["public"]["reconnects"] == 0
    await asyncio.sleep(1.5)
    set_status(exchange, "LTCUSDT", "Trading")
    old = captured(stored, "LTCUSDT")
    await until(lambda: captured(stored, "LTCUSDT", old) > 20)
    await until(lambda: bool(stored.gaps()))
    await saver.stop()
    # its states have no history; nothing was traded, so no trade is missing
    (gap,) = stored.gaps()
    assert (gap.stream, gap.symbol) == (CaptureStream.TICKERS, "LTCUSDT")
    assert gap.reason.startswith("not captured, not traded: Closed; ")


async def test_silence_of_the_only_contract_is_explained_and_no_loop_of_reconnects(
    database: DatabaseFactory, start_exchange: Any, make_config: Any, make_stored: Any
) -> None:
    exchange = start_exchange(per_s=100)
    settings = make_config(database, exchange, symbols="LTCUSDT", symbol_interval=0.5)
    patience = Patience(settle_s=0.3, pauses_s=(), overlap_s=1.0)
    saver = EventSaver(settings, database, timing=IMPATIENT, patience=patience)
    stored = make_stored(database, [])
    await saver.start()
    await until(lambda: captured(stored, "LTCUSDT") > 20)
    set_status(exchange, "LTCUSDT", "Closed")
    await until(lambda: bool(saver.get_stats()["streams"]["public"]["is_paused"]))
    await asyncio.sleep(4.0)
    stats = saver.get_stats()
    assert stats["streams"]["public"]["reconnects"] <= 1
    assert stats["is_healthy"]
    assert "LTCUSDT" in alarms(saver)
    set_status(exchange, "LTCUSDT", "Trading")
    old = captured(stored, "LTCUSDT")
    await until(lambda: captured(stored, "LTCUSDT", old) > 20)
    await until(lambda: alarms(saver) == "")
    await saver.stop()


async def test_a_topic_that_is_refused_silences_no_other_and_is_asked_for_again(
    world: Callable[..., Any],
) -> None:
    exchange, saver, _, stored = world(per_s=100, config={"symbol_interval": 0.5})
    refuse_topics(exchange, "LTCUSDT")
    await saver.start()
    await until(lambda: captured(stored, "BTCUSDT") > 20)
    await until(lambda: "not_captured: LTCUSDT: the subscription was refused" in alarms(saver))
    assert not saver.get_stats()["is_healthy"]  # somebody has to look: it is listed, after all
    refuse_topics(exchange, "")
    await until(lambda: captured(stored, "LTCUSDT") > 20)
    await until(lambda: alarms(saver) == "")
    await saver.stop()


@pytest.mark.slow
async def test_what_a_refused_topic_missed_is_fetched(
    world: Callable[..., Any],
) -> None:
    """It was captured before, is refused after a break, and comes back later."""
    exchange, saver, _, stored = world(per_s=60, config={"symbol_interval": 0.5})
    await saver.start()
    await until(lambda: captured(stored, "LTCUSDT") > 10)
    begun = min(exchange.said.trades[key] for key in stored.trades() if key[0] == "LTCUSDT")
    refuse_topics(exchange, "LTCUSDT")
    exchange.cut("public", 0.3)
    await until(lambda: "not_captured: LTCUSDT" in alarms(saver))
    await asyncio.sleep(1.5)
    refuse_topics(exchange, "")
    await until(lambda: "not_captured" not in alarms(saver))
    await asyncio.sleep(2.0)
    exchange.halt()
    await asyncio.sleep(0.5)
    await saver.stop()
    said = {key for key, moment in exchange.said.trades.items() if moment >= begun}
    missing = {key for key in said - set(stored.trades()) if key[0] == "LTCUSDT"}
    assert missing == set()


async def test_a_dead_contract_and_a_strange_account_do_not_keep_the_daemon_from_its_work(
    database: DatabaseFactory,
    start_exchange: Any,
    make_contexts: Any,
    make_stored: Any,
    settings_file: Any,
    children: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = generate_key()
    monkeypatch.setenv("GRIDBOT_SECRET_KEY", secret)
    exchange = start_exchange(per_s=60)
    contexts = make_contexts(database, exchange)
    cipher = CredentialCipher([SecretStr(secret)])
    with database.get_session() as session:
        bob = UserRepository(session).get_by_name("bob")
        assert bob is not None
    stored = make_stored(database, contexts)
    file = settings_file(
        database,
        exchange,
        SYMBOLS="BTCUSDT,DOGEUSDT",
        API_SECRET="wrong",
        ACCOUNTS="bob/main,carol/main",
        SYMBOL_INTERVAL="0.5",
        METRICS_PORT="0",
    )
    child = children.start("--config", str(file))
    await until(lambda: captured(stored, "BTCUSDT") > 20)
    assert child.is_alive()
    # bob's keys come into the database while the daemon runs
    with database.get_session() as session:
        scope = TenantScope(session, bob.id)
        account = scope.accounts.get_or_create("main", Environment.PAPER)
        scope.credentials(cipher).store(account.id, "bob-key", "bob-secret")
    exchange_orders = time.monotonic() + 20
    while not stored.executions()["bob"]:
        assert time.monotonic() < exchange_orders, "bob is not captured"
        exchange.trade_some(1)
        await asyncio.sleep(0.2)
    assert stored.executions()["alice"] == []
    child.terminate()
    child.join(12)
    assert child.exitcode == 0
    with database.get_session() as session:
        runs = TenantScope(session, bob.id).runs.get_by_user_id()
    assert all(run.ended_at is None or run.ended_at <= datetime.now(UTC) for run in runs)
