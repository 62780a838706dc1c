"""GridStrategy: how placements and cancels live and end."""

from decimal import Decimal

import pytest

from gridcore import (
    CancelIntent,
    DirectionType,
    GridStrategy,
    InvalidEventError,
    OpenOrdersEvent,
    OrderStatus,
    PlaceLimitIntent,
    PlaceOutcome,
    Reconfirm,
    Refusal,
    RejectReason,
    ResetReduceOnly,
    SideType,
)
from testkit.builders import (
    account,
    at,
    execution,
    full_account,
    leg,
    order_update,
    strategy_config,
    ticker,
    wallet,
)
from testkit.strategy_scene import SMALL, closing, known, listed, place_result, placed


def test_no_intent_until_legs_wallet_and_orders_are_confirmed() -> None:
    strategy = GridStrategy(strategy_config(grid=SMALL))
    parts = [
        account(long=leg()),
        account(short=leg()),
        account(money=wallet()),
    ]
    for part in parts:
        assert strategy.on_event(ticker("60000")) == []
        strategy.on_event(part)
    assert strategy.on_event(ticker("60000")) == []
    assert "open orders" in strategy.trips["account_unknown"]
    strategy.on_event(
        OpenOrdersEvent(symbol="BTCUSDT", exchange_ts=at(0), local_ts=at(0), orders=())
    )
    assert strategy.on_event(ticker("60000"))
    assert "account_unknown" not in strategy.trips


def test_confirmation_can_be_required_again() -> None:
    strategy = known()
    strategy.handle(Reconfirm())
    assert strategy.on_event(ticker("60000")) == []
    strategy.on_event(full_account(1))
    strategy.adopt_orders([], at(1))
    assert strategy.on_event(ticker("60000", 2))


def test_another_symbol_is_refused() -> None:
    strategy = known()
    with pytest.raises(InvalidEventError, match="ETHUSDT"):
        strategy.on_event(ticker("60000", symbol="ETHUSDT"))
    with pytest.raises(InvalidEventError, match="ETHUSDT"):
        strategy.on_event(execution(symbol="ETHUSDT"))


def test_empty_legs_get_opening_orders_only_with_their_quantity() -> None:
    intents = known().on_event(ticker("60000"))
    assert [(i.direction, i.side, i.price) for i in intents] == [
        (DirectionType.LONG, SideType.BUY, Decimal("59880.0")),
        (DirectionType.LONG, SideType.BUY, Decimal("59760.2")),
        (DirectionType.SHORT, SideType.SELL, Decimal("60120.0")),
        (DirectionType.SHORT, SideType.SELL, Decimal("60240.2")),
    ]
    assert {i.qty for i in intents} == {Decimal("0.002")}
    assert not any(i.reduce_only or i.post_only for i in intents)


def test_post_only_reaches_the_intents() -> None:
    assert all(i.post_only for i in known(post_only=True).on_event(ticker("60000")))


def test_an_intent_in_flight_is_not_repeated() -> None:
    strategy = known()
    first = strategy.on_event(ticker("60000"))
    assert len(first) == 4
    assert strategy.on_event(ticker("60000", 1)) == []


def test_an_accepted_order_is_not_repeated() -> None:
    strategy = known()
    placed(strategy)
    assert strategy.on_event(ticker("60000", 2)) == []
    assert {order.status for order in strategy.book} == {OrderStatus.PLACED}


def test_a_failed_placement_is_decided_again_at_the_next_tick_then_rests() -> None:
    strategy = known()
    first = strategy.on_event(ticker("60000"))[0]
    strategy.on_event(place_result(first, outcome=PlaceOutcome.FAILED, ms=10))
    again = strategy.on_event(ticker("60000", 11))
    assert [i.client_order_id for i in again] == [first.client_order_id]
    strategy.on_event(place_result(first, outcome=PlaceOutcome.FAILED, ms=20))
    assert strategy.on_event(ticker("60000", 21)) == []
    assert strategy.admission.refused[Refusal.RETRY_HOLD] == 1
    assert strategy.on_event(ticker("60000", 1019)) == []
    assert len(strategy.on_event(ticker("60000", 1020))) == 1


def test_a_rejection_for_balance_stops_opening_until_the_wallet_is_reported() -> None:
    strategy = known()
    first = strategy.on_event(ticker("60000"))[0]
    reason = RejectReason.INSUFFICIENT_BALANCE
    strategy.on_event(place_result(first, outcome=PlaceOutcome.REJECTED, reason=reason))
    assert strategy.on_event(ticker("60000", 2)) == []
    assert strategy.admission.refused[Refusal.FREE_MARGIN] == 1
    strategy.on_event(account(3, money=wallet()))
    assert len(strategy.on_event(ticker("60000", 4))) == 1


