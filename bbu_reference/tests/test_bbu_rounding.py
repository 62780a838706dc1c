"""Rounding to tick and quantity step."""

import pytest

from bbu_reference.rounding import ceil_to_step, round_to_tick


@pytest.mark.parametrize(
    ("price", "tick_size", "expected"),
    [
        (100.26, 0.1, 100.3),
        (0.125, 0.05, 0.1),  # 2.5 ticks: the tie goes to the even 2
        (0.375, 0.25, 0.5),  # 1.5 ticks: the tie goes to the even 2
        (3.0, 2.0, 4.0),
        (0.3000000001, 0.1, 0.3),  # 3 * 0.1 alone would be 0.30000000000000004
        (0.00012344, 0.0000001, 0.0001234),
    ],
)
def test_price_goes_to_the_nearest_tick(price: float, tick_size: float, expected: float) -> None:
    assert round_to_tick(price, tick_size) == expected


@pytest.mark.parametrize(
    ("qty", "qty_step", "expected"),
    [
        (0.0011, 0.001, 0.002),
        (0.002, 0.001, 0.002),
        (0.07, 0.01, 0.07),  # the quotient is 7.000000000000001
        (0.25, 0.1, 0.3),  # the product is 0.30000000000000004
        (1e-12, 0.001, 0.001),
        (0.0, 0.001, 0.0),
        (101, 10, 110),
    ],
)
def test_quantity_goes_up_to_the_step(qty: float, qty_step: float, expected: float) -> None:
    assert ceil_to_step(qty, qty_step) == expected
