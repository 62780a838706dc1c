"""The strategy's face: what a message leads to, and that a session is the list of its messages."""

import json
import random
import sys
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from decimal import Decimal
from types import FrameType
from typing import Any

import pytest

from gridcore import (
    AcceptSize,
    AdoptOrders,
    AdoptRules,
    BookedFill,
    CancelAll,
    CancelIntent,
    CancelReason,
    ConfigError,
    Decision,
    DirectionType,
    GridConfig,
    GridEngine,
    GridStrategy,
    Hold,
    IgnoreExecution,
    InvalidEventError,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    Reconfirm,
    Refusal,
    Refused,
    RejectReason,
    Release,
    ResetLossBreaker,
    ResetReduceOnly,
    ResetSameOrder,
    Shutdown,
    SideType,
    from_dict,
    to_dict,
)
from gridcore.command_effects import obey
from gridcore.commands import COMMANDS
from testkit.builders import (
    account,
    at,
    btcusdt,
    execution,
    full_account,
    leg,
    order_update,
    strategy_config,
    ticker,
    wallet,
)
from testkit.world import UNKIND, World

SMALL = GridConfig(4, 0.2)


def placed(**legs: Any) -> tuple[GridStrategy, list[PlaceLimitIntent]]:
    """Return a strategy whose first orders are accepted as o0, o1 ..."""
    strategy = GridStrategy(strategy_config(grid=SMALL))
    strategy.handle(full_account(**legs))
    strategy.handle(AdoptOrders(orders=(), as_of=at(0)))
    intents = [
        one for one in strategy.handle(ticker("60000")).intents if isinstance(one, PlaceLimitIntent)
    ]
    for number, one in enumerate(intents):
        assert strategy.handle(answer(one, f"o{number}")) == Decision(changed=True)
    return strategy, intents


def answer(intent: PlaceLimitIntent, order_id: str, ms: float = 1) -> PlaceResultEvent:
    return PlaceResultEvent(
        symbol="BTCUSDT",
        exchange_ts=at(ms),
        local_ts=at(ms),
        client_order_id=intent.client_order_id,
        outcome=PlaceOutcome.ACCEPTED,
        order_id=order_id,
        order_link_id=intent.client_order_id,
    )


def refusal(intent: PlaceLimitIntent, ms: float) -> PlaceResultEvent:
    return PlaceResultEvent(
        symbol="BTCUSDT",
        exchange_ts=at(ms),
        local_ts=at(ms),
        client_order_id=intent.client_order_id,
        outcome=PlaceOutcome.REJECTED,
        reject_reason=RejectReason.REDUCE_ONLY,
        message="no position",
    )


# what a decision tells


def test_a_ticker_decides_and_a_quiet_one_changes_nothing() -> None:
    strategy = GridStrategy(strategy_config(grid=SMALL))
    assert strategy.handle(full_account()).changed
    assert strategy.handle(AdoptOrders(orders=(), as_of=at(0))).changed
    first = strategy.handle(ticker("60000"))
    assert first.changed
    assert len(first.intents) == 4
    assert isinstance(first.intents, tuple)
    assert not first.fills
    strategy.handle(ticker("60001", 1))
    assert strategy.handle(ticker("60001.1", 2)) == Decision()
    assert strategy.view.last_price == Decimal("60001.1")


def test_refusals_count_what_a_guard_keeps_back() -> None:
    strategy, _ = placed(long=leg("0.001", "60000"))
    strategy.handle(CancelAll())
    fresh = GridStrategy(strategy_config(grid=SMALL))
    fresh.handle(full_account())
    fresh.handle(AdoptOrders(orders=(), as_of=at(0)))
    fresh.handle(Hold("paused"))
    decision = fresh.handle(ticker("60000"))
    assert decision.intents == ()
    assert Refused(Refusal.HELD, 4) in decision.refusals
    assert Refused(Refusal.NOT_COVERED, 4) in decision.refusals


