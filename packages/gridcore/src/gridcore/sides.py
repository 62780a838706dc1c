"""The two directions of a hedge-mode position and the two sides of an order."""

from __future__ import annotations

from enum import StrEnum


class SideType(StrEnum):
    """Side of an order or a trade, in the exchange's spelling."""

    BUY = "Buy"
    SELL = "Sell"

    @property
    def opposite(self) -> SideType:
        """The other side."""
        return SideType.SELL if self is SideType.BUY else SideType.BUY


class DirectionType(StrEnum):
    """A leg of a hedge-mode symbol: positionIdx 1 is the long one, 2 the short one."""

    LONG = "long"
    SHORT = "short"

    @property
    def opening_side(self) -> SideType:
        """The side that enlarges the leg: Buy for long, Sell for short."""
        return SideType.BUY if self is DirectionType.LONG else SideType.SELL

    @property
    def opposite(self) -> DirectionType:
        """The other leg."""
        return DirectionType.SHORT if self is DirectionType.LONG else DirectionType.LONG

    def is_closing(self, side: SideType) -> bool:
        """Tell whether an order of this side reduces the leg (long Sell, short Buy)."""
        return side is not self.opening_side


def direction_of(side: SideType, *, closing: bool) -> DirectionType:
    """Return the leg that an order belongs to, from its side and whether it closes."""
    return DirectionType.LONG if (side is SideType.BUY) is not closing else DirectionType.SHORT
