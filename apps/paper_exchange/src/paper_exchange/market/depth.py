"""The visible order book of a market: made around its best quotes, the same for the same prices.

Only the best quotes come from a feed. What lies behind them is invented, level by level, from the
price alone, so that a level keeps its size while the market moves around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gridcore import InstrumentInfo, SideType

MIXER = 0x9E3779B97F4A7C15  # a 64-bit odd constant spreads consecutive prices over all sizes
MASK = (1 << 64) - 1
STEPS = 1_000


@dataclass(frozen=True, slots=True)
class Depth:
    """Sizes of levels: about `level_usdt` USDT each, between half and one and a half of it."""

    level_usdt: Decimal
    salt: int

    def size_at(self, instrument: InstrumentInfo, side: SideType, ticks: int) -> Decimal:
        """Return the visible size at a price in base coin, a multiple of the quantity step."""
        mixed = ((ticks * 2 + (side is SideType.BUY) + self.salt) * MIXER) & MASK
        share = Decimal(STEPS // 2 + (mixed >> 32) % STEPS) / STEPS
        step = instrument.qty_step
        size = self.level_usdt * share / instrument.to_price(ticks) // step * step
        return max(size, step)

    def levels(
        self, instrument: InstrumentInfo, side: SideType, best_ticks: int, count: int
    ) -> list[tuple[int, Decimal]]:
        """Return (ticks, size) of `count` levels, the best first; prices stay above zero."""
        away = -1 if side is SideType.BUY else 1
        return [
            (ticks, self.size_at(instrument, side, ticks))
            for ticks in range(best_ticks, best_ticks + away * count, away)
            if ticks > 0
        ]
