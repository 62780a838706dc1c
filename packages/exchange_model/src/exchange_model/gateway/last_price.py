"""A market of which only the last price is known: it stands for mark, index and quotes."""

from __future__ import annotations

from decimal import Decimal

from exchange_model.account.simulated_account import SimulatedPair
from gridcore import SideType

ZERO = Decimal(0)


class LastPriceMarket:
    """What `exchange_model.rules` asks of a market, answered by a pair's mark price."""

    __slots__ = ("_pair",)
    is_open = True  # as far as there is a price

    def __init__(self, pair: SimulatedPair) -> None:
        self._pair = pair

    @property
    def mark(self) -> Decimal | None:
        """Return the price in USDT that values the legs."""
        return self._pair.mark_price

    index = last = mark

    def premium(self) -> Decimal:
        """Return nothing: nobody quotes."""
        return ZERO

    def opposite(self, side: SideType) -> Decimal | None:
        """Return the price, whatever the side."""
        return self._pair.mark_price
