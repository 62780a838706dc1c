"""Legs and prices of the position tests."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from gridcore import (
    DirectionType,
    Position,
    PositionState,
    RiskConfig,
    RiskRule,
)
from testkit.builders import risk

PRICE = Decimal(100)


WALLET = Decimal(10_000)


def leg(
    direction: DirectionType, size: str | Decimal = "50", liq: str | None = None, entry: str = "100"
) -> PositionState:
    value = Decimal(size) * Decimal(entry)
    return PositionState(
        direction=direction,
        size=Decimal(size),
        entry_price=Decimal(entry),
        unrealized_pnl=Decimal(0),
        margin=value / WALLET,
        liquidation_price=None if liq is None else Decimal(liq),
        leverage=Decimal(10),
        position_value=value,
    )


def check(
    long: PositionState,
    short: PositionState,
    config: RiskConfig | None = None,
    pair: tuple[Position, Position] | None = None,
    price: Decimal = PRICE,
) -> tuple[RiskRule | None, RiskRule | None, dict[Any, float]]:
    """Evaluate long, then short; return both rules and what differs from 1."""
    legs = pair or Position.create_linked_pair(config or risk(min_total_margin=0.0))
    first = legs[0].calculate_amount_multiplier(long, short, price)
    second = legs[1].calculate_amount_multiplier(short, long, price)
    multipliers = {
        (each.direction, side): mult
        for each in legs
        for side, mult in each.get_amount_multiplier().items()
    }
    return first, second, {key: m for key, m in multipliers.items() if m != 1.0}


SIZES = st.sampled_from([Decimal(n) for n in (0, 1, 3, 6, 20)])


PRICES = st.integers(500, 1500).map(Decimal)


@st.composite
def legs(draw: st.DrawFn, direction: DirectionType) -> PositionState:
    size, entry = draw(SIZES), draw(PRICES)
    return PositionState(
        direction=direction,
        size=size,
        entry_price=entry if size else Decimal(0),
        unrealized_pnl=Decimal(0),
        margin=size * entry / Decimal(draw(st.sampled_from([5_000, 100_000]))),
        liquidation_price=draw(st.none() | PRICES) if size else None,
        leverage=Decimal(10),
        position_value=size * entry,
    )
