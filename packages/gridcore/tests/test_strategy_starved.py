"""GridStrategy: whoever wants orders and gets none says so, with the reason, until it is over."""

from collections.abc import Callable

import pytest

from gridcore import (
    AccountEvent,
    DirectionType,
    ExchangeOrderStatus,
    GridConfig,
    GridStrategy,
    Hold,
    Intent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    RejectReason,
)
from testkit.builders import (
    account,
    at,
    full_account,
    leg,
    order_update,
    risk,
    strategy_config,
    ticker,
    wallet,
)

MINUTE = 60_000


def known(start: AccountEvent, **changes: object) -> GridStrategy:
    strategy = GridStrategy(strategy_config(**({"grid": GridConfig(4, 0.2)} | changes)))
    strategy.on_event(start)
    strategy.adopt_orders([], at(0))
    return strategy


def answer(
    strategy: GridStrategy, intents: list[Intent], ms: float, reason: RejectReason | None = None
) -> None:
    for number, one in enumerate(intents):
        if isinstance(one, PlaceLimitIntent):
            strategy.on_event(
                PlaceResultEvent(
                    symbol="BTCUSDT",
                    exchange_ts=at(ms),
                    local_ts=at(ms),
                    client_order_id=one.client_order_id,
                    outcome=PlaceOutcome.REJECTED if reason else PlaceOutcome.ACCEPTED,
                    order_id=None if reason else f"o{ms}-{number}",
                    reject_reason=reason,
                    message="says no" if reason else "",
                )
            )


def minutes(strategy: GridStrategy, count: float, start_ms: float = 0) -> None:
    """Let the market stand nearly still for a while."""
    for number in range(int(count * 12) + 1):
        price = ("60000", "60000.1")[number % 2]
        strategy.on_event(ticker(price, start_ms + number * 5_000))


@pytest.mark.parametrize(
    ("start", "changes", "reason"),
    [
        (full_account(money=wallet("10000", None)), {}, "available balance is not known"),
        (full_account(money=wallet("10000", "3")), {}, "available balance of 3 USDT carries no"),
        (full_account(money=wallet("0", "0")), {}, "the wallet holds 0 USDT"),
        (
            full_account(long=leg("2", "60000"), short=leg("2", "60000")),
            {"risk": risk(max_margin=0.5)},
            "is 12 times the wallet, max_margin is 0.5",
        ),
    ],
)
def test_no_order_for_a_minute_is_a_block_with_its_reason(
    start: AccountEvent, changes: dict[str, object], reason: str
) -> None:
    strategy = known(start, **changes)
    for number in range(12):
        intents = strategy.on_event(ticker("60000", 5_000 * number))
        assert not any(isinstance(i, PlaceLimitIntent) and not i.reduce_only for i in intents)
        assert strategy.trips == {}
    strategy.on_event(ticker("60000", MINUTE + 1))
    assert reason in str({**strategy.trips, **strategy.limits})


def test_the_block_ends_when_its_cause_does() -> None:
    strategy = known(full_account(money=wallet("10000", "3")))
    minutes(strategy, 2)
    assert "starved" in strategy.trips
    strategy.on_event(account(121_000, money=wallet("10000", "5000")))
    intents = strategy.on_event(ticker("60000", 122_000))
    assert intents
    answer(strategy, intents, 122_010)
    strategy.on_event(ticker("60000.1", 123_000))
    assert strategy.trips == {}


@pytest.mark.parametrize("reason", [RejectReason.OTHER, RejectReason.INSUFFICIENT_BALANCE])
def test_orders_that_the_exchange_refuses_for_a_minute_are_a_block(reason: RejectReason) -> None:
    strategy = known(full_account())
    for number in range(200):
        ms = number * 1_000
        intents = strategy.on_event(ticker(("60000", "60001")[number % 2], ms))
        strategy.on_event(ticker("60000.5", ms + 10))  # while the order is on its way
        answer(strategy, intents, ms + 20, reason)
    assert "starved" in strategy.trips
    told = "says no" if reason is RejectReason.OTHER else "available balance is not known"
    assert told in strategy.trips["starved"]


def test_a_leg_that_gets_nothing_is_told_while_the_other_one_trades() -> None:
    strategy = known(full_account(long=leg("2", "60000")), risk=risk(max_margin=0.5))
    answer(strategy, strategy.on_event(ticker("60000")), 1)
    minutes(strategy, 2, 2_000)
    assert strategy.trips.keys() == {"starved"}  # all that it still wants
    # an order of the short leg that the exchange has yet to take: not all is starved
    strategy.on_event(ticker("60061", 123_000))
    ended = next(o for o in strategy.book if o.direction is DirectionType.SHORT)
    strategy.on_event(
        order_update("Cancelled", order_id=ended.order_id or "", side=ended.side, ms=123_500)
    )
    strategy.on_event(ticker("60000", 124_000))
    assert strategy.trips == {}
    assert "the long leg opens nothing" in strategy.limits["no_long_opening"]


def wants_nothing(strategy: GridStrategy) -> None:
    answer(strategy, strategy.on_event(ticker("60000")), 1)


def is_held(strategy: GridStrategy) -> None:
    strategy.handle(Hold("paused"))


@pytest.mark.parametrize("how", [wants_nothing, is_held])
def test_whoever_wants_nothing_is_not_starved(how: Callable[[GridStrategy], None]) -> None:
    strategy = known(full_account())
    how(strategy)
    minutes(strategy, 5, 2_000)
    assert "starved" not in strategy.trips
    assert strategy.limits == {}


def test_small_legs_that_cannot_close_are_daily_business() -> None:
    strategy = known(full_account(long=leg("0.001", "60000"), short=leg("0.001", "60000")))
    answer(strategy, strategy.on_event(ticker("60000")), 1)
    minutes(strategy, 5, 2_000)
    assert strategy.trips == {}
    assert strategy.limits == {}


@pytest.mark.parametrize("status", [ExchangeOrderStatus.REJECTED, ExchangeOrderStatus.CANCELLED])
def test_orders_that_end_as_soon_as_they_are_taken_are_none(status: ExchangeOrderStatus) -> None:
    """The answer says yes, the stream says no a moment later."""
    strategy = known(full_account())
    for second in range(120):
        ms = second * 1_000.0
        price = ("60000", "60000.1")[second % 2]
        intents = strategy.on_event(ticker(price, ms))
        answer(strategy, intents, ms + 50)
        for order in list(strategy.book):
            assert order.order_id is not None
            strategy.on_event(
                order_update(
                    status.value, order_id=order.order_id, link=order.client_order_id,
                    side=order.side, price=order.price, qty=order.qty, leaves="0", ms=ms + 100,
                )
            )  # fmt: skip
    assert "as soon as it has taken it" in strategy.trips["starved"]


def test_a_leg_that_gets_its_orders_has_no_old_reason() -> None:
    strategy = known(full_account())
    answer(strategy, strategy.on_event(ticker("60000", 0)), 50, RejectReason.OTHER)
    answer(strategy, strategy.on_event(ticker("60000.1", 5_000)), 5_050)
    assert len(strategy.book) == 4
    starvation = strategy.admission.starvation
    for direction in DirectionType:
        told = starvation.last_refusal(direction, closing=False)
        assert told == "the exchange has taken none yet"
