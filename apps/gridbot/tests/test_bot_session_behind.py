"""What happens behind the bot's back is noticed within one comparison, healed, or ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import BybitRestClient, Environment, OrderKey, PlaceRequest
from exchange_model.rules.codes import RefusalError
from gridcore import DirectionType, SideType
from paper_exchange.host.control import ACTION
from testkit.bot_host import RunningBot, Witness, bot_settings, executions_of, strategy
from testkit.paper import KEY, SECRET, PaperHost
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange("BTCUSDT", "ETHUSDT", priced=True)]


STRAT = "one_btcusdt"
SYNC_S = 2.0
NOTICED_S = SYNC_S + 6.0  # machines of tests are slow
LEVELS = 12


@pytest.fixture
def witness(host: PaperHost) -> Witness:
    return Witness(host)


@pytest.fixture
def running(host: PaperHost, witness: Witness, tmp_path: Path) -> Iterator[RunningBot]:
    """A bot whose grid rests."""
    with RunningBot(bot_settings(tmp_path, host.server.port)) as made:
        host.trade("60000.1")
        eventually(lambda: len(host.exchange.accounts["one"].open_orders) == LEVELS, what="a grid")
        eventually(lambda: made.disagreements(host) == [], what="books that agree")
        yield made


@pytest.fixture
def other(host: PaperHost) -> Iterator[BybitRestClient]:
    """Another client of the same account."""
    with BybitRestClient(KEY, SECRET, Environment.local(host.server.port)) as made:
        yield made


def order(leg: str, side: str, qty: str, price: str | None = None) -> PlaceRequest:
    direction = DirectionType(leg)
    return PlaceRequest(
        symbol="BTCUSDT",
        direction=direction,
        side=SideType(side),
        qty=Decimal(qty),
        price=None if price is None else Decimal(price),
        order_link_id=f"by-hand-{time.monotonic_ns()}",
        reduce_only=side != direction.opening_side.value,
        post_only=False,
    )


def strike(host: PaperHost, step: dict[str, Any]) -> None:
    host.do(lambda: host.control.run(ACTION.validate_python(step)))


def agrees(running: RunningBot, host: PaperHost) -> None:
    eventually(lambda: running.disagreements(host) == [], NOTICED_S,
               lambda: str(running.disagreements(host)))  # fmt: skip


def deaf(host: PaperHost, what: str) -> None:
    """Let frames of a topic be lost, so that only a comparison can tell."""
    strike(host, {"do": "fault", "kind": "lose", "channel": "private", "match": what})


@pytest.mark.parametrize("hears", [True, False], ids=["streamed", "unheard"])
def test_a_position_opened_by_hand(
    host: PaperHost, running: RunningBot, other: BybitRestClient, witness: Witness, hears: bool
) -> None:
    if not hears:
        for topic in ("execution", "position", "wallet", "order"):
            deaf(host, topic)
    other.place_order(order("long", "Buy", "0.02"))
    eventually(lambda: running.alerts("position_mismatch") == 1, NOTICED_S, "the alert")
    agrees(running, host)
    strike(host, {"do": "heal"})
    # what closes the leg is now wanted, and never more than it holds
    host.trade("60000.2")
    account = host.exchange.accounts["one"]
    eventually(lambda: any(one.reduce_only for one in tuple(account.open_orders.values())))
    agrees(running, host)
    assert witness.problems == []
    assert running.health(STRAT)[0] in ("healthy", "degraded")


def test_a_position_closed_by_hand_takes_the_closing_orders_with_it(
    host: PaperHost, running: RunningBot, other: BybitRestClient, witness: Witness
) -> None:
    host.trade("59905")
    eventually(lambda: len(executions_of(host)) >= 3, what="fills")
    eventually(lambda: running.disagreements(host) == [], what="books that agree")
    for topic in ("execution", "position", "order"):
        deaf(host, topic)
    held = host.exchange.accounts["one"].books["BTCUSDT"].pair.long.size
    other.place_order(order("long", "Sell", str(held)))
    eventually(lambda: running.alerts("position_mismatch") == 1, NOTICED_S + 6, "the alert")
    agrees(running, host)
    assert witness.problems == []


def test_foreign_orders_are_told_and_left_alone(
    host: PaperHost, running: RunningBot, other: BybitRestClient
) -> None:
    placed = other.place_order(order("long", "Buy", "0.01", "55000"))
    eventually(lambda: running.alerts("foreign_orders") >= 1, NOTICED_S, "the alert")
    health, reasons = running.health(STRAT)
    assert health == "degraded"
    assert "not of this strategy" in reasons[0]
    assert placed.order_id in host.exchange.accounts["one"].open_orders
    other.cancel_order(OrderKey(symbol="BTCUSDT", order_id=placed.order_id))
    eventually(lambda: running.health(STRAT)[0] == "healthy", NOTICED_S, "health")


def test_foreign_orders_are_cancelled_where_that_is_wanted(
    host: PaperHost, other: BybitRestClient, tmp_path: Path
) -> None:
    settings = bot_settings(tmp_path, host.server.port, [strategy(cancel_foreign_orders=True)])
    with RunningBot(settings) as running:
        host.trade("60000.1")
        placed = other.place_order(order("long", "Buy", "0.01", "55000"))

        def gone() -> bool:
            host.trade("60000.2")
            return placed.order_id not in host.exchange.accounts["one"].open_orders

        eventually(gone, NOTICED_S, "the cancel")
        assert running.alerts("foreign_orders") >= 1


@pytest.mark.slow
@pytest.mark.parametrize("hears", [True, False], ids=["streamed", "unheard"])
def test_orders_cancelled_behind_its_back_are_placed_again(
    host: PaperHost, running: RunningBot, witness: Witness, hears: bool
) -> None:
    if not hears:
        time.sleep(5.5)  # a list may lag: younger orders are not judged by it
        deaf(host, "order")
    strike(host, {"do": "cancel_orders", "account": "one", "symbol": "BTCUSDT"})
    if not hears:
        eventually(lambda: running.alerts("reconcile_difference") == 1, NOTICED_S, "the alert")
        strike(host, {"do": "heal"})

    def whole() -> bool:
        host.trade("60000.2")
        return len(host.exchange.accounts["one"].open_orders) == LEVELS

    eventually(whole, NOTICED_S, "the grid")
    agrees(running, host)
    assert witness.problems == []


def stopped(running: RunningBot, key: str, text: str) -> None:
    eventually(lambda: running.alerts(key) >= 1, NOTICED_S, "the alert")
    eventually(lambda: running.health(STRAT)[0] == "stopped", 5, "the end")
    assert text in running.health(STRAT)[1][0]


def test_hedge_mode_switched_off_stops_the_strategy(host: PaperHost, running: RunningBot) -> None:
    account = host.exchange.accounts["one"]

    host.do(lambda: host.exchange.cancel_all(account, ["BTCUSDT"]))

    def switched() -> bool:
        try:
            host.do(lambda: host.exchange.switch_mode(account, ["BTCUSDT"], hedge=False))
        except RefusalError:
            return False
        return True

    eventually(switched, what="the switch")
    stopped(running, "hedge_mode_off", "hedge mode")


def test_leverage_changed_is_told(
    host: PaperHost, running: RunningBot, other: BybitRestClient
) -> None:
    other.set_leverage("BTCUSDT", Decimal(7))
    eventually(lambda: running.alerts("leverage_changed") == 1, NOTICED_S, "the alert")
    assert running.health(STRAT)[0] == "degraded"
    other.set_leverage("BTCUSDT", Decimal(10))
    eventually(lambda: running.health(STRAT)[0] == "healthy", NOTICED_S, "health")


def test_a_changed_tick_size_builds_the_grid_anew(
    host: PaperHost, running: RunningBot, witness: Witness
) -> None:
    strike(host, {"do": "change_rules", "symbol": "BTCUSDT", "tick_size": "0.5"})
    eventually(lambda: running.alerts("tick_size_changed") == 1, NOTICED_S, "the alert")

    def on_new_ticks() -> bool:
        host.trade("60000.5")
        orders = list(host.exchange.accounts["one"].open_orders.values())
        return len(orders) == LEVELS and not any(one.price % Decimal("0.5") for one in orders)

    eventually(on_new_ticks, NOTICED_S, "a grid on the new ticks")
    agrees(running, host)
    assert running.health(STRAT)[0] == "healthy"
    assert witness.problems == []


def test_a_larger_quantity_step_is_adopted(host: PaperHost, running: RunningBot) -> None:
    strike(host, {"do": "change_rules", "symbol": "BTCUSDT", "qty_step": "0.01", "min_qty": "0.01"})
    eventually(lambda: running.alerts("rules_changed") == 1, NOTICED_S, "the alert")
    strike(host, {"do": "cancel_orders", "account": "one", "symbol": "BTCUSDT"})

    def in_new_steps() -> bool:
        host.trade("60000.5")
        orders = list(host.exchange.accounts["one"].open_orders.values())
        return len(orders) == LEVELS and all(one.qty == Decimal("0.01") for one in orders)

    eventually(in_new_steps, NOTICED_S, "orders of the new step")
    agrees(running, host)


def test_a_delisting_is_told_ahead_and_ends_the_strategy(
    host: PaperHost, running: RunningBot
) -> None:
    strike(host, {"do": "announce_delisting", "symbol": "BTCUSDT", "in_s": 3600})
    eventually(lambda: running.alerts("contract_ends") == 1, NOTICED_S, "the announcement")
    eventually(lambda: running.health(STRAT)[0] == "degraded", 5, "health")
    assert "is delisted at" in str(running.health(STRAT))
    strike(host, {"do": "deliver", "symbol": "BTCUSDT", "price": "60000", "exec_type": "Settle"})
    stopped(running, "strategy_stopped", "is delisted")


def test_margin_mode_switched_by_hand_blocks_until_it_is_switched_back(
    host: PaperHost, running: RunningBot
) -> None:
    strike(host, {"do": "set_margin_mode", "account": "one", "mode": "ISOLATED_MARGIN"})
    eventually(lambda: running.alerts("margin_mode_changed") == 1, 75, "the alert")
    assert running.health(STRAT)[0] == "blocked"
    assert "ISOLATED_MARGIN" in str(running.health(STRAT))
    strike(host, {"do": "set_margin_mode", "account": "one", "mode": "REGULAR_MARGIN"})
    eventually(lambda: running.health(STRAT)[0] == "healthy", 75, "health")


def test_a_clock_that_drifts_is_told(host: PaperHost, running: RunningBot) -> None:
    strike(host, {"do": "skew_clock", "ms": 2_500})
    eventually(lambda: running.alerts("clock_drift") >= 1, NOTICED_S, "the alert")


def test_every_strategy_of_an_account_knows_the_wallet_though_one_reads_it(
    host: PaperHost, tmp_path: Path
) -> None:
    settings = bot_settings(
        tmp_path, host.server.port, [strategy(), strategy("ETHUSDT")], wallet_cache_interval=5
    )
    with RunningBot(settings) as running:
        deaf(host, "wallet")
        strike(host, {"do": "deposit", "account": "one", "amount": "1234"})

        def known() -> list[Any]:
            runners = running.bot.runners
            return running.do(lambda: [one.strategy.view.wallet_balance for one in runners])

        eventually(lambda: Decimal(11_234) in known(), NOTICED_S + 5, "a read of the wallet")
        # the next read is 5 s away
        eventually(lambda: known() == [Decimal(11_234)] * 2, 2, lambda: str(known()))
