"""Integer arithmetic: rounding of ratios, decimals as ratios."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcore.exact import ceil_div, exact_fraction, round_half_even

LAWS = settings(max_examples=200, deadline=None, derandomize=True)


@LAWS
@given(st.integers(-(10**20), 10**20), st.integers(1, 10**12))
def test_rounding_is_that_of_fractions(num: int, den: int) -> None:
    assert round_half_even(num, den) == round(Fraction(num, den))
    assert ceil_div(num, den) == -(-Fraction(num, den) // 1)


@pytest.mark.parametrize(("num", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_a_tie_goes_to_the_even_number(num: int, expected: int) -> None:
    assert round_half_even(num, 2) == expected


@pytest.mark.parametrize("value", [Decimal("0.2"), 0.2, "0.2"])
def test_a_number_is_what_its_notation_states(value: Decimal | float | str) -> None:
    assert exact_fraction(value) == Fraction(1, 5)


def test_a_whole_number_stays() -> None:
    assert exact_fraction(7) == 7


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf")])
def test_what_is_not_finite_is_refused(value: Decimal | float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        exact_fraction(value)
