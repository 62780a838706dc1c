"""Same-order error: duplicates among the two newest complete fills of a leg."""

import pytest

from bbu_reference.orders import Side
from bbu_reference.same_order import Execution, SameOrderGuard
from bbu_reference.switches import LegacySwitches


def fill(
    order_id: str,
    side: Side = "Buy",
    price: float = 100.0,
    *,
    closing: bool = False,
    leaves: float = 0.0,
    exec_type: str = "Trade",
) -> Execution:
    return Execution(
        order_id=order_id,
        side=side,
        price=price,
        closing=closing,
        leaves_qty=leaves,
        exec_type=exec_type,
    )


@pytest.mark.parametrize(
    ("side", "closing"), [("Buy", False), ("Sell", True), ("Sell", False), ("Buy", True)]
)
def test_same_price_and_side_from_two_orders_is_an_error(side: Side, closing: bool) -> None:
    guard = SameOrderGuard()
    assert not guard.on_execution(fill("1", side, closing=closing))
    assert guard.on_execution(fill("2", side, closing=closing))
    assert guard.error


@pytest.mark.parametrize(
    "second",
    [
        fill("1"),  # the same order
        fill("2", price=100.1),
        fill("2", "Sell", closing=True),  # same leg, other side
        fill("2", closing=True),  # same side, other leg
        fill("2", leaves=0.1),  # not complete
        fill("2", exec_type="Funding"),
    ],
)
def test_anything_else_is_not(second: Execution) -> None:
    guard = SameOrderGuard()
    guard.on_execution(fill("1"))
    assert not guard.on_execution(second)


def test_fills_of_a_leg_are_compared_with_each_other() -> None:
    guard = SameOrderGuard()
    guard.on_execution(fill("1"))
    guard.on_execution(fill("2", "Sell"))  # short leg, between two long fills
    assert guard.on_execution(fill("3"))


def test_only_the_two_newest_count() -> None:
    guard = SameOrderGuard()
    for execution in (fill("1"), fill("2", price=99.0), fill("3")):
        assert not guard.on_execution(execution)


def test_one_clean_fill_of_the_leg_ends_the_error() -> None:
    guard = SameOrderGuard()
    guard.on_execution(fill("1"))
    assert guard.on_execution(fill("2"))
    assert guard.on_execution(fill("3", "Sell"))  # the other leg proves nothing
    assert guard.on_execution(fill("4", price=99.0, leaves=0.1))  # nor does a partial fill
    assert not guard.on_execution(fill("4", price=99.0))
    assert not guard.error


@pytest.mark.parametrize(("between", "seen"), [(0, True), (2, True), (3, False)])
def test_only_the_four_newest_fills_of_both_legs_are_remembered(between: int, seen: bool) -> None:
    guard = SameOrderGuard()
    own_lists = SameOrderGuard(LegacySwitches(four_newest_fills_in_all=False))
    sequence = [fill("1"), *(fill(f"s{i}", "Sell", 200.0 + i) for i in range(between)), fill("2")]
    for execution in sequence:
        guard.on_execution(execution)
        own_lists.on_execution(execution)
    assert guard.error == seen
    assert own_lists.error


def test_the_error_ends_when_its_fills_are_pushed_out() -> None:
    guard = SameOrderGuard()
    for execution in (fill("1"), fill("2")):
        guard.on_execution(execution)
    found = [guard.on_execution(fill(f"s{i}", "Sell", 200.0 + i)) for i in range(3)]
    assert found == [True, True, False]


def test_swapped_filters_change_the_list_and_not_the_error() -> None:
    plain = SameOrderGuard()
    swapped = SameOrderGuard(LegacySwitches(same_order_filters_swapped=True))
    sequence = [fill("1"), fill("2", "Sell"), fill("3"), fill("4", "Sell", closing=True)]
    for execution in sequence:
        assert plain.on_execution(execution) == swapped.on_execution(execution)
    assert plain.fills("long") == swapped.fills("short") == [sequence[2], sequence[3]]
    assert plain.fills("short") == swapped.fills("long") == [sequence[1]]
