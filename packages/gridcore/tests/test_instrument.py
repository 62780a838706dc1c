"""Trading rules of a contract, and the border between prices and ticks."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore import InvalidInstrumentError, OffTickError
from gridcore.instrument import floor_ceil_ticks
from testkit.builders import btcusdt

LAWS = settings(max_examples=200, deadline=None, derandomize=True)
TICKS = ["1", "0.1", "0.10", "0.5", "0.01", "0.00001", "1E-8"]


@LAWS
@given(st.integers(1, 10**9), st.sampled_from(TICKS))
def test_price_and_ticks_round_trip(ticks: int, tick_size: str) -> None:
    info = btcusdt(tick_size=Decimal(tick_size))
    assert info.to_ticks(info.to_price(ticks)) == ticks


@LAWS
@given(st.integers(1, 10**12), st.integers(-8, 2), st.sampled_from(TICKS))
def test_rounding_a_price_takes_the_nearest_tick(digits: int, exponent: int, tick: str) -> None:
    info = btcusdt(tick_size=Decimal(tick))
    price = Decimal(digits).scaleb(exponent)
    rounded = info.round_price(price)
    assert Fraction(rounded) / Fraction(tick) == round(Fraction(price) / Fraction(tick))


@LAWS
@given(st.integers(1, 10**12), st.sampled_from(["1", "0.001", "10", "0.01"]))
def test_rounding_a_quantity_never_goes_down(digits: int, step: str) -> None:
    info = btcusdt(qty_step=Decimal(step), min_qty=Decimal(step), max_qty=Decimal(step) * 1000)
    qty = Decimal(digits).scaleb(-6)
    rounded = info.round_qty(qty)
    assert qty <= rounded < qty + info.qty_step
    assert rounded % info.qty_step == 0


def test_examples_of_rounding() -> None:
    info = btcusdt()
    assert info.round_price(Decimal("60000.05")) == Decimal("60000.0")  # a tie goes to even
    assert info.round_price(Decimal("60000.15")) == Decimal("60000.2")
    assert info.round_qty(Decimal("0.0010000001")) == Decimal("0.002")
    assert info.round_qty(Decimal("0.002")) == Decimal("0.002")


def test_a_price_between_two_ticks_is_refused_with_the_tick_and_the_symbol() -> None:
    with pytest.raises(OffTickError, match=r"BTCUSDT: the price 60000\.05 is off the 0\.1 tick"):
        btcusdt().to_ticks(Decimal("60000.05"))


@pytest.mark.parametrize(("price", "expected"), [("1.0", (10, 10)), ("1.04", (10, 11))])
def test_ticks_below_and_above(price: str, expected: tuple[int, int]) -> None:
    assert floor_ceil_ticks(Decimal(price), Decimal("0.1")) == expected


@pytest.mark.parametrize("name", ["tick_size", "qty_step", "min_qty", "max_qty"])
@pytest.mark.parametrize("value", [Decimal(0), Decimal(-1), Decimal("NaN"), 0.1, "0.1", None])
def test_rules_that_are_not_positive_decimals_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInstrumentError, match=f"BTCUSDT: {name}"):
        btcusdt(**{name: value})


@pytest.mark.parametrize("value", [Decimal(-5), 5, 5.0, None])
def test_a_wrong_minimum_notional_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInstrumentError, match="min_notional"):
        btcusdt(min_notional=value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity")])
def test_a_minimum_notional_is_finite(value: Decimal) -> None:
    with pytest.raises(InvalidInstrumentError, match="min_notional"):
        btcusdt(min_notional=value)


def test_no_minimum_notional_is_allowed() -> None:
    assert btcusdt(min_notional=Decimal(0)).min_notional == 0


@pytest.mark.parametrize("name", ["min_qty", "max_qty"])
def test_quantity_limits_are_multiples_of_the_step(name: str) -> None:
    with pytest.raises(InvalidInstrumentError, match=rf"{name} 1\.0005 is no multiple"):
        btcusdt(**{name: Decimal("1.0005")})


def test_a_maximum_below_the_minimum_is_refused() -> None:
    with pytest.raises(InvalidInstrumentError, match=r"max_qty 0\.001 is below min_qty 0\.002"):
        btcusdt(min_qty=Decimal("0.002"), max_qty=Decimal("0.001"))
