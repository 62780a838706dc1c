"""What a strategy wants done. An intent is a wish; its outcome comes back as an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256

from gridcore.errors import GridcoreError
from gridcore.quick_init import with_quick_init
from gridcore.sides import DirectionType, SideType

_IDENTITY_PARAMS = ("symbol", "side", "price", "direction")
_PREFIX = re.compile(r"([0-9a-f]{16})(?:-[A-Za-z0-9_-]*)?")


class CancelReason(StrEnum):
    """Why an order is cancelled."""

    SIDE_MISMATCH = "side_mismatch"
    OUTSIDE_GRID = "outside_grid"
    REBUILD = "rebuild"
    DUPLICATE = "duplicate"
    SHUTDOWN = "shutdown"
    LOSS_BREAKER = "loss_breaker"


def client_order_id_for(
    symbol: str, side: SideType, price: Decimal, direction: DirectionType, strat_id: str | None
) -> str:
    """Return the 16 hex characters that name one order identity.

    SHA-256 over symbol, side, price and direction (and strat_id when given). The price counts by
    value, not by notation: 60000, 60000.0 and 6E+4 give one id.
    """
    parts = [symbol, SideType(side).value, format(price.normalize(), "f"), str(direction)]
    if strat_id:
        parts.append(strat_id)
    return sha256("|".join(parts).encode()).hexdigest()[:16]


def extract_client_order_prefix(order_link_id: str | None) -> str | None:
    """Return the 16-hex client order id that an order link id starts with, None if it has none.

    `<16 hex>` and `<16 hex>-<suffix>` are ours; everything else is somebody else's.
    """
    match = _PREFIX.fullmatch(order_link_id) if order_link_id else None
    return match.group(1) if match else None


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceLimitIntent:
    """Place one limit order. price is USDT, qty base coin, grid_level the index in the grid."""

    symbol: str
    side: SideType
    price: Decimal
    qty: Decimal
    reduce_only: bool
    client_order_id: str
    grid_level: int
    direction: DirectionType
    post_only: bool = False

    @classmethod
    def create(
        cls,
        symbol: str,
        side: SideType,
        price: Decimal,
        qty: Decimal,
        grid_level: int,
        direction: DirectionType,
        reduce_only: bool = False,
        strat_id: str | None = None,
        post_only: bool = False,
    ) -> PlaceLimitIntent:
        """Build an intent with its deterministic client order id.

        qty, reduce_only and grid_level are no part of the identity, so an order keeps its id when
        the grid moves as long as its price stays a level. Raises GridcoreError for a float, a
        price that is not positive, or a negative quantity.
        """
        if not symbol:
            raise GridcoreError("the symbol is empty; an order has one, for example BTCUSDT")
        for name, value, least in (("price", price, False), ("qty", qty, True)):
            if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
                raise GridcoreError(f"{symbol}: {name} is {value!r}; it is a Decimal, not negative")
            if not least and not value:
                raise GridcoreError(f"{symbol}: {name} is 0; an order has a price above zero")
        return cls(
            symbol=symbol,
            side=SideType(side),
            price=price,
            qty=qty,
            reduce_only=reduce_only,
            client_order_id=client_order_id_for(symbol, side, price, direction, strat_id),
            grid_level=grid_level,
            direction=DirectionType(direction),
            post_only=post_only,
        )


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CancelIntent:
    """Cancel one order by the exchange's id."""

    symbol: str
    order_id: str
    reason: CancelReason
    price: Decimal
    side: SideType
    client_order_id: str


Intent = PlaceLimitIntent | CancelIntent
