"""Exact decimals by the column: 128-bit whole numbers with one number of places per column.

No float decides anything here. Where 128 bits would not hold a result, ComparatorError is raised;
with 18 places that is beyond 10**19 USDT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from comparator.columns.errors import ComparatorError

MOST_UNITS: Final = 2**126
MOST_PLACES: Final = 30

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Exact:
    """value[i] = units[i] / 10**places; units is a Series of Int128, null where there is none."""

    units: pl.Series
    places: int

    def __len__(self) -> int:
        return len(self.units)

    def at(self, places: int) -> Exact:
        """Return the same values with more places. Raises ValueError for fewer."""
        if places < self.places:
            raise ValueError(f"{self.places} places do not fit into {places}")
        factor = 10 ** (places - self.places)
        if factor == 1:
            return self
        self._require(factor * self.largest(), "a rescaled value")
        return Exact(self.units * whole(factor), places)

    def narrow(self) -> Exact:
        """Return the same values with as few places as hold them all.

        Products of columns with many idle places would not fit.
        """
        units, places = self.units, self.places
        for step in (16, 8, 4, 2, 1):
            while places >= step and not (units % whole(10**step) != 0).any():
                units, places = units // whole(10**step), places - step
        return Exact(units, places)

    def largest(self) -> int:
        """Return the largest absolute value in units, 0 without any."""
        low, high = self.units.min(), self.units.max()
        return max(abs(int(low)), abs(int(high))) if low is not None else 0  # type: ignore[arg-type]  # of an integer Series

    def __add__(self, other: Exact) -> Exact:
        places = max(self.places, other.places)
        left, right = self.at(places), other.at(places)
        self._require(left.largest() + right.largest(), "a sum")
        return Exact(left.units + right.units, places)

    def __neg__(self) -> Exact:
        return Exact(self.units * whole(-1), self.places)

    def __sub__(self, other: Exact) -> Exact:
        places = max(self.places, other.places)
        left, right = self.at(places), other.at(places)
        self._require(left.largest() + right.largest(), "a difference")
        return Exact(left.units - right.units, places)

    def __mul__(self, other: Exact) -> Exact:
        self._require(self.largest() * other.largest(), "a product")
        return Exact(self.units * other.units, self.places + other.places)

    def abs(self) -> Exact:
        """Return the absolute values."""
        return Exact(self.units.abs(), self.places)

    def signed(self, positive: pl.Series) -> Exact:
        """Return the values, with the other sign where the flag is False."""
        signs = pl.select(pl.when(positive).then(1).otherwise(-1).cast(pl.Int128)).to_series()
        return Exact(self.units * signs, self.places)

    def known(self) -> Exact:
        """Return the values with 0 where there is none."""
        return Exact(self.units.fill_null(whole(0)[0]), self.places)

    def take(self, rows: Rows) -> Exact:
        """Return the values of some rows, in their order."""
        return Exact(self.units.gather(rows), self.places)

    def total(self) -> Decimal:
        """Return the sum of what is there, exactly."""
        self._require(self.largest() * max(len(self), 1), "a sum")
        return shifted(int(self.units.sum()), self.places)

    def decimals(self) -> list[Decimal | None]:
        """Return the values one by one."""
        return [None if unit is None else shifted(unit, self.places) for unit in self.units]

    def value(self, row: int) -> Decimal | None:
        """Return one value."""
        unit = self.units[row]
        return None if unit is None else shifted(int(unit), self.places)

    def floats(self) -> NDArray[np.float64]:
        """Return the values as floats, for drawing and for correlations; NaN where none is."""
        values = self.units.cast(pl.Float64).to_numpy().astype(np.float64)
        return np.asarray(values / 10.0**self.places)

    def texts(self) -> pl.Series:
        """Return plain decimal texts without trailing zeros; null where there is none."""
        if not self.places:
            return self.units.cast(pl.String)
        unit = pl.Series("unit", self.units)
        size = unit.abs()
        scale = whole(10**self.places)
        front, back = (size // scale).cast(pl.String), (size % scale).cast(pl.String)
        signs = pl.select(pl.when(unit < 0).then(pl.lit("-")).otherwise(pl.lit(""))).to_series()
        back = back.str.pad_start(self.places, "0").str.strip_chars_end("0")
        dots = pl.select(pl.when(back == "").then(pl.lit("")).otherwise(pl.lit("."))).to_series()
        return signs + front + dots + back

    def rounded_quotient(self, divisor: Exact, places: int) -> Exact:
        """Return self / divisor, both above zero, half rounded up to `places`."""
        more = places - self.places + divisor.places
        factor = 10 ** max(more, 0)
        self._require(2 * factor * self.largest(), "a quotient")
        over, under = self.units * whole(factor), divisor.units * whole(10 ** max(-more, 0))
        return Exact((over * whole(2) + under) // (under * whole(2)), places)

    @staticmethod
    def _require(largest: int, what: str) -> None:
        if largest >= MOST_UNITS:
            raise ComparatorError(
                f"{what} needs more than 38 digits; look for a wrong price or quantity in the input"
            )


def whole(number: int) -> pl.Series:
    """Return a number as a column of one row, which polars repeats as needed."""
    return pl.Series([number], dtype=pl.Int128)


def shifted(units: int, places: int) -> Decimal:
    """Return units / 10**places; exact, because scaleb would round to the context's precision."""
    return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -places))


