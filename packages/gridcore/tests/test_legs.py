"""A leg counts every fill once, whichever of its two streams comes first."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcore import DirectionType, ExecutionEvent, Leg, LegSnapshot, SideType
from testkit.builders import at, execution, leg

LONG = DirectionType.LONG


def open_fill(number: int, qty: str, ms: float, price: str = "100") -> ExecutionEvent:
    return execution(f"o{number}", price=price, qty=qty, ms=ms)


def close_fill(number: int, qty: str, ms: float) -> ExecutionEvent:
    return execution(f"c{number}", side=SideType.SELL, price="101", qty=qty, closed=qty, ms=ms)


def known(size: str = "10", ms: float = 0) -> Leg:
    held = Leg(LONG, Decimal(10))
    held.report(leg(size, "100"), at(ms))
    return held


def feed(held: Leg, item: ExecutionEvent | tuple[LegSnapshot, float]) -> None:
    if isinstance(item, tuple):
        held.report(item[0], at(item[1]))
    else:
        held.fill(item)


@pytest.mark.parametrize(
    "order", list(permutations(range(4))), ids=lambda order: "".join(map(str, order))
)
def test_two_fills_and_their_reports_in_every_order(order: tuple[int, ...]) -> None:
    items = [
        close_fill(1, "2", 10),
        (leg("8", "100"), 10.0),
        open_fill(2, "3", 20),
        (leg("11", "100"), 20.0),
    ]
    held = known()
    for index in order:
        feed(held, items[index])
    assert held.size == 11


def test_never_more_than_the_exchange_holds_while_messages_are_missing() -> None:
    items = [close_fill(1, "2", 10), (leg("8", "100"), 10.0)]
    for order in permutations(items):
        held = known()
        feed(held, order[0])
        assert held.size == 8
        feed(held, order[1])
        assert held.size == 8


def test_two_closes_of_one_moment_with_a_report_in_between() -> None:
    held = known()
    held.fill(close_fill(1, "2", 10))
    held.fill(close_fill(2, "1", 10))
    held.report(leg("8", "100"), at(10))
    assert held.size == 7
    held.report(leg("7", "100"), at(10))
    assert held.size == 7


def test_an_older_report_changes_nothing() -> None:
    held = known()
    held.report(leg("5", "100"), at(20))
    held.report(leg("9", "100"), at(10))
    assert held.size == 5


def test_a_report_keeps_fills_that_came_after_it() -> None:
    held = known()
    held.fill(close_fill(1, "2", 30))
    held.report(leg("10", "100"), at(20))
    assert held.size == 8


def test_a_change_that_no_fill_explains_is_kept_in_mind() -> None:
    held = known()
    held.report(leg("4", "100"), at(10))
    assert held.unexplained == -6
    held.fill(close_fill(1, "6", 9))
    assert held.unexplained == 0
    held.report(leg("1", "100"), at(20))
    held.accept_unexplained()
    assert (held.size, held.unexplained) == (1, 0)


def test_cover_waits_for_fills_that_only_the_order_stream_has_told() -> None:
    held = known()
    held.await_fill("o1", Decimal(2), Decimal(101), at(10), closing=True)
    held.await_fill("o2", Decimal(3), Decimal(100), at(10), closing=False)
    assert held.unsettled_closing_qty == 2
    assert held.unsettled_opening_value == 300
    held.fill(replace(close_fill(1, "2", 10), order_id="o1"))
    assert held.unsettled_closing_qty == 0
    held.report(leg("11", "100"), at(10))
    # one of the three is in the report for certain; the report may lack the close, and the others
    assert held.unsettled_opening_value == 200
    held.report(leg("11", "100"), at(11))
    assert held.unsettled_opening_value == 0
    held.await_fill("o3", Decimal(1), Decimal(101), at(5), closing=True)
    assert held.unsettled_closing_qty == 0  # the report of moment 11 contains it
    held.await_fill("o4", Decimal(1), Decimal(101), at(11), closing=True)
    assert held.unsettled_closing_qty == 1


def test_a_report_that_lacks_a_close_of_its_moment_is_seen_through_when_an_older_one_arrives() -> (
    None
):
    """Two closes in two moments; the report of the second contains the first only."""
    held = known("10", 0)
    held.await_fill("o1", Decimal(2), Decimal(101), at(9), closing=True)
    held.report(leg("9", "100"), at(9))
    assert (held.size, held.unsettled_closing_qty) == (9, 2)
    held.fill(replace(close_fill(2, "1", 9), order_id="o1"))  # may be in the report or not
    assert (held.size, held.unsettled_closing_qty) == (9, 1)
    held.fill(replace(close_fill(1, "1", 8), order_id="o1"))  # is in it: so the other one is not
    assert (held.size, held.unsettled_closing_qty) == (8, 0)
    held.report(leg("8", "100"), at(9))
    assert (held.size, held.unexplained) == (8, 0)


def test_a_fill_from_before_the_first_report_says_nothing_of_a_later_one() -> None:
    held = known("10", 5)
    held.report(leg("9", "100"), at(9))
    held.fill(close_fill(2, "1", 9))
    held.fill(close_fill(1, "1", 4))
    assert (held.size, held.unexplained) == (9, 0)


def test_entry_price_follows_fills_until_the_exchange_reports_its_own() -> None:
    held = Leg(LONG, Decimal(10))
    held.fill(open_fill(1, "1", 1, "100"))
    held.fill(open_fill(2, "1", 2, "110"))
    assert held.entry_price == 105
    assert held.position_value() == 210
    assert held.unrealised_pnl(Decimal(106)) == 2
    held.fill(close_fill(1, "2", 3))
    assert (held.size, held.position_value(), held.unrealised_pnl(Decimal(1))) == (0, 0, 0)


def test_leverage_of_the_exchange_replaces_the_configured_one() -> None:
    held = known()
    held.report(LegSnapshot(size=Decimal(1), entry_price=Decimal(2), leverage=Decimal(25)), at(1))
    assert held.state(Decimal(2), Decimal(100)).leverage == 25


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=8
    ),
    st.randoms(use_true_random=False),
)
def test_any_interleaving_ends_at_the_last_report(moves: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    """Fills and reports of one leg, shuffled; a report after everything settles the size."""
    held = known("20")
    size, now, items = Decimal(20), 0, []
    for number, (closing, qty, wait) in enumerate(moves):
        now += wait
        fill = close_fill if closing and size > qty else open_fill
        size += -qty if fill is close_fill else qty
        items += [fill(number, str(qty), now), (leg(str(size), "100"), float(now))]
    random.shuffle(items)
    for item in items:
        feed(held, item)
    held.report(leg(str(size), "100"), at(now + 1))
    assert held.size == size


def test_a_close_that_is_told_late_has_the_entry_price_before_it() -> None:
    """A liquidation of which only the next comparison tells, with a new position meanwhile."""
    held = known()
    held.report(leg("0"), at(10))
    held.report(leg("2", "50"), at(20))
    assert held.entry_price == 50
    taken = replace(close_fill(1, "10", 10), price=Decimal(50), closed_pnl=None)
    assert held.fill(taken) == -500
    assert held.fill(open_fill(2, "2", 20, price="50")) == 0
    assert held.size == 2


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_profits_add_up_in_every_order(order: tuple[int, ...]) -> None:
    """Nobody tells the profits; the cost that the exchange reports at last puts them right."""
    fills = [
        replace(close_fill(1, "10", 10), price=Decimal(50), closed_pnl=None),  # -500
        open_fill(2, "4", 20, price="50"),
        open_fill(3, "4", 30, price="60"),  # 8 at 55
        replace(close_fill(4, "2", 40), price=Decimal(65), closed_pnl=None),  # +20
    ]
    held = known()
    total = sum((held.fill(fills[index]) for index in order), Decimal(0))
    held.report(leg("6", "55"), at(50))
    assert total + held.corrected == pytest.approx(Decimal(-480))
    held.report(leg("6", "55"), at(60))
    assert held.corrected == 0


def test_what_is_computed_late_outlives_the_process() -> None:
    held = known()
    held.report(leg("0"), at(10))
    held.report(leg("2", "50"), at(20))
    later = Leg(LONG, Decimal(10))
    later.restore(held.snapshot())
    taken = replace(close_fill(1, "10", 10), price=Decimal(50), closed_pnl=None)
    assert later.fill(taken) == -500


def test_what_no_execution_explains_is_taken_over_after_a_while() -> None:
    held = known()
    held.report(leg("4", "80"), at(10))
    held.report(leg("4", "80"), at(130_000))
    gone = replace(close_fill(1, "4", 140_000), price=Decimal(90), closed_pnl=None)
    assert held.fill(gone) == 40


# a list that lags


def listed(size: str, seq: int | None, changed_ms: float) -> LegSnapshot:
    return replace(leg(size, "100"), updated_ts=at(changed_ms), seq=seq)


def knows_two_closes() -> Leg:
    held = Leg(LONG, Decimal(10))
    held.report(listed("22", 272, 1_000), at(1_000))
    held.fill(replace(close_fill(1, "2", 14_000), seq=276))
    held.fill(replace(close_fill(2, "2", 14_000), seq=278))
    held.report(listed("18", 278, 14_000), at(14_000))
    return held


def after_a_lost_connection(held: Leg) -> Leg:
    held.forget()
    return held


def after_a_restart(held: Leg) -> Leg:
    again = Leg(LONG, Decimal(10))
    again.restore(held.snapshot())
    return again


Break = Callable[[Leg], Leg]
BREAKS: list[Break] = [after_a_lost_connection, after_a_restart]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_list_that_lags_confirms_nothing_and_gives_nothing_back(broken: Break) -> None:
    held = broken(knows_two_closes())
    old = listed("22", 272, 1_000)
    assert held.view(None).is_newer_than(old, at(23_000))
    assert not held.report(old, at(23_000))
    assert held.size == 18
    assert not held.is_known
    held.report(listed("18", 278, 14_000), at(24_000))
    assert held.is_known
    assert held.size == 18


@pytest.mark.parametrize("broken", BREAKS)
def test_fills_that_no_report_contained_yet_are_known_after_a_break_too(broken: Break) -> None:
    held = knows_two_closes()
    held.fill(replace(close_fill(3, "4", 15_000), seq=280))
    held = broken(held)
    held.report(listed("18", 278, 14_000), at(24_000))
    assert held.size == 14
    held.report(listed("14", 280, 15_000), at(25_000))
    assert (held.size, held.is_known) == (14, True)


@pytest.mark.parametrize("broken", BREAKS)
def test_fills_since_the_break_count_on_top_of_a_list_that_lags_behind_them(broken: Break) -> None:
    held = broken(knows_two_closes())
    held.fill(replace(close_fill(3, "4", 15_000), seq=280))
    held.report(listed("18", 278, 14_000), at(24_000))
    assert (held.size, held.is_known) == (14, True)


def test_no_list_lags_for_ten_minutes() -> None:
    """Another account, or an exchange that began anew: what it says again and again is so."""
    held = after_a_restart(knows_two_closes())
    assert not held.report(listed("1", 3, 0), at(14_000 + 599_000))
    assert held.report(listed("1", 3, 0), at(14_000 + 600_000))
    assert (held.size, held.is_known) == (1, True)


def test_a_leg_without_numbers_goes_by_time() -> None:
    held = Leg(LONG, Decimal(10))
    held.report(listed("22", None, 1_000), at(1_000))
    held.fill(close_fill(1, "2", 14_000))
    again = after_a_restart(held)
    assert not again.report(listed("22", None, 1_000), at(23_000))
    assert again.report(listed("20", None, 14_000), at(23_000))
