"""GridStrategy: what stops trading, and what is on its way, outlives the process."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gridcore import (
    AdoptOrders,
    CancelIntent,
    GridConfig,
    GridStrategy,
    Hold,
    Intent,
    LimitOrder,
    LossReset,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    Release,
    ResetLossBreaker,
    SafetyCaps,
    SnapshotError,
)
from testkit.builders import (
    at,
    btcusdt,
    execution,
    full_account,
    leg,
    order_update,
    strategy_config,
    ticker,
)

CONFIG = strategy_config(
    grid=GridConfig(4, 0.2),
    safety_caps=SafetyCaps(
        session_loss_limit=Decimal(50),
        session_loss_reset=LossReset.MANUAL,
        max_orders_per_minute=6,
    ),
)
WIDER = strategy_config(grid=GridConfig(4, 0.3), safety_caps=CONFIG.safety_caps)


def known(strategy: GridStrategy, ms: float = 0, **parts: Any) -> GridStrategy:
    strategy.on_event(full_account(ms, **parts))
    strategy.adopt_orders([], at(ms))
    return strategy


def kept(strategy: GridStrategy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(strategy.snapshot()))
    return found


def restarted(strategy: GridStrategy) -> GridStrategy:
    again = GridStrategy(strategy.config)
    again.restore(kept(strategy))
    return again


def places(intents: list[Intent]) -> list[PlaceLimitIntent]:
    return [one for one in intents if isinstance(one, PlaceLimitIntent)]


def accepted(intent: PlaceLimitIntent, ms: float) -> PlaceResultEvent:
    return PlaceResultEvent(
        symbol="BTCUSDT",
        exchange_ts=at(ms),
        local_ts=at(ms),
        client_order_id=intent.client_order_id,
        outcome=PlaceOutcome.ACCEPTED,
        order_id=f"o-{intent.price}",
        order_link_id=f"{intent.client_order_id}-1",
    )


def as_listed(intent: PlaceLimitIntent, ms: float) -> LimitOrder:
    return LimitOrder(
        order_id=f"o-{intent.price}",
        order_link_id=f"{intent.client_order_id}-1",
        direction=intent.direction,
        side=intent.side,
        price_ticks=btcusdt().to_ticks(intent.price),
        qty=intent.qty,
        leaves_qty=intent.qty,
        age_rank=1,
        created_ts=at(ms),
    )


def test_what_was_on_its_way_when_the_process_ended_is_not_placed_again() -> None:
    first = known(GridStrategy(CONFIG))
    sent = places(first.on_event(ticker("60000")))
    assert len(sent) == 4
    again = known(restarted(first), ms=500)  # the list does not show them yet
    assert again.on_event(ticker("60000", 600)) == []
    assert len(again.book) == 4
    # one turns up in a later list, one as a fill; of the others nobody hears again
    again.adopt_orders([as_listed(sent[0], 100)], at(10_000))
    fill = execution(
        order_id="o-x", link=f"{sent[1].client_order_id}-1", side=sent[1].side,
        price=sent[1].price, qty=sent[1].qty, ms=300,
    )  # fmt: skip
    again.on_event(fill)
    assert {one.order_id for one in again.book} == {f"o-{sent[0].price}", None}
    again.adopt_orders([as_listed(sent[0], 100)], at(30_000))
    assert [one.order_id for one in again.book] == [f"o-{sent[0].price}"]
    wanted = {one.price for one in places(again.on_event(ticker("60000", 70_000)))}
    assert {sent[2].price, sent[3].price} <= wanted


def test_a_list_that_lags_after_a_restart_makes_no_order_twice() -> None:
    first = known(GridStrategy(CONFIG))
    sent = places(first.on_event(ticker("60000")))
    for intent in sent:
        first.on_event(accepted(intent, 100))
    before = {(one.order_id, one.leaves_qty, one.price_ticks) for one in first.book}
    assert len(before) == 4
    # at 20 s the list is still that of 0 s; looking for each of them found nothing either
    again = restarted(first)
    again.on_event(full_account(20_000))
    again.handle(AdoptOrders(orders=(), as_of=at(20_000), absent=frozenset()))
    assert again.on_event(ticker("60000", 20_100)) == []
    assert {(one.order_id, one.leaves_qty, one.price_ticks) for one in again.book} == before
    assert all(one.is_orphan for one in again.view.orders)
    # two turn up, one has ended, one is nowhere
    gone = f"o-{sent[3].price}"
    again.on_event(
        order_update(
            "Cancelled", order_id=f"o-{sent[2].price}", side=sent[2].side, price=sent[2].price,
            qty=sent[2].qty, leaves="0", ms=30_000,
        )
    )  # fmt: skip
    listed = (as_listed(sent[0], 100), as_listed(sent[1], 100))
    again.handle(AdoptOrders(orders=listed, as_of=at(61_000), absent=frozenset({gone})))
    assert not any(one.is_orphan for one in again.view.orders)
    assert {one.order_id for one in again.book} == {one.order_id for one in listed}


def test_an_order_of_a_former_version_is_found_again_on_the_exchange() -> None:
    first = known(GridStrategy(CONFIG))
    sent = places(first.on_event(ticker("60000")))
    for intent in sent:
        first.on_event(accepted(intent, 100))
    state = kept(first)
    resting = state["guards"]["orders"]["resting"]
    for order_id, one in resting.items():
        resting[order_id] = one["started_us"]
    again = GridStrategy(CONFIG)
    again.restore(state)
    assert len(again.book) == 0
    known(again).adopt_orders([as_listed(one, 100) for one in sent], at(10_000))
    assert len(again.book) == 4


def test_what_is_on_its_way_counts_against_the_guards_of_the_next_process() -> None:
    first = known(GridStrategy(CONFIG), long=leg("0.01", "60000"))
    closes = [one for one in places(first.on_event(ticker("60000"))) if one.reduce_only]
    held = sum(one.qty for one in closes)
    assert held
    again = restarted(first)
    assert again.book.closing_qty[closes[0].direction] == held


def test_two_fills_of_one_level_in_two_processes_are_no_double() -> None:
    first = known(GridStrategy(CONFIG))
    intent = places(first.on_event(ticker("60000")))[0]
    known(first, ms=100)
    first.adopt_orders([as_listed(intent, 50)], at(200))
    again = restarted(first)
    link = f"{intent.client_order_id}-1"
    how = {"link": link, "side": intent.side, "price": intent.price, "qty": intent.qty}
    again.on_event(execution("e1", order_id=f"o-{intent.price}", ms=300, **how))
    later = as_listed(intent, 400)
    again.adopt_orders(
        [LimitOrder(**{f: getattr(later, f) for f in later.__slots__} | {"order_id": "o2"})],
        at(500),
    )
    again.on_event(execution("e2", order_id="o2", ms=600, **how))
    assert not again.admission.same_order.is_set


def stopped() -> GridStrategy:
    """Return a strategy with everything against it."""
    strategy = known(GridStrategy(CONFIG), long=leg("0.1", "60000"))
    strategy.on_event(ticker("60000", 1))
    strategy.handle(Hold("paused", keep=True))
    strategy.handle(Hold("starting"))
    strategy.on_event(execution("e1", order_id="o1", qty="0.001", ms=2))
    for ms in (3, 4, 5):
        strategy.admission.reduce_only[next(iter(strategy.positions))].add(at(ms))
    strategy.on_event(ticker("59000", 6))
    return strategy


def test_what_stops_trading_is_kept() -> None:
    before = stopped()
    assert {"paused", "loss_breaker", "reduce_only_long"} <= before.trips.keys()
    after = known(restarted(before), ms=100, long=leg("0.1", "60000"))
    assert {"paused", "loss_breaker"} <= after.trips.keys()
    assert "starting" not in after.trips
    assert kept(after)["guards"]["rate"] == kept(before)["guards"]["rate"]
    after.handle(Release("paused"))
    after.handle(ResetLossBreaker())
    assert "paused" not in known(restarted(after), ms=200).trips


def test_another_step_does_not_undo_what_stops_trading() -> None:
    before = stopped()
    state = kept(before)
    after = GridStrategy(WIDER)
    with pytest.raises(SnapshotError, match="grid_step"):
        after.restore(state)
    assert not after.trips.keys() & {"paused", "loss_breaker"}
    after.restore_memory(state)
    assert {"paused", "loss_breaker", "reduce_only_long"} <= after.trips.keys()
    after.on_event(execution("e1", order_id="o1", qty="0.001", ms=2))
    assert after.view.duplicate_executions == 1
    assert after.engine.grid.grid == []


def test_guards_alone_restore_and_are_refused_for_another_strategy() -> None:
    guards = json.loads(json.dumps(stopped().guards()))
    after = GridStrategy(CONFIG)
    after.restore_guards(guards)
    assert {"paused", "loss_breaker"} <= after.trips.keys()
    with pytest.raises(SnapshotError, match="strat_id"):
        after.restore_guards(guards | {"strat_id": "other"})
    del guards["loss"]
    untouched = GridStrategy(CONFIG)
    with pytest.raises(SnapshotError, match="damaged"):
        untouched.restore_guards(guards)
    assert kept(untouched) == kept(GridStrategy(CONFIG))


def test_a_snapshot_of_the_first_version_is_read() -> None:
    state = kept(stopped())
    guards = state.pop("guards")
    state |= {
        "version": 1,
        "same_order": {"is_set": True, "newest": {"long": [["60000", "Buy", "o1"]], "short": []}},
        "loss": guards["loss"],
        "rate": guards["rate"],
        "ended_orders": {"o9": at(1).isoformat()},
    }
    after = GridStrategy(CONFIG)
    after.restore(state)
    assert {"same_order_error", "loss_breaker"} <= after.trips.keys()
    assert after.book.past.ended("o9") is not None
    # nothing rests, so nothing can be doubled
    assert "same_order_error" not in known(after, ms=10).trips


def test_a_limit_that_was_taken_away_trips_no_more() -> None:
    state = kept(stopped())
    free = strategy_config(grid=CONFIG.grid)
    after = GridStrategy(free)
    after.restore(state)
    assert "loss_breaker" not in after.trips


def test_orders_of_another_tick_size_are_cancelled_by_id() -> None:
    coarse = strategy_config(grid=CONFIG.grid, instrument=btcusdt(tick_size=Decimal("0.5")))
    strategy = GridStrategy(coarse)
    strategy.on_event(full_account())
    fine = GridStrategy(CONFIG)
    known(fine)
    resting = places(fine.on_event(ticker("60000.1")))
    off = [one for one in resting if one.price % Decimal("0.5")]
    assert off
    orders = [
        LimitOrder(
            order_id=f"o-{one.price}",
            order_link_id=f"{one.client_order_id}-1",
            direction=one.direction,
            side=one.side,
            price_ticks=int(one.price / Decimal("0.5")),
            qty=one.qty,
            leaves_qty=one.qty,
            age_rank=1,
            price=one.price if one.price % Decimal("0.5") else None,
        )
        for one in resting
    ]
    strategy.adopt_orders(orders, at(0))
    intents = strategy.on_event(ticker("60000.0", 10))
    cancelled = {one.order_id: one.price for one in intents if isinstance(one, CancelIntent)}
    assert {f"o-{one.price}": one.price for one in off}.items() <= cancelled.items()
    assert strategy.book.opening_notional >= sum(one.qty * one.price for one in off)


def test_a_restored_breaker_keeps_its_rest() -> None:
    before = stopped()
    after = restarted(before)
    direction = next(iter(after.positions))
    breaker = after.admission.reduce_only[direction]
    assert breaker.tripped_ts == at(5)
    assert breaker.confirmed(at(6) + timedelta(hours=1))