def test_a_fill_is_booked_once_with_its_realised_profit() -> None:
    strategy, _ = placed(long=leg("1", "50000"))
    fill = execution(
        "e1", order_id="other", side=SideType.SELL, price="60000", qty="0.1", closed="0.1",
        fee="0.6", ms=5,
    )  # fmt: skip
    decision = strategy.handle(fill)
    assert decision.fills == (BookedFill(fill, Decimal(1000)),)
    assert decision.realised == Decimal(1000)
    (booked,) = decision.fills
    assert (booked.direction, booked.qty, booked.price) == ("long", Decimal("0.1"), 60000)
    assert (booked.fee, booked.order_id, booked.client_order_id) == (Decimal("0.6"), "other", "")
    assert strategy.handle(fill) == Decision()
    assert strategy.view.duplicate_executions == 1
    assert strategy.view.loss.realised == Decimal("999.4")


def test_what_the_exchange_told_of_the_profit_counts() -> None:
    strategy, _ = placed(long=leg("1", "50000"))
    told = execution(side=SideType.SELL, price="60000", qty="0.1", closed="0.1", pnl="7", ms=5)
    assert strategy.handle(told).realised == 7


def test_refused_orders_are_told_with_the_words_of_the_exchange() -> None:
    strategy, _ = placed(long=leg("1", "60000"))
    closing = [one for one in strategy.view.orders if one.reduce_only]
    for order in closing:
        strategy.handle(order_update("Cancelled", order_id=order.order_id or "", leaves="0", ms=10))
    breakers = 0
    for number in range(1, 4):
        wanted = strategy.handle(ticker("60000", number * 70_000)).intents
        for intent in wanted:
            assert isinstance(intent, PlaceLimitIntent)
            decision = strategy.handle(refusal(intent, number * 70_000 + 1))
            assert decision.refusals[0] == Refused(RejectReason.REDUCE_ONLY, 1, "no position")
            breakers += Refused(Refusal.REDUCE_ONLY_BREAKER, 0) in decision.refusals
        strategy.handle(full_account(number * 70_000 + 5, long=leg("1", "60000")))
    assert breakers == 1


def test_an_order_that_ended_is_named() -> None:
    strategy, _ = placed()
    ended = strategy.handle(order_update("Cancelled", order_id="o1", leaves="0", ms=5))
    assert ended.ended == ("o1",)
    assert ended.changed
    assert strategy.handle(order_update("Cancelled", order_id="o1", leaves="0", ms=5)).ended == ()
    gone = strategy.handle(AdoptOrders(orders=(), as_of=at(60_000)))
    assert set(gone.ended) == {"o0", "o2", "o3"}
    assert strategy.view.orders == ()


def test_a_report_that_only_repeats_changes_nothing() -> None:
    strategy, _ = placed(long=leg("1", "60000"))
    assert not strategy.handle(full_account(500, long=leg("1", "60000"))).changed
    assert strategy.handle(account(600, money=wallet(available="9000"))).changed
    assert strategy.handle(account(700, long=leg("2", "60000"))).changed


def test_a_breaker_that_a_repeated_report_ends_ends_the_quiet_too() -> None:
    strategy, _ = placed(long=leg("1", "60000"))
    closing = next(one for one in strategy.view.orders if one.reduce_only)
    breaker = strategy.admission.reduce_only[closing.direction]
    for _ in range(2):  # the second time it rests for a minute
        for ms in range(3):
            breaker.add(at(100 + ms))
        if breaker.ends_from == breaker.tripped_ts:
            breaker.confirmed(at(150))
    strategy.handle(order_update("Cancelled", order_id=closing.order_id or "", leaves="0", ms=200))
    price = Decimal(60000)
    assert strategy.handle(ticker(price, 300)).intents == ()
    assert strategy.quiet_band() is not None
    strategy.handle(full_account(400, long=leg("1", "60000")))  # too early to end it
    assert strategy.handle(ticker(price, 500)).intents == ()
    ended = strategy.handle(full_account(70_000, long=leg("1", "60000")))
    assert ended.changed
    assert strategy.handle(ticker(price, 70_001)).intents != ()


# commands


