"""Each guard by itself."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gridcore import (
    DirectionType,
    FreeMargin,
    LossBreaker,
    LossReset,
    OrderBook,
    OrderRate,
    SameOrderDetector,
    SideType,
    TrackedOrder,
    is_affordable,
    is_covered,
)
from gridcore.guards import REMEMBERED_FAILURES, RejectBreaker, RetryHold
from testkit.builders import at, execution

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT


def opening(book: OrderBook, ticks: int = 1000, qty: str = "1") -> TrackedOrder:
    return book.add_pending(
        client_order_id=f"{ticks:016x}",
        direction=LONG,
        side=SideType.BUY,
        price_ticks=ticks,
        price=Decimal(ticks) / 10,
        qty=Decimal(qty),
        reduce_only=False,
        created_ts=at(0),
    )


def test_cover_is_strict() -> None:
    assert is_covered(Decimal(3), Decimal(1), Decimal("1.9"))
    assert not is_covered(Decimal(3), Decimal(1), Decimal(2))


def test_affordable_includes_the_buffer() -> None:
    assert is_affordable(Decimal(105), Decimal(1000), Decimal(10))
    assert not is_affordable(Decimal("104.99"), Decimal(1000), Decimal(10))


def test_free_margin_deducts_orders_until_a_report_contains_them() -> None:
    margin, book = FreeMargin(timedelta(minutes=5)), OrderBook()
    assert not margin.carries(Decimal(1), Decimal(1), at(0))
    margin.report(Decimal(105), at(0))
    assert margin.expires == at(300_000)
    order = opening(book)  # 100 USDT
    margin.reserve(order)
    assert not margin.carries(Decimal(1), Decimal(1), at(1))
    margin.report(Decimal(105), at(2))  # the order is not confirmed, so it cannot be in here
    assert not margin.carries(Decimal(1), Decimal(1), at(2))
    book.acknowledge(order, "o1", None, at(3))
    margin.report(Decimal(105), at(3))
    assert margin.carries(Decimal(100), Decimal(1), at(3))
    assert not margin.carries(Decimal(101), Decimal(1), at(3))
    margin.report(Decimal(0), at(1))  # an older report changes nothing
    assert margin.carries(Decimal(100), Decimal(1), at(3))
    assert not margin.carries(Decimal(1), Decimal(1), at(300_004))
    margin.forget()
    assert not margin.carries(Decimal(1), Decimal(1), at(4))


def test_free_margin_gives_back_what_never_rested() -> None:
    margin, book = FreeMargin(timedelta(minutes=5)), OrderBook()
    margin.report(Decimal(105), at(0))
    order = opening(book)
    margin.reserve(order)
    margin.release(order)
    margin.release(order)
    assert margin.carries(Decimal(100), Decimal(1), at(1))


def fill(detector: SameOrderDetector, order_id: str, **changes: object) -> None:
    detector.add(execution(f"x-{order_id}", order_id=order_id, **changes))  # type: ignore[arg-type]


def test_same_order_needs_one_leg_price_and_side_and_two_orders() -> None:
    for second in (
        {"price": "60001"},
        {"side": SideType.SELL, "closed": "0.001"},
        {"side": SideType.SELL},  # opens the short leg
        {"leaves": "0.001"},
    ):
        detector = SameOrderDetector()
        fill(detector, "a")
        fill(detector, "b", **second)
        assert not detector.is_set, second
    detector = SameOrderDetector()
    fill(detector, "a")
    fill(detector, "a")
    assert not detector.is_set
    fill(detector, "b", price="60000.0")
    assert detector.is_set


def test_same_order_is_judged_anew_for_both_legs_at_every_fill() -> None:
    detector = SameOrderDetector()
    fill(detector, "a")
    fill(detector, "b")
    fill(detector, "c", side=SideType.SELL)  # the short leg's fill does not clear the long leg's
    assert detector.is_set
    fill(detector, "d", price="59000")
    assert not detector.is_set


def test_same_order_counts_a_break_even_close() -> None:
    detector = SameOrderDetector()
    for order_id in "ab":
        fill(detector, order_id, side=SideType.SELL, closed="0.001", pnl="0")
    assert detector.is_set
    other = SameOrderDetector()
    other.restore(detector.snapshot())
    assert other.is_set
    assert other.snapshot() == detector.snapshot()


def test_loss_breaker_without_a_limit_never_trips() -> None:
    breaker = LossBreaker(None, LossReset.UTC_MIDNIGHT)
    breaker.add_realised(Decimal(-1_000_000), Decimal(5))
    assert not breaker.check(Decimal(-5), at(0))
    assert breaker.next_midnight is None


def test_loss_breaker_trips_at_the_limit_once() -> None:
    breaker = LossBreaker(Decimal(10), LossReset.UTC_MIDNIGHT)
    assert not breaker.check(Decimal(3), at(0))
    breaker.add_realised(Decimal(-4), Decimal(1))
    assert not breaker.check(Decimal("-1.99"), at(1))
    assert breaker.check(Decimal(-2), at(2))
    assert not breaker.check(Decimal(-50), at(3))
    assert breaker.next_midnight == at(86_400_000)
    again = LossBreaker(Decimal(10), LossReset.UTC_MIDNIGHT)
    again.restore(breaker.snapshot())
    assert again.snapshot() == breaker.snapshot()


def test_order_rate_is_a_rolling_minute() -> None:
    rate = OrderRate(2)
    for ms in (0, 10_000):
        assert rate.allows(at(ms))
        rate.add(at(ms))
    assert not rate.allows(at(59_999))
    assert rate.frees_at == at(60_000)
    assert rate.allows(at(60_000))
    again = OrderRate(2)
    again.restore(rate.snapshot())
    assert again.frees_at == at(70_000)
    unlimited = OrderRate(None)
    unlimited.add(at(0))
    assert unlimited.allows(at(0))
    assert unlimited.frees_at is None


def test_retry_hold_doubles_up_to_a_minute_and_forgets_on_success() -> None:
    hold, key = RetryHold(), (LONG, 5)
    seconds = []
    for _ in range(9):
        hold.add_failure(key, at(0))
        until = hold.held_until(key, at(0))
        seconds.append(0 if until is None else (until - at(0)).seconds)
    assert seconds == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert hold.held_until((SHORT, 5), at(0)) is None
    hold.clear(key)
    assert hold.held_until(key, at(0)) is None


def test_retry_hold_is_bounded() -> None:
    hold = RetryHold()
    for number in range(REMEMBERED_FAILURES + 1):
        hold.add_failure((LONG, number), at(number))
    hold.add_failure((LONG, 0), at(10**6))
    hold.add_failure((LONG, 0), at(10**6))
    assert hold.held_until((LONG, 0), at(10**6)) is not None


@pytest.mark.parametrize(("gap_ms", "trips"), [(100_000, True), (200_000, False)])
def test_reject_breaker_needs_three_within_its_window(gap_ms: int, trips: bool) -> None:
    breaker = RejectBreaker()
    results = [breaker.add(at(number * gap_ms)) for number in range(3)]
    assert results == [False, False, trips]
    assert breaker.is_tripped is trips
    breaker.reset()
    assert not breaker.is_tripped