def refuse_closes(strategy: GridStrategy, from_ms: float) -> float:
    """Let the exchange refuse the long leg's closing orders three times; return the last moment."""
    reason = RejectReason.REDUCE_ONLY
    ms = from_ms
    for attempt in range(3):
        ms = from_ms + 61_000 * attempt
        intents = strategy.on_event(ticker("60000", ms))
        closes = [i for i in closing(intents) if i.direction is DirectionType.LONG]
        assert closes, attempt
        rejected = place_result(closes[0], outcome=PlaceOutcome.REJECTED, reason=reason, ms=ms + 1)
        strategy.on_event(rejected)
        for other in intents:
            if other is not closes[0] and isinstance(other, PlaceLimitIntent):
                strategy.on_event(place_result(other, outcome=PlaceOutcome.FAILED, ms=ms + 1))
        waiting = closing(strategy.on_event(ticker("60000", ms + 5000)))
        assert not [i for i in waiting if i.direction is DirectionType.LONG]
        for other in waiting:
            strategy.on_event(place_result(other, outcome=PlaceOutcome.FAILED, ms=ms + 5000))
        if attempt < 2:
            strategy.on_event(account(ms + 5001, long=leg("1", "60000")))
    return ms + 5001


def test_closes_that_are_refused_three_times_stop_the_leg_until_its_size_is_confirmed() -> None:
    strategy = known()
    strategy.on_event(account(1, long=leg("1", "60000"), short=leg("1", "60000")))
    now = refuse_closes(strategy, 10_000)
    assert "reduce_only_long" in strategy.trips
    # the long leg neither closes nor opens, whatever the market does; the short leg goes on
    for price in ("60000", "60010", "59990"):
        now += 70_000
        placed = [
            i for i in strategy.on_event(ticker(price, now)) if isinstance(i, PlaceLimitIntent)
        ]
        assert not [i for i in placed if i.direction is DirectionType.LONG]
    # what was known at the time of the refusal confirms nothing
    strategy.on_event(account(1, long=leg("1", "60000")))
    assert "reduce_only_long" in strategy.trips
    strategy.on_event(account(now + 1, long=leg("1", "60000")))
    assert "reduce_only_long" not in strategy.trips
    intents = strategy.on_event(ticker("60000", now + 70_000))
    assert [i for i in closing(intents) if i.direction is DirectionType.LONG]


def test_a_leg_whose_closes_are_refused_opens_nothing_either() -> None:
    strategy = known()
    strategy.on_event(account(1, long=leg("1", "60000"), short=leg("1", "60000")))
    for ms in (2, 3, 4):
        strategy.admission.reduce_only[DirectionType.LONG].add(at(ms))
    intents = [i for i in strategy.on_event(ticker("60000", 10)) if isinstance(i, PlaceLimitIntent)]
    assert {(i.direction, i.reduce_only) for i in intents} == {
        (DirectionType.SHORT, True),
        (DirectionType.SHORT, False),
    }
    assert strategy.admission.refused[Refusal.REDUCE_ONLY_BREAKER] == 4


def test_an_order_that_the_exchange_ended_is_not_revived_by_a_list_that_lags() -> None:
    strategy = known()
    intents = placed(strategy)
    first = intents[0]
    ended = order_update(
        "Cancelled", order_id="o0", link=f"{first.client_order_id}-1", price=first.price,
        side=first.side, qty=first.qty, leaves="0", ms=1_000,
    )  # fmt: skip
    strategy.on_event(ended)
    lagging = [listed(f"o{number}", intent) for number, intent in enumerate(intents)]
    report = strategy.adopt_orders(lagging, at(60_000))
    assert report.adopted == ()
    assert strategy.book.get("o0") is None


def test_refused_closes_that_come_back_rest_longer_and_end_by_hand() -> None:
    strategy = known()
    strategy.on_event(account(1, long=leg("1", "60000")))
    now = refuse_closes(strategy, 10_000)
    strategy.on_event(account(now, long=leg("1", "60000")))
    assert "reduce_only_long" not in strategy.trips
    now = refuse_closes(strategy, now + 70_000)
    strategy.on_event(account(now, long=leg("1", "60000")))
    assert "not before" in strategy.trips["reduce_only_long"]
    strategy.on_event(account(now + 61_000, long=leg("1", "60000")))
    assert "reduce_only_long" not in strategy.trips
    now = refuse_closes(strategy, now + 140_000)
    strategy.on_event(account(now + 61_000, long=leg("1", "60000")))
    assert "reduce_only_long" in strategy.trips
    strategy.handle(ResetReduceOnly())
    assert closing(strategy.on_event(ticker("60000", now + 70_000)))


