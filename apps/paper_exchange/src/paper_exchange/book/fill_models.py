"""The backtest's fill models on a market with a visible book."""

from __future__ import annotations

from decimal import Decimal

from exchange_model.fills.fill_simulator import (
    FillModel,
    TouchFillSimulator,
)
from gridcore import InstrumentInfo, SideType

ENDLESS = Decimal("Infinity")


def resting_place(
    model: FillModel, instrument: InstrumentInfo, side: SideType, price: Decimal
) -> tuple[int, Decimal | None]:
    """Return at which tick a model keeps an order, and what is ahead of it if nothing may reach it.

    A limit between two ticks (the tick size changed under it) fills as soon as the market trades
    beyond it. `touch` reaches it at the tick beyond; the other models fill beyond the tick at which
    an order is, so it is kept at the one before, where no volume gets to it.
    """
    down, rest = divmod(price, instrument.tick_size)
    if not rest:
        return int(down), None
    beyond, before = int(down), int(down) + 1
    if side is SideType.SELL:
        beyond, before = before, beyond
    return (beyond, None) if model.name == TouchFillSimulator.name else (before, ENDLESS)


def taking_ticks(instrument: InstrumentInfo, side: SideType, price: Decimal) -> int:
    """Return the worst tick at which a limit may take."""
    tick = instrument.tick_size
    return int(price // tick) if side is SideType.BUY else -int(-price // tick)
