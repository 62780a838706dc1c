"""Decimal text to integers, exactly and by column; and the decimal steps that integers count.

A step is what one unit is worth: with step 0.01 the text `9666.84` is 966684 units. No float is
involved anywhere, and text that does not fit is reported, never rounded.
"""

from decimal import Decimal, InvalidOperation

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_INT64_MAX = 2**63 - 1
_PART_ROWS = 1 << 20


def parse_decimals(text: pl.Series, scale: int) -> tuple[Ints, Flags]:
    """Return `text` in units of 10**-scale, and which entries are such whole numbers.

    Accepts a sign, a missing integer or fraction part, and an exponent (`4.5e-05`). An entry that
    is null, no number, has more than `scale` decimals, or leaves int64 is flagged False and is 0.
    """
    scaled = text.cast(pl.Decimal(38, scale), strict=False).to_physical()
    units = scaled.cast(pl.Int64, strict=False)
    valid = units.is_not_null().to_numpy().copy()
    values: Ints = units.fill_null(0).to_numpy().copy()
    # Polars cuts digits beyond the scale. Only long fractions and exponents can have lost any:
    # those few are done one by one.
    longest = text.str.len_bytes().max()
    can_be_cut = isinstance(longest, int) and longest > scale + 1
    cut = rf"[eE]|\.\d{{{scale + 1}}}" if can_be_cut else "[eE]"
    doubtful = text.str.contains(cut).fill_null(False).arg_true()
    for row, entry in zip(doubtful.to_list(), text.gather(doubtful).to_list(), strict=True):
        whole = _exact_units(entry, scale)
        valid[row] = whole is not None
        values[row] = whole or 0
    return values, valid


def _exact_units(text: str, scale: int) -> int | None:
    try:
        units = Decimal(text).scaleb(scale)
        whole = int(units)
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return whole if whole == units and abs(whole) <= _INT64_MAX else None


def power_of_ten(scale: int) -> Decimal:
    """Return 10**-scale as plain text would write it: 0.001, not 1E-3."""
    return Decimal(1).scaleb(-scale) if scale else Decimal(1)


def plain(value: Decimal) -> Decimal:
    """Return the same value without trailing zeros and without an exponent."""
    bare = value.normalize()
    return bare.quantize(Decimal(1)) if bare == bare.to_integral_value() else bare


def steps_in(step: Decimal, unit: Decimal) -> int:
    """Return how many `unit` make one `step`. Raises ValueError if not a whole number."""
    if step <= 0 or unit <= 0:
        raise ValueError(f"a step is positive, not {step} or {unit}")
    count, rest = divmod(step, unit)
    if rest:
        raise ValueError(f"{step} is not a multiple of {unit}")
    return int(count)


def coarsest_step(units: Ints, unit: Decimal) -> Decimal:
    """Return the largest of 1, 2 or 5 times a power of ten that divides every value.

    `units` counts multiples of `unit`, which must be a power of ten. With no non-zero value the
    answer is `unit` itself: nothing is known.
    """
    common = common_divisor(units)
    if not common:
        return unit
    factor = 1
    while common % (factor * 10) == 0:
        factor *= 10
    for lead in (5, 2):
        if common % (factor * lead) == 0:
            factor *= lead
            break
    return plain(unit * factor)


def common_divisor(values: Ints) -> int:
    """Return the greatest common divisor of all values; 0 when there is none but zeros.

    Looks at parts of the column one after the other, so that it needs no memory of its size.
    """
    # the divisor of a small sample is mostly that of all, and testing all against it is one pass
    common = int(np.gcd.reduce(values[:256])) if len(values) else 0
    for start in range(0, len(values), _PART_ROWS):
        part = values[start : start + _PART_ROWS]
        if not common:
            common = int(np.gcd.reduce(part))
            continue
        rest = part % common
        while rest.any():
            common = int(np.gcd(common, int(rest[rest != 0][0])))
            rest = part % common
    return common
