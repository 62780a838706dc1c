"""The two directions of a hedge-mode position and the two sides of an order."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gridcore.errors import GridcoreError


class SideType(StrEnum):
    """Side of an order or a trade, in the exchange's spelling."""

    BUY = "Buy"
    SELL = "Sell"

    @property
    def opposite(self) -> SideType:
        """The other side."""
        return SELL if self is BUY else BUY


class DirectionType(StrEnum):
    """A leg of a hedge-mode symbol: positionIdx 1 is the long one, 2 the short one."""

    LONG = "long"
    SHORT = "short"

    def __init__(self, value: str) -> None:
        is_long = value == "long"
        # enlarges the leg: Buy for long, Sell for short; the other one reduces it
        self.opening_side = SideType.BUY if is_long else SideType.SELL
        self.closing_side = SideType.SELL if is_long else SideType.BUY

    @property
    def opposite(self) -> DirectionType:
        """The other leg."""
        return SHORT if self is LONG else LONG

    def is_closing(self, side: str) -> bool:
        """Tell whether an order of this side reduces the leg (long Sell, short Buy)."""
        if side is not BUY and side is not SELL:
            side = side_named(side)
        return (side is BUY) is not (self is LONG)


# Python 3.11 calls a function at every `SideType.BUY`; a name of a module costs nothing
BUY: Final = SideType.BUY
SELL: Final = SideType.SELL
LONG: Final = DirectionType.LONG
SHORT: Final = DirectionType.SHORT
DIRECTIONS: Final = (LONG, SHORT)  # in the order of deciding

# the taker's side of a market trade, as a column of small integers stores it
TAKER_BUY: Final = 1
TAKER_SELL: Final = -1
TAKER_UNKNOWN: Final = 0


def direction_of(side: str, *, closing: bool) -> DirectionType:
    """Return the leg that an order belongs to, from its side and whether it closes."""
    if side is not BUY and side is not SELL:
        side = side_named(side)
    return LONG if (side is BUY) is not closing else SHORT


def direction_named(value: str) -> DirectionType:
    """Return the leg that a text names. Raises GridcoreError for one that names none."""
    if isinstance(value, DirectionType):
        return value
    try:
        return DirectionType(value)
    except ValueError as error:
        raise GridcoreError(f"the direction is {value!r}; it is long or short") from error


def side_named(value: str) -> SideType:
    """Return the side that a text names. Raises GridcoreError for one that names none."""
    if isinstance(value, SideType):
        return value
    try:
        return SideType(value)
    except ValueError as error:
        raise GridcoreError(f"the side is {value!r}; it is Buy or Sell") from error