def test_holds_stop_placing_until_all_are_released() -> None:
    strategy = GridStrategy(strategy_config(grid=SMALL))
    strategy.handle(full_account())
    strategy.handle(AdoptOrders(orders=(), as_of=at(0)))
    strategy.handle(Hold("a", keep=True))
    strategy.handle(Hold("b"))
    assert strategy.view.holds == ("a", "b")
    assert strategy.guards()["holds"] == ["a"]
    strategy.handle(Release("a"))
    assert strategy.handle(ticker("60000")).intents == ()
    strategy.handle(Release("b"))
    assert strategy.handle(ticker("60000", 1)).intents


def test_shutdown_holds_and_cancels_what_can_be() -> None:
    strategy, orders = placed()
    assert strategy.handle(Shutdown()).intents == ()
    assert strategy.view.trips == {"shutdown": "held by shutdown"}
    cancels = strategy.handle(Shutdown(cancel_orders=True)).intents
    assert {one.reason for one in cancels if isinstance(one, CancelIntent)} == {
        CancelReason.SHUTDOWN
    }
    assert len(cancels) == len(orders)
    assert strategy.handle(CancelAll()).intents == ()
    assert strategy.guards()["holds"] == []


def test_an_ignored_execution_counts_as_seen() -> None:
    strategy, _ = placed()
    assert strategy.handle(IgnoreExecution("e9")).changed
    assert not strategy.handle(IgnoreExecution("e9")).changed
    assert strategy.handle(execution("e9", ms=3)) == Decision()


def test_reconfirm_asks_for_everything_again() -> None:
    strategy, _ = placed()
    assert strategy.view.is_known
    strategy.handle(Reconfirm())
    assert strategy.view.missing == ("long leg", "short leg", "wallet", "open orders")
    assert "account_unknown" in strategy.view.trips


def test_other_ticks_build_the_grid_anew_in_the_same_strategy() -> None:
    strategy, _ = placed()
    strategy.handle(Hold("operator"))
    strategy.handle(execution("e1", ms=3))
    coarse = btcusdt(tick_size=Decimal("0.5"))
    assert strategy.handle(AdoptRules(coarse)).changed
    view = strategy.view
    assert strategy.config.instrument == coarse
    assert (view.levels, view.is_known, view.holds) == ((), False, ("operator",))
    assert strategy.handle(execution("e1", ms=3)) == Decision()  # what was seen stays seen
    with pytest.raises(ConfigError, match="it trades BTCUSDT, and was given the rules of ETH"):
        strategy.handle(AdoptRules(btcusdt(symbol="ETHUSDT")))


def test_the_other_resets_are_commands_too() -> None:
    strategy, _ = placed()
    for command in (ResetSameOrder(), ResetLossBreaker(), ResetReduceOnly(), AcceptSize("long")):
        assert strategy.handle(command) == Decision(changed=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Hold(""), "Hold: name is ''; it is a non-empty text"),
        (lambda: AcceptSize("up"), "AcceptSize: direction is 'up'; it is one of long, short"),
        (lambda: CancelAll("why"), "CancelAll: reason is 'why'; it is one of"),
        (lambda: AdoptOrders(orders=(), as_of=at(0).replace(tzinfo=None)), "it needs a time zone"),
        (lambda: AdoptRules("BTCUSDT"), "'BTCUSDT' is no InstrumentInfo"),
    ],
)
def test_a_command_that_says_nothing_is_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("thing", ["a defect", None, 5, object])
def test_what_is_no_message_is_refused(thing: Any) -> None:
    strategy, _ = placed()
    before = strategy.view
    with pytest.raises(InvalidEventError, match="is no message of a strategy"):
        strategy.handle(thing)
    with pytest.raises(InvalidEventError, match="is no message of a strategy"):
        obey(strategy, thing, at(0))
    assert strategy.view == before


def test_every_command_has_an_effect() -> None:
    made = {
        AcceptSize: AcceptSize(DirectionType.LONG),
        AdoptOrders: AdoptOrders(orders=(), as_of=at(0)),
        AdoptRules: AdoptRules(btcusdt(min_notional=Decimal(7))),
        Hold: Hold("x"),
        IgnoreExecution: IgnoreExecution("x"),
        Release: Release("x"),
    }
    for kind in COMMANDS:
        strategy, _ = placed()
        assert strategy.handle(made[kind] if kind in made else kind()).changed


