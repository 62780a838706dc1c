"""Each guard by itself."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gridcore import (
    DirectionType,
    FilledOrder,
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
from testkit.builders import at

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
    book.acknowledge(order, "o1", at(3))
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


def filled(
    order_id: str, started: float | None, ended: float, identity: str = "100"
) -> FilledOrder:
    return FilledOrder(order_id, identity, None if started is None else at(started), at(ended))


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (filled("b", 1, 3), True),  # placed beside the first, filled after it
        (filled("b", 0, 1), True),  # filled first, told second
        (filled("b", 2, 3), False),  # placed when the first had filled
        (filled("b", 5, 9), False),
        (filled("b", 1, 3, identity="101"), False),  # another level, whatever the fill price
        (filled("a", 1, 3), False),  # the same order
        (filled("b", None, 3), True),  # nobody placed it: it may have been there all the time
    ],
)
def test_two_orders_of_one_identity_that_were_live_at_once_are_a_double(
    second: FilledOrder, expected: bool
) -> None:
    detector = SameOrderDetector()
    detector.add(LONG, filled("a", 0, 2))
    detector.add(LONG, second)
    assert detector.is_set is expected


def doubled() -> SameOrderDetector:
    detector = SameOrderDetector()
    detector.add(LONG, filled("a", 0, 2))
    detector.add(LONG, filled("b", 1, 3))
    return detector


def test_a_clean_fill_of_the_leg_ends_the_same_order_error() -> None:
    detector = doubled()
    detector.add(SHORT, filled("c", 0, 4))  # the other leg's fill says nothing of this one
    assert detector.is_set
    detector.add(LONG, filled("d", 0, 5, identity="99"))
    assert not detector.is_set


def test_a_list_without_a_double_ends_the_same_order_error() -> None:
    detector = doubled()
    detector.compared(at(10), has_double=True, is_empty=False)
    assert detector.is_set
    detector.compared(at(11), has_double=False, is_empty=False)
    assert not detector.is_set


def test_a_same_order_error_that_comes_back_rests_longer_each_time() -> None:
    detector, now, rests = doubled(), 10.0, []
    detector.compared(at(now), has_double=False, is_empty=False)
    for number in range(9):
        detector.add(LONG, filled(f"c{number}", now, now + 2, identity=f"{number}"))
        detector.add(LONG, filled(f"d{number}", now + 1, now + 3, identity=f"{number}"))
        begun = now = now + 3
        while detector.is_set:
            now += 60_000
            detector.compared(at(now), has_double=False, is_empty=False)
        rests.append((now - begun) / 60_000)
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_nothing_rests_so_nothing_is_doubled() -> None:
    detector = doubled()
    detector.compared(at(4), has_double=False, is_empty=False)
    detector.add(LONG, filled("e", 4, 6))
    detector.add(LONG, filled("f", 4, 7))
    detector.compared(at(8), has_double=False, is_empty=False)
    assert detector.is_set  # it came back, so it rests
    detector.compared(at(9), has_double=False, is_empty=True)
    assert not detector.is_set


def test_the_same_order_error_survives_a_restart() -> None:
    detector = doubled()
    other = SameOrderDetector()
    other.restore(detector.snapshot())
    assert other.is_set
    assert other.snapshot() == detector.snapshot()
    # as an older version wrote it
    other = SameOrderDetector()
    other.restore({"is_set": True, "newest": {"long": [["60000", "Buy", "a"]], "short": []}})
    assert other.is_set
    other.compared(at(10), has_double=False, is_empty=False)
    assert not other.is_set


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
