"""Prices that the exchange allows at the moment, and orders that would take."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from exchange_model.rules.contract import ContractLimits
from gridcore import SideType
from gridcore.sides import BUY

ZERO = Decimal(0)


class MarketView(Protocol):
    """What the rules ask of a market; prices in USDT, None before there is one."""

    @property
    def is_open(self) -> bool:
        """Whether there is a price to trade at."""

    @property
    def mark(self) -> Decimal | None: ...
    @property
    def index(self) -> Decimal | None: ...
    @property
    def last(self) -> Decimal | None: ...

    def premium(self) -> Decimal:
        """Return the average of (bid + ask) / 2 - mark over 30 s; 0 where nobody quotes."""

    def opposite(self, side: SideType) -> Decimal | None:
        """Return the best price at which an order of a side takes."""


def price_limits(
    market: MarketView, limits: ContractLimits, tick: Decimal
) -> tuple[int, int] | None:
    """Return (highest Buy, lowest Sell) in ticks; None without a market or without the ratios.

    max buy = min(mark (1 + Y), max(index, mark (1 + X) + max(0, P))), min sell mirrored; P is
    the average over 30 s of (bid + ask) / 2 - mark. Source: docs/exchange.md, "Limits of
    prices".
    """
    mark, index = market.mark, market.index
    x, y = limits.price_ratio_x, limits.price_ratio_y
    if mark is None or index is None or x is None or y is None:
        return None
    premium = market.premium()
    highest = min(mark * (1 + y), max(index, mark * (1 + x) + max(ZERO, premium)))
    lowest = max(mark * (1 - y), min(index, mark * (1 - x) + min(ZERO, premium)))
    return int(highest // tick), max(1, -int(-lowest // tick))


def takes(side: SideType, limit_ticks: int, opposite_ticks: int) -> bool:
    """Tell whether an order would take: its limit reaches the best price of the other side."""
    return limit_ticks >= opposite_ticks if side is BUY else limit_ticks <= opposite_ticks
