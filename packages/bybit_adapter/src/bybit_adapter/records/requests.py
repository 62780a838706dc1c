"""What goes to the exchange about orders, and what comes back at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bybit_adapter.basics.errors import BybitError
from gridcore import DirectionType, PlaceLimitIntent, SideType

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_POSITION_INDEX = {DirectionType.LONG: 1, DirectionType.SHORT: 2}


def wire_number(value: Decimal) -> str:
    """Return a Decimal as Bybit takes it, without exponent. Raises ValueError for no number."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f"{value!r} is no finite Decimal")
    return format(value, "f")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRequest:
    """One order of a hedge-mode leg: price in USDT, None for a market order; qty in base coin.

    Raises ValueError for a price or quantity that is not above zero, or a link id that Bybit
    does not take (1 to 36 letters, digits, "-" and "_").
    """

    symbol: str
    direction: DirectionType
    side: SideType
    qty: Decimal
    price: Decimal | None
    order_link_id: str
    reduce_only: bool
    post_only: bool = False

    def __post_init__(self) -> None:
        for name in ("qty", "price"):
            value = getattr(self, name)
            if value is None and name == "price":
                continue
            if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
                raise ValueError(f"{self.symbol}: {name} is {value!r}; it is a Decimal above zero")
        if not _LINK_ID.fullmatch(self.order_link_id):
            raise ValueError(
                f"order link id {self.order_link_id!r}; take one of make_order_link_id"
            )
        if self.price is None and self.post_only:
            raise ValueError(f"{self.symbol}: a market order cannot be post-only")

    @classmethod
    def from_intent(cls, intent: PlaceLimitIntent, order_link_id: str) -> PlaceRequest:
        """Return the request of a strategy's intent under a link id of its own."""
        return cls(
            symbol=intent.symbol,
            direction=intent.direction,
            side=intent.side,
            qty=intent.qty,
            price=intent.price,
            order_link_id=order_link_id,
            reduce_only=intent.reduce_only,
            post_only=intent.post_only,
        )

    def to_wire(self) -> dict[str, Any]:
        """Return the body of order/create without its category."""
        wire: dict[str, Any] = {
            "symbol": self.symbol,
            "side": self.side.value,
            "orderType": "Market" if self.price is None else "Limit",
            "qty": wire_number(self.qty),
            "positionIdx": _POSITION_INDEX[self.direction],
            "orderLinkId": self.order_link_id,
            "reduceOnly": self.reduce_only,
        }
        if self.price is not None:
            wire["price"] = wire_number(self.price)
            wire["timeInForce"] = "PostOnly" if self.post_only else "GTC"
        return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderKey:
    """Names one order, by the exchange's id or by the link id. Raises ValueError without both."""

    symbol: str
    order_id: str | None = None
    order_link_id: str | None = None

    def __post_init__(self) -> None:
        if not self.order_id and not self.order_link_id:
            raise ValueError(f"{self.symbol}: give order_id or order_link_id")

    def to_wire(self) -> dict[str, Any]:
        """Return the names as Bybit takes them; the exchange's id wins."""
        if self.order_id:
            return {"symbol": self.symbol, "orderId": self.order_id}
        return {"symbol": self.symbol, "orderLinkId": self.order_link_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAck:
    """The gateway accepted a request at `time` (the exchange's).

    Accepted is neither placed nor cancelled: the order stream tells what became of it.
    """

    order_id: str
    order_link_id: str | None
    time: datetime


BatchItem = OrderAck | BybitError