def test_news_of_the_stream_may_come_before_the_answer() -> None:
    strategy = known()
    first = strategy.on_event(ticker("60000"))[0]
    link = f"{first.client_order_id}-1"
    strategy.on_event(order_update("New", order_id="o0", link=link, price=first.price, ms=1))
    assert strategy.book.get("o0") is not None
    strategy.on_event(execution(order_id="o0", link=link, price=first.price, qty=first.qty, ms=2))
    assert strategy.book.get("o0") is None
    strategy.on_event(place_result(first, "o0", ms=3))
    assert strategy.book.get("o0") is None
    assert strategy.book.unacknowledged(first.client_order_id) is None


def test_old_news_of_an_ended_order_is_not_taken_for_its_successor() -> None:
    strategy = known()
    placed(strategy)
    first = next(iter(strategy.book))
    link = f"{first.client_order_id}-1"
    strategy.on_event(
        order_update("Cancelled", order_id="o0", link=link, price=first.price, leaves="0", ms=5)
    )
    assert strategy.book.get("o0") is None
    again = strategy.on_event(ticker("60000", 6))
    assert [i.client_order_id for i in again] == [first.client_order_id]
    late = order_update("Cancelled", order_id="o0", link=link, price=first.price, ms=5)
    strategy.on_event(late)
    strategy.on_event(order_update("New", order_id="o0", link=link, price=first.price, ms=1))
    assert strategy.book.unacknowledged(first.client_order_id) is not None
    assert len(strategy.book) == 4


def test_a_rejected_answer_does_not_end_an_order_that_the_stream_has_shown() -> None:
    strategy = known()
    first = strategy.on_event(ticker("60000"))[0]
    link = f"{first.client_order_id}-1"
    strategy.on_event(order_update("New", order_id="o0", link=link, price=first.price))
    strategy.on_event(place_result(first, outcome=PlaceOutcome.FAILED))
    assert strategy.book.get("o0") is not None


def test_a_rejection_by_the_stream_frees_the_price() -> None:
    strategy = known()
    first = placed(strategy)[0]
    link = f"{first.client_order_id}-1"
    rejected = order_update("Rejected", order_id="o0", link=link, price=first.price, leaves="0")
    strategy.on_event(rejected)
    assert strategy.book.get("o0") is None
    assert len(strategy.on_event(ticker("60000", 2))) == 1


def test_an_order_that_the_exchange_moves_is_followed_and_cancelled() -> None:
    strategy = known()
    first = placed(strategy)[0]
    link = f"{first.client_order_id}-1"
    strategy.on_event(order_update("New", order_id="o0", link=link, price="59900.0", ms=2))
    order = strategy.book.get("o0")
    assert order is not None
    assert order.price == Decimal("59900.0")
    intents = strategy.on_event(ticker("60000", 3))
    assert [(type(i), getattr(i, "order_id", "")) for i in intents] == [
        (PlaceLimitIntent, ""),
        (CancelIntent, "o0"),
    ]


def test_a_fill_moves_the_waiting_level_and_is_counted_once() -> None:
    strategy = known()
    first = placed(strategy)[0]
    fill = execution(
        order_id="o0", link=f"{first.client_order_id}-1", price=first.price, qty="0.002", ms=5
    )
    strategy.on_event(fill)
    strategy.on_event(fill)
    assert strategy.view.duplicate_executions == 1
    assert strategy.engine.last_filled_price == first.price
    assert strategy.account.legs[DirectionType.LONG].size == Decimal("0.002")
    assert strategy.book.get("o0") is None


def test_a_partial_fill_keeps_the_order_and_reduces_it() -> None:
    strategy = known()
    first = placed(strategy)[0]
    strategy.on_event(
        execution(order_id="o0", price=first.price, qty="0.001", leaves="0.001", ms=5)
    )
    order = strategy.book.get("o0")
    assert order is not None
    assert order.leaves_qty == Decimal("0.001")
    assert order.status is OrderStatus.PARTIALLY_FILLED


def test_a_foreign_fill_changes_the_leg_but_not_the_grid() -> None:
    strategy = known()
    placed(strategy)
    strategy.on_event(execution(order_id="manual", price="59000", qty="0.5", ms=5))
    assert strategy.engine.last_filled_price is None
    assert strategy.account.legs[DirectionType.LONG].size == Decimal("0.5")
