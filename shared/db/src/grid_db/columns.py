"""Rows as columns: NumPy arrays that lose nothing, for millions of rows.

Times are int64 microseconds since 1970-01-01 UTC. Decimals are whole numbers with one scale per
column: value = unscaled / 10**scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_db.errors import InvalidValueError

# int64 holds any number of 18 digits
_INT64_DIGITS = 18
_SPACE, _DOT = ord(" "), ord(".")

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class DecimalColumn:
    """Exact decimals. value[i] = unscaled[i] / 10**scale, unless missing[i].

    unscaled has shape (n,) and dtype int64, or object (Python ints) where 64 bits do not hold the
    digits of the column. missing is None when every value is there; where it is True, unscaled
    is 0.
    """

    unscaled: NDArray[Any]
    scale: int
    missing: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.unscaled)

    def to_decimals(self) -> list[Decimal | None]:
        """Return the values one by one. They equal the stored ones; trailing zeros may differ."""
        values = [_shifted(number, self.scale) for number in self.unscaled.tolist()]
        if self.missing is None:
            return list(values)
        return [
            None if gone else value
            for value, gone in zip(values, self.missing.tolist(), strict=True)
        ]

    def in_steps(self, step: Decimal) -> IntArray:
        """Return the values in whole steps, for example prices in ticks; shape (n,), int64.

        Raises InvalidValueError if `step` is not above zero, a value is missing, lies between two
        steps, or does not fit into 64 bits.
        """
        if not step.is_finite() or step <= 0:
            raise InvalidValueError(f"the step is {step}; give a Decimal above zero")
        if self.missing is not None and self.missing.any():
            row = int(np.argmax(self.missing))
            raise InvalidValueError(f"row {row} has no value; leave out the rows that are missing")
        _, digits, exponent = step.as_tuple()
        assert isinstance(exponent, int)  # noqa: S101 - finite, so not one of the letters
        number = int("".join(map(str, digits)))
        scale = max(self.scale, -exponent)
        whole = _rescaled(self.unscaled, scale - self.scale)
        divisor = number * 10 ** (scale + exponent)
        if divisor >= 2**63:
            whole = whole.astype(object)
        steps, rest = whole // divisor, whole % divisor
        if rest.any():
            row = int(np.argmax(rest != 0))
            value = _shifted(int(self.unscaled[row]), self.scale)
            raise InvalidValueError(f"row {row} is {value}, which is between two steps of {step}")
        try:
            return np.asarray(steps, dtype=np.int64)
        except OverflowError:
            raise InvalidValueError(
                f"in steps of {step} the column does not fit into 64 bits; give a larger step"
            ) from None


def _shifted(number: int, scale: int) -> Decimal:
    # from digits, because scaleb rounds to the context's precision
    return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))


def _rescaled(unscaled: NDArray[Any], more: int) -> NDArray[Any]:
    """Return the numbers times 10**more, as int64 while that holds them."""
    if more == 0 or len(unscaled) == 0:
        return unscaled
    largest = max(abs(int(unscaled.max())), abs(int(unscaled.min())))
    if unscaled.dtype != object and largest * 10**more < 2**63:
        return np.asarray(unscaled * 10**more)
    return np.asarray(unscaled.astype(object) * 10**more)


def parse_decimals(texts: Sequence[str | None]) -> DecimalColumn:
    """Return stored decimal texts (digits, at most one point, no exponent) as a column."""
    missing: BoolArray | None = None
    if None in texts:
        missing = np.array([text is None for text in texts], dtype=np.bool_)
        texts = ["0" if text is None else text for text in texts]
    if not texts:
        return DecimalColumn(np.empty(0, dtype=np.int64), 0)
    together = " ".join(texts)  # type: ignore[arg-type]  # None is replaced above
    signs = np.frombuffer(together.encode(), dtype=np.uint8)
    ends = np.append(np.flatnonzero(signs == _SPACE), len(signs))
    dots = np.flatnonzero(signs == _DOT)
    scales = np.zeros(len(texts), dtype=np.int64)
    rows = np.searchsorted(ends, dots)
    scales[rows] = ends[rows] - dots - 1
    scale = int(scales.max())
    longest = int(np.diff(ends, prepend=-1).max()) - 1
    digits = together.replace(".", "")
    # one sign is a point or a minus at most, so this errs to the safe side
    if longest + scale <= _INT64_DIGITS:
        numbers = np.fromstring(digits, dtype=np.int64, sep=" ")
        if (scales != scale).any():
            numbers *= 10 ** (scale - scales)
        return DecimalColumn(numbers, scale, missing)
    exact = [
        int(number) * 10 ** (scale - own)
        for number, own in zip(digits.split(" "), scales.tolist(), strict=True)
    ]
    return DecimalColumn(_narrowest(exact), scale, missing)


def _narrowest(numbers: list[int]) -> NDArray[Any]:
    try:
        return np.array(numbers, dtype=np.int64)
    except OverflowError:
        return np.array(numbers, dtype=object)


def join_decimals(parts: Sequence[DecimalColumn]) -> DecimalColumn:
    """Return the parts one after the other, at the largest scale among them."""
    if not parts:
        return DecimalColumn(np.empty(0, dtype=np.int64), 0)
    scale = max(part.scale for part in parts)
    unscaled = np.concatenate([_rescaled(part.unscaled, scale - part.scale) for part in parts])
    if all(part.missing is None for part in parts):
        return DecimalColumn(unscaled, scale)
    missing = np.concatenate(
        [
            np.zeros(len(part), dtype=np.bool_) if part.missing is None else part.missing
            for part in parts
        ]
    )
    return DecimalColumn(unscaled, scale, missing)


@dataclass(frozen=True, slots=True, eq=False)
class TradeColumns:
    """Public trades of one symbol in time order; every column has shape (n,)."""

    exchange_ts_us: IntArray
    is_buy: BoolArray  # the taker bought
    price: DecimalColumn  # USDT
    size: DecimalColumn  # base coin

    def __len__(self) -> int:
        return len(self.exchange_ts_us)


@dataclass(frozen=True, slots=True, eq=False)
class StoredTickers:
    """Ticker snapshots of one symbol in time order; every column has shape (n,)."""

    exchange_ts_us: IntArray
    last_price: DecimalColumn  # USDT, as are the next three
    mark_price: DecimalColumn
    bid1_price: DecimalColumn
    ask1_price: DecimalColumn
    funding_rate: DecimalColumn  # per funding interval

    def __len__(self) -> int:
        return len(self.exchange_ts_us)


def join_integers(parts: Sequence[IntArray]) -> IntArray:
    """Return the parts one after the other."""
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def join_booleans(parts: Sequence[BoolArray]) -> BoolArray:
    """Return the parts one after the other."""
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.bool_)


def join_trades(parts: Sequence[TradeColumns]) -> TradeColumns:
    """Return the parts one after the other."""
    return TradeColumns(
        exchange_ts_us=join_integers([part.exchange_ts_us for part in parts]),
        is_buy=join_booleans([part.is_buy for part in parts]),
        price=join_decimals([part.price for part in parts]),
        size=join_decimals([part.size for part in parts]),
    )


def join_tickers(parts: Sequence[StoredTickers]) -> StoredTickers:
    """Return the parts one after the other."""
    return StoredTickers(
        exchange_ts_us=join_integers([part.exchange_ts_us for part in parts]),
        last_price=join_decimals([part.last_price for part in parts]),
        mark_price=join_decimals([part.mark_price for part in parts]),
        bid1_price=join_decimals([part.bid1_price for part in parts]),
        ask1_price=join_decimals([part.ask1_price for part in parts]),
        funding_rate=join_decimals([part.funding_rate for part in parts]),
    )
