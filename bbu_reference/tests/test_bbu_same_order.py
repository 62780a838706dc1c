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


def test_legs_have_lists_of_their_own() -> None:
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


def test_swapped_filters_change_the_list_and_not_the_error() -> None:
    plain = SameOrderGuard()
    swapped = SameOrderGuard(LegacySwitches(same_order_filters_swapped=True))
    sequence = [fill("1"), fill("2", "Sell"), fill("3"), fill("4", "Sell", closing=True)]
    for execution in sequence:
        assert plain.on_execution(execution) == swapped.on_execution(execution)
    assert list(plain.long) == list(swapped.short) == [sequence[2], sequence[3]]
    assert list(plain.short) == list(swapped.long) == [sequence[1]]
