"""An engine that has begun, and orders that rest on its levels."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gridcore import (
    CancelIntent,
    DirectionType,
    GridConfig,
    GridEngine,
    GridSideType,
    Intent,
    LimitOrder,
    SideType,
)
from gridcore.engine import orders_by_direction
from testkit.builders import ticker

TICK = Decimal("0.1")


Orders = dict[str, list[LimitOrder]]


def engine(count: int = 4, step: str = "1", **parts: Any) -> GridEngine:
    """Return an engine; around 1000 its levels are 980.1, 990, 1000, 1010 and 1020.1."""
    return GridEngine("BTCUSDT", TICK, GridConfig(count, Decimal(step)), "s", **parts)


def started(count: int = 4, price: str = "1000", **parts: Any) -> GridEngine:
    made = engine(count, **parts)
    made.on_event(ticker(price))
    return made


def order(
    name: str, leg: DirectionType, side: SideType, price: str, *, left: str = "1", rank: int = 0
) -> LimitOrder:
    return LimitOrder(
        order_id=name,
        order_link_id="",
        direction=leg,
        side=side,
        price_ticks=int(Decimal(price) / TICK),
        qty=Decimal(1),
        leaves_qty=Decimal(left),
        age_rank=rank,
    )


def orders(*given: LimitOrder) -> Orders:
    return orders_by_direction(given)


def full(made: GridEngine, *legs: DirectionType) -> list[LimitOrder]:
    """Return an order at every level that is not waiting."""
    return [
        order(f"{leg}{place}", leg, SideType(level["side"]), str(level["price"]))
        for leg in legs or DirectionType
        for place, level in enumerate(made.grid.grid)
        if level["side"] is not GridSideType.WAIT
    ]


def brief(intents: Sequence[Intent]) -> list[str]:
    """Return intents as words: 'long Buy 990.0', 'cancel o1 side_mismatch'."""
    return [
        f"cancel {intent.order_id} {intent.reason}"
        if isinstance(intent, CancelIntent)
        else f"{intent.direction} {intent.side} {intent.price}"
        for intent in intents
    ]