def of_texts(texts: pl.Series, what: str) -> Exact:
    """Return decimal texts as a column. Null and empty texts are no value.

    Raises ComparatorError, naming `what` and the row (from 1), for anything that is no number.
    """
    given = texts.replace("", None)
    texts = given.str.strip_chars()
    places = _places(texts)
    with_exponent = texts.str.contains("[eE]").fill_null(False)
    plain = pl.select(pl.when(~with_exponent).then(texts)).to_series()
    units = plain.cast(pl.Decimal(38, places), strict=False).to_physical().alias("units")
    rows = (units.is_null() & texts.is_not_null()).arg_true().to_list()
    if not rows:
        return Exact(units, places).narrow()
    # few in any sane file: exponents, and what is no number at all
    found = {row: _parsed(texts[row], what, row) for row in rows}
    more = max([places, *(_decimals(value) for value in found.values())])
    column = Exact(units, places).at(more).units.to_list()
    for row, value in found.items():
        column[row] = units_of(value, more)
    return Exact(pl.Series("units", column, dtype=pl.Int128), more).narrow()


def of_decimals(values: Sequence[Decimal | None]) -> Exact:
    """Return decimals as a column with as many places as the longest needs."""
    places = max((_decimals(value) for value in values if value is not None), default=0)
    units = [None if value is None else units_of(value, places) for value in values]
    return Exact(pl.Series("units", units, dtype=pl.Int128), places)


def of_column(column: pl.Series, what: str) -> Exact:
    """Return a column of a file, text or decimal. Raises ComparatorError for another type."""
    if isinstance(column.dtype, pl.Decimal):
        return Exact(column.to_physical(), column.dtype.scale).narrow()
    if column.dtype.is_integer():
        return Exact(column.cast(pl.Int128), 0)
    if column.dtype == pl.String:
        return of_texts(column, what)
    raise ComparatorError(
        f"{what} holds {column.dtype}, which is not exact; write decimals or text"
    )


def constant(value: Decimal, rows: int) -> Exact:
    """Return a column that holds one value."""
    places = _decimals(value)
    unit = pl.repeat(units_of(value, places), rows, dtype=pl.Int128, eager=True)
    return Exact(unit, places)


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    """Return the sum of decimals, not rounded to the context's precision."""
    return of_decimals(list(values)).total()


def negated(value: Decimal) -> Decimal:
    """Return -value; the operator would round to the context's precision."""
    return value.copy_negate() if value else value


def units_of(value: Decimal, places: int) -> int:
    """Return value x 10**places. Raises ValueError if that is no whole number."""
    numerator, denominator = value.as_integer_ratio()
    factor: int = 10**places
    units, rest = divmod(numerator * factor, denominator)
    if rest:
        raise ValueError(f"{value} has more than {places} places")
    Exact._require(abs(units), "a value")
    return units


def _places(texts: pl.Series) -> int:
    lengths = texts.str.extract(r"\.(\d+)$", 1).str.len_bytes()
    longest: Any = lengths.max()
    places = int(longest) if longest is not None else 0
    if places > MOST_PLACES:
        raise ComparatorError(f"a value has {places} decimals; at most {MOST_PLACES} are compared")
    return places


def _decimals(value: Decimal) -> int:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ComparatorError(f"{value} is no finite number; correct it")
    # not by normalize(), which rounds to the context's precision
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    places = max(-exponent - zeros, 0) if value else 0
    if places > MOST_PLACES:
        raise ComparatorError(f"a value has {places} decimals; at most {MOST_PLACES} are compared")
    return places


def _parsed(text: str, what: str, row: int) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ComparatorError(f"{what} of row {row + 1} is {text!r}, no number; correct the file")
    return value
