"""Order rules: sides, quantity, minimum, duplicates, cover."""

import pytest

from bbu_reference.orders import (
    Direction,
    LimitOrder,
    NewOrder,
    Side,
    Sizing,
    base_amount,
    identical_rests,
    is_covered,
    is_reduce_only,
    neutral_multipliers,
    order_qty,
    position_idx,
)
from bbu_reference.switches import LegacySwitches


@pytest.mark.parametrize(
    ("direction", "side", "closes"),
    [
        ("long", "Buy", False),
        ("long", "Sell", True),
        ("short", "Sell", False),
        ("short", "Buy", True),
    ],
)
def test_long_sell_and_short_buy_are_reduce_only(
    direction: Direction, side: Side, closes: bool
) -> None:
    assert is_reduce_only(direction, side) == closes
    new = NewOrder(direction=direction, side=side, price=100, qty=1)
    assert new.reduce_only == closes
    resting = LimitOrder(order_id="1", side=side, price=100, qty=1, reduce_only=closes)
    assert resting.direction == direction


def test_position_idx() -> None:
    assert (position_idx("long"), position_idx("short")) == (1, 2)
    assert NewOrder(direction="short", side="Sell", price=100, qty=1).position_idx == 2


# quantity


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("100", 100.0),
        ("0.5", 0.5),
        ("x0.001", 0.05),  # 10 000 USDT / 200 USDT x 0.001
        ("b0.001", 0.001),
    ],
)
def test_amount_is_plain_or_a_wallet_fraction_or_base_coin(amount: str, expected: float) -> None:
    assert base_amount(amount, wallet_usdt=10_000, price=200) == pytest.approx(expected)


@pytest.mark.parametrize("amount", ["", "x", "much", "q0.1"])
def test_amount_that_is_no_number_is_an_error(amount: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        base_amount(amount, wallet_usdt=10_000, price=200)


def qty_of(
    amount: str,
    *,
    direction: Direction = "long",
    side: Side = "Buy",
    price: float = 10_000,
    min_qty: float = 0.001,
    multiplier: float = 1,
    switches: LegacySwitches | None = None,
) -> float:
    return order_qty(
        direction,
        side,
        price,
        sizing=Sizing(amount=amount, qty_step=0.001, min_qty=min_qty),
        wallet_usdt=10_000,
        multipliers={**neutral_multipliers(), (direction, side): multiplier},
        switches=switches or LegacySwitches(),
    )


def test_quantity_is_rounded_up_to_the_step() -> None:
    assert qty_of("0.0101") == 0.011
    assert qty_of("0.010") == 0.010


def test_quantity_takes_the_multiplier_of_its_leg_and_side() -> None:
    assert qty_of("0.011", multiplier=1.5) == 0.017  # 0.0165, rounded up after multiplying
    assert qty_of("x0.02", multiplier=0.5) == 0.010
    multipliers = {**neutral_multipliers(), ("short", "Buy"): 2.0}
    sizing = Sizing(amount="b0.02", qty_step=0.001, min_qty=0.001)
    cases: list[tuple[Direction, Side, float]] = [
        ("long", "Buy", 0.02),
        ("long", "Sell", 0.02),
        ("short", "Sell", 0.02),
        ("short", "Buy", 0.04),
    ]
    for direction, side, expected in cases:
        qty = order_qty(
            direction,
            side,
            10_000,
            sizing=sizing,
            wallet_usdt=0,
            multipliers=multipliers,
            switches=LegacySwitches(),
        )
        assert qty == expected


def test_quantity_is_at_least_the_exchange_minimum() -> None:
    assert qty_of("0.001", min_qty=0.004) == 0.004
    assert qty_of("0.004", min_qty=0.004, multiplier=0.5) == 0.004


def test_quantity_is_worth_at_least_5_usdt() -> None:
    assert qty_of("0.001", price=1_000) == 0.005
    assert qty_of("0.001", price=900) == 0.006  # 0.00556 rounded up
    assert qty_of("0.001", price=5_000) == 0.001


def test_minimum_value_holds_for_closing_orders_unless_switched_off() -> None:
    exempt = LegacySwitches(minimum_notional_for_closing_orders=False)
    assert qty_of("0.001", side="Sell", price=1_000) == 0.005
    assert qty_of("0.001", side="Sell", price=1_000, switches=exempt) == 0.001
    assert qty_of("0.001", side="Sell", price=1_000, min_qty=0.002, switches=exempt) == 0.002
    assert qty_of("0.001", side="Buy", price=1_000, switches=exempt) == 0.005


# identical order


def resting(side: Side, price: float, qty: float, *, reduce_only: bool) -> LimitOrder:
    return LimitOrder(order_id="1", side=side, price=price, qty=qty, reduce_only=reduce_only)


@pytest.mark.parametrize(
    ("other", "identical"),
    [
        (resting("Buy", 100.0, 0.3, reduce_only=False), True),
        (resting("Buy", 100.0, 0.1 + 0.2, reduce_only=False), True),  # float noise
        (resting("Buy", 100.1, 0.3, reduce_only=False), False),
        (resting("Buy", 100.0, 0.4, reduce_only=False), False),
        (resting("Sell", 100.0, 0.3, reduce_only=False), False),
        (resting("Buy", 100.0, 0.3, reduce_only=True), False),
    ],
)
def test_identical_means_price_quantity_side_and_reduce_only(
    other: LimitOrder, identical: bool
) -> None:
    order = NewOrder(direction="long", side="Buy", price=100.0, qty=0.3)
    assert identical_rests(order, [other]) == identical
    assert not identical_rests(order, [])


# cover


def test_reduce_only_order_needs_a_larger_position() -> None:
    order = NewOrder(direction="long", side="Sell", price=100.0, qty=0.1)
    rest = [resting("Sell", 101.0, 0.1, reduce_only=True)] * 7
    assert is_covered(order, rest, position_size=0.9)
    assert not is_covered(order, rest, position_size=0.8)  # equal is not enough
    assert not is_covered(order, rest, position_size=0.7)
    assert not is_covered(order, [], position_size=0.0)


def test_cover_counts_reduce_only_orders_of_that_side_only() -> None:
    order = NewOrder(direction="short", side="Buy", price=100.0, qty=1)
    others = [
        resting("Buy", 99.0, 5, reduce_only=False),
        resting("Sell", 101.0, 5, reduce_only=True),
        resting("Sell", 102.0, 5, reduce_only=False),
    ]
    assert is_covered(order, others, position_size=1.5)
    assert not is_covered(
        order, [*others, resting("Buy", 98.0, 1, reduce_only=True)], position_size=1.5
    )


def test_opening_order_needs_no_position() -> None:
    assert is_covered(NewOrder(direction="long", side="Buy", price=100.0, qty=1), [], 0.0)