# the view


def test_the_view_is_a_frozen_value_of_its_moment() -> None:
    strategy, orders = placed(long=leg("1", "60000", liq="30000"))
    view = strategy.view
    with pytest.raises(FrozenInstanceError):
        view.last_price = Decimal(1)  # type: ignore[misc]
    assert view == strategy.view
    assert [level.side for level in view.levels] == ["Buy", "Buy", "Wait", "Sell", "Sell"]
    assert len(view.orders) == len(orders)
    assert (view.long.size, view.long.liquidation_price) == (1, 30000)
    assert view.leg(DirectionType.LONG) is view.leg("long") is view.long  # type: ignore[arg-type]
    assert view.short.entry_price is None
    assert view.unrealised_pnl(Decimal(60100)) == 100
    strategy.handle(CancelAll())
    strategy.handle(order_update("Cancelled", order_id="o0", leaves="0", ms=9))
    assert len(view.orders) == len(orders)
    assert len(strategy.view.orders) == len(orders) - 1


def test_a_contradiction_is_told_by_the_leg() -> None:
    strategy, _ = placed(long=leg("1", "60000"))
    long = strategy.view.long
    assert long.is_contradicted_by(leg("2", "60000"), at(100))
    assert not long.is_contradicted_by(leg("1", "60000"), at(100))
    assert not long.is_contradicted_by(leg("2", "60000"), at(-100))  # old news


def test_what_is_still_wanted_follows_holds_grid_and_answers() -> None:
    strategy = GridStrategy(strategy_config(grid=SMALL))
    strategy.handle(full_account())
    strategy.handle(AdoptOrders(orders=(), as_of=at(0)))
    intent = strategy.handle(ticker("60000")).intents[0]
    assert isinstance(intent, PlaceLimitIntent)
    assert strategy.still_wants(intent)
    assert not strategy.still_wants(replace(intent, price=intent.price + 1))
    strategy.handle(Hold("x"))
    assert not strategy.still_wants(intent)
    strategy.handle(Release("x"))
    strategy.handle(answer(intent, "o1"))
    assert not strategy.still_wants(intent)


def test_marks_move_with_the_grid_and_with_what_stops_trading() -> None:
    strategy, _ = placed()
    before = strategy.marks
    strategy.handle(ticker("60001", 5))
    assert strategy.marks == before
    strategy.handle(Hold("paused", keep=True))
    assert strategy.marks.grid == before.grid
    assert strategy.marks.stops != before.stops


# one way in


def test_the_engine_sees_each_order_update_once() -> None:
    strategy, _ = placed()
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    try:
        strategy.handle(order_update("New", order_id="o1", ms=5))
        strategy.handle(order_update("Cancelled", order_id="o1", leaves="0", ms=6))
    finally:
        sys.setprofile(None)
    assert calls[GridEngine.on_event.__qualname__] == 2


def test_a_session_is_the_list_of_its_messages() -> None:
    faults = replace(UNKIND, operator=0.05, foreign=0.02, by_hand=0.003)
    world = World(random.Random(11), strategy_config(grid=SMALL), faults=faults)
    journal: list[str] = []
    ask = world.ask

    def record(message: Any) -> Decision:
        journal.append(json.dumps(to_dict(message)))
        return ask(message)

    world.ask = record  # type: ignore[method-assign]
    world.run(600)
    replayed = GridStrategy(world.config)
    intents = [
        one for line in journal for one in replayed.handle(from_dict(json.loads(line))).intents
    ]
    assert intents == world.intents
    assert replayed.snapshot() == world.strategy.snapshot()
    assert replayed.view == world.strategy.view
    assert len(intents) > 20


def test_a_day_of_time_alone_changes_no_decision_of_a_quiet_ticker() -> None:
    strategy, _ = placed()
    strategy.handle(ticker("60000.5", 10))
    late = timedelta(minutes=5) / timedelta(milliseconds=1)
    assert strategy.handle(ticker("60000.6", late)) == Decision()
