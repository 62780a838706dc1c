"""Exact arithmetic on integers: rounding of ratios, decimals as ratios."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction


def round_half_even(num: int, den: int) -> int:
    """Return num / den (den > 0) rounded to the nearest integer, ties to the even one."""
    whole, rest = divmod(num, den)
    twice = 2 * rest
    if twice > den or (twice == den and whole & 1):
        return whole + 1
    return whole


def ceil_div(num: int, den: int) -> int:
    """Return the smallest integer that is not below num / den (den > 0)."""
    return -(-num // den)


def exact_fraction(value: Decimal | float | int | str) -> Fraction:
    """Return `value` as the ratio that its decimal notation states.

    A float counts as its shortest decimal notation, so 0.2 is exactly 1/5.
    Raises ValueError for text that is no number, and for infinities and NaN.
    """
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, str):
        value = Decimal(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a finite number")
        return Fraction(*value.as_integer_ratio())
    return Fraction(value)
