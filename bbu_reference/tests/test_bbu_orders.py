"""Order rules: sides, quantity, minimum, duplicates, cover."""

import pytest

from bbu_reference.orders import (
    AccountSeen,
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

ACCOUNT = AccountSeen(wallet_usdt=10_000)


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
        ("b250", 1.25),  # 250 USDT / 200 USDT
    ],
)
def test_amount_is_coins_or_a_wallet_fraction_or_usdt(amount: str, expected: float) -> None:
    assert base_amount(amount, 10_000, 200) == pytest.approx(expected)


@pytest.mark.parametrize("amount", ["", "x", "much", "q0.1"])
def test_amount_that_is_no_number_is_an_error(amount: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        base_amount(amount, 10_000, 200)


def qty_of(
    amount: str,
    *,
    direction: Direction = "long",
    side: Side = "Buy",
    price: float = 10_000,
    min_qty: float = 0.001,
    qty_step: float = 0.001,
    multiplier: float = 1,
    long_koef: float = 1,
    account: AccountSeen = ACCOUNT,
    **switches: bool,
) -> float:
    return order_qty(
        direction,
        side,
        price,
        sizing=Sizing(amount=amount, qty_step=qty_step, min_qty=min_qty, long_koef=long_koef),
        account=account,
        multipliers={**neutral_multipliers(), (direction, side): multiplier},
        switches=LegacySwitches(**switches),
    )


def test_quantity_is_rounded_up_to_the_step() -> None:
    assert qty_of("0.0101") == 0.011
    assert qty_of("0.010") == 0.010
    assert qty_of("b250", price=60_000) == 0.005  # 0.00417 rounded up


def test_quantity_takes_the_multiplier_of_its_leg_and_side() -> None:
    assert qty_of("0.011", multiplier=1.5) == 0.017  # 0.0165, rounded up after multiplying
    assert qty_of("x0.02", multiplier=0.5) == 0.010
    multipliers = {**neutral_multipliers(), ("short", "Buy"): 2.0}
    sizing = Sizing(amount="0.02", qty_step=0.001, min_qty=0.001)
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
            account=AccountSeen(wallet_usdt=0),
            multipliers=multipliers,
            switches=LegacySwitches(),
        )
        assert qty == expected


def test_quantity_is_rounded_up_before_and_after_multiplying() -> None:
    once = {"quantity_rounded_before_multiplying": False}
    coarse = {"qty_step": 0.1, "min_qty": 0.1}
    assert qty_of("0.0007", multiplier=2, **coarse) == 0.2
    assert qty_of("0.0007", multiplier=2, **coarse, **once) == 0.1
    assert qty_of("0.0107", multiplier=1.5) == 0.017  # 0.011, then 0.0165
    assert qty_of("0.0107", multiplier=1.5, quantity_rounded_before_multiplying=False) == 0.017
    assert qty_of("0.0102", multiplier=1.5) == 0.017
    assert qty_of("0.0102", multiplier=1.5, quantity_rounded_before_multiplying=False) == 0.016


def test_quantity_is_raised_to_the_minimum_before_multiplying() -> None:
    assert qty_of("0.001", min_qty=0.004) == 0.004
    assert qty_of("0.004", min_qty=0.004, multiplier=0.5) == 0.002
    last = qty_of("0.004", min_qty=0.004, multiplier=0.5, quantity_rounded_before_multiplying=False)
    assert last == 0.004


def test_quantity_is_worth_at_least_5_usdt() -> None:
    assert qty_of("0.001", price=1_000) == 0.005
    assert qty_of("0.001", price=900) == 0.006  # 0.00556 rounded up
    assert qty_of("0.001", price=5_000) == 0.001
    assert qty_of("0.001", price=1_000, multiplier=2) == 0.010


def test_minimum_value_holds_for_closing_orders_unless_switched_off() -> None:
    exempt = {"minimum_notional_for_closing_orders": False}
    assert qty_of("0.001", side="Sell", price=1_000) == 0.005
    assert qty_of("0.001", side="Sell", price=1_000, **exempt) == 0.001
    assert qty_of("0.001", side="Sell", price=1_000, min_qty=0.002, **exempt) == 0.002
    assert qty_of("0.001", side="Buy", price=1_000, **exempt) == 0.005


def test_share_of_the_wallet_counts_what_other_coins_are_worth() -> None:
    rich = AccountSeen(wallet_usdt=10_000, other_coins_usd=5_000)
    assert qty_of("x0.02", account=rich) == 0.030
    assert qty_of("x0.02", account=rich, other_coins_in_wallet=False) == 0.020


@pytest.mark.parametrize(
    ("ratio", "has_liq_price", "applies"),
    [
        (1.1, False, False),
        (1.11, False, True),
        (9.99, False, True),
        (10.0, False, False),
        (0.5, False, False),
        (2.0, True, False),
    ],
)
def test_long_koef_enlarges_both_legs_between_two_position_ratios(
    ratio: float, has_liq_price: bool, applies: bool
) -> None:
    account = AccountSeen(wallet_usdt=0, position_ratio=ratio, has_liq_price=has_liq_price)
    legs: tuple[Direction, ...] = ("long", "short")
    for direction in legs:
        qty = qty_of("0.01", direction=direction, long_koef=1.5, account=account)
        assert qty == (0.015 if applies else 0.01)
        always = qty_of(
            "0.01",
            direction=direction,
            long_koef=1.5,
            account=account,
            long_koef_by_position_ratio=False,
        )
        assert always == (0.015 if direction == "long" else 0.01)


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
    assert identical_rests(order, [other], LegacySwitches()) == identical
    assert not identical_rests(order, [], LegacySwitches())


def test_prices_of_identical_orders_are_equal_to_the_last_bit() -> None:
    order = NewOrder(direction="long", side="Buy", price=717037.2000000001, qty=0.3)
    other = resting("Buy", 717037.2, 0.3, reduce_only=False)
    assert not identical_rests(order, [other], LegacySwitches())
    to_8_decimals = LegacySwitches(prices_compared_as_floats=False)
    assert identical_rests(order, [other], to_8_decimals)


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
