"""What one simulated leg holds."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from gridcore import DirectionType, LegSnapshot, PositionState
from gridcore.sides import LONG, SHORT

ZERO = Decimal(0)
ENTRY_STEP = Decimal("1E-10")  # USDT


class BacktestPositionTracker:
    """Size, cost, average entry and realised profit of one leg.

    `cost` (USDT) is what was paid for what is held, exactly; the entry is its rounded average and
    stays as it is while the leg is reduced. Because profit is taken against the cost, money in and
    money out always add up, whatever the rounding of the entry.
    """

    def __init__(self, direction: DirectionType, leverage: Decimal) -> None:
        self.direction = direction
        self.leverage = leverage
        self.size = ZERO
        self.cost = ZERO
        self.entry_price = ZERO
        self.realised_pnl = ZERO
        self._snapshot: LegSnapshot | None = None

    def open(self, qty: Decimal, price: Decimal) -> None:
        """Enlarge the leg by `qty` (base coin) at `price` (USDT)."""
        self.cost += qty * price
        self.size += qty
        self.entry_price = (self.cost / self.size).quantize(ENTRY_STEP, ROUND_HALF_EVEN)

    def close(self, qty: Decimal, price: Decimal) -> Decimal:
        """Reduce the leg; return the realised profit in USDT, without fees.

        Raises ValueError when more is closed than held.
        """
        if qty > self.size:
            raise ValueError(f"{self.direction}: cannot close {qty}, only {self.size} is held")
        released = self.cost if qty == self.size else qty * self.entry_price
        pnl = qty * price - released
        if self.direction is SHORT:
            pnl = -pnl
        self.size -= qty
        self.cost -= released
        self.realised_pnl += pnl
        if not self.size:
            self.entry_price = ZERO
        return pnl

    def unrealised_pnl(self, price: Decimal) -> Decimal:
        """Return the profit in USDT at `price`."""
        gain = self.size * price - self.cost
        return gain if self.direction is LONG else -gain

    def state(self) -> PositionState:
        """Return the leg for the margin formulas; ratios of the account are not filled in."""
        return PositionState(
            direction=self.direction,
            size=self.size,
            entry_price=self.entry_price,
            unrealized_pnl=ZERO,
            margin=ZERO,
            liquidation_price=None,
            leverage=self.leverage,
            position_value=self.size * self.entry_price,
        )

    def snapshot(self, liquidation_price: Decimal | None) -> LegSnapshot:
        """Return the leg as an exchange reports it."""
        known, entry = self._snapshot, self.entry_price if self.size else None
        if (
            known is None
            or known.size is not self.size
            or known.entry_price is not entry
            or known.liquidation_price != liquidation_price
            or known.leverage != self.leverage
        ):
            known = self._snapshot = LegSnapshot(
                size=self.size,
                entry_price=entry,
                liquidation_price=liquidation_price,
                leverage=self.leverage,
            )
        return known
