"""GridStrategy: what the exchange does to a leg, and funding, count like any fill, once."""

from dataclasses import replace
from decimal import Decimal

import pytest

from gridcore import (
    CancelIntent,
    DirectionType,
    ExecutionEvent,
    ExecutionKind,
    GridConfig,
    GridStrategy,
    LossReset,
    PlaceLimitIntent,
    SafetyCaps,
    SideType,
)
from testkit.builders import account, at, execution, full_account, leg, strategy_config, ticker

LONG = DirectionType.LONG
CAPS = SafetyCaps(session_loss_limit=Decimal(300), session_loss_reset=LossReset.UTC_MIDNIGHT)
DAY_MS = 86_400_000


def holding(qty: str = "0.5") -> GridStrategy:
    """Return a strategy that holds so many BTC from 60000."""
    strategy = GridStrategy(strategy_config(grid=GridConfig(4, 0.2), safety_caps=CAPS))
    strategy.on_event(full_account(long=leg(qty, "60000")))
    strategy.adopt_orders([], at(0))
    strategy.on_event(ticker("60000", 1))
    return strategy


def forced(
    qty: str = "0.5", price: str = "53000", ms: float = 10, **more: object
) -> ExecutionEvent:
    fill = execution(
        "liq-1", order_id="exchange-1", side=SideType.SELL, price=price, qty=qty, closed=qty, ms=ms
    )
    return replace(fill, kind=ExecutionKind.FORCED, event_type="execution", **more)  # type: ignore[arg-type]


def test_a_forced_close_takes_from_the_leg_and_trips_the_loss_limit() -> None:
    strategy = holding()
    levels = strategy.engine.grid.snapshot()
    strategy.on_event(forced())
    strategy.on_event(forced())  # the other channel tells it too
    assert strategy.account.legs[LONG].size == 0
    assert strategy.admission.loss.realised == -3500
    assert strategy.engine.grid.snapshot() == levels  # no fill of the grid
    intents = strategy.on_event(ticker("60000", 20))
    assert "loss_breaker" in strategy.trips
    assert not any(isinstance(one, PlaceLimitIntent) for one in intents)


@pytest.mark.parametrize("position_first", [True, False])
def test_the_leg_is_right_whichever_channel_is_first(position_first: bool) -> None:
    strategy = holding()
    empty = replace(leg(), updated_ts=at(10), seq=7)
    told = [account(30, long=empty), forced(seq=7)]
    for event in told if position_first else reversed(told):
        strategy.on_event(event)
    assert strategy.account.legs[LONG].size == 0
    assert strategy.account.legs[LONG].unexplained == 0
    assert strategy.admission.loss.realised == -3500


def test_a_forced_close_that_was_missed_counts_after_a_restart() -> None:
    before = holding()
    after = GridStrategy(before.config)
    after.restore(before.snapshot())
    after.on_event(forced())
    after.on_event(full_account(1_000))
    after.adopt_orders([], at(1_000))
    assert all(isinstance(one, CancelIntent) for one in after.on_event(ticker("60000", 2_000)))
    assert "loss_breaker" in after.trips


def test_funding_counts_for_the_loss_limit_and_leaves_the_leg() -> None:
    strategy = holding()
    paid = execution("fund-1", side=SideType.BUY, price="60000", qty="0.5", fee="301", ms=10)
    funding = replace(paid, kind=ExecutionKind.FUNDING, event_type="execution")  # type: ignore[arg-type]
    for _ in range(2):
        strategy.on_event(funding)
    assert strategy.account.legs[LONG].size == Decimal("0.5")
    assert strategy.admission.loss.realised == -301
    strategy.on_event(ticker("60000", 20))
    assert "loss_breaker" in strategy.trips


def test_what_happens_after_midnight_counts_for_the_new_day() -> None:
    strategy = holding()
    strategy.on_event(forced(ms=DAY_MS + 5))
    strategy.on_event(ticker("60000", DAY_MS + 20))
    assert "loss_breaker" in strategy.trips


def test_a_fill_of_the_moment_of_a_trade_is_still_an_order_of_ours() -> None:
    assert execution().kind is ExecutionKind.TRADE
