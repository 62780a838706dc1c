"""One of our orders: as the exchange reports it, and as this process follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from gridcore.errors import InvalidEventError
from gridcore.instrument import price_to_ticks
from gridcore.intents import extract_client_order_prefix
from gridcore.sides import DirectionType, SideType, direction_of


class OrderStatus(StrEnum):
    """Life of one placement: pending, placed, partially filled, then one of the four ends."""

    PENDING = "pending"
    PLACED = "placed"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"


_PENDING: Final = OrderStatus.PENDING
_PLACED: Final = OrderStatus.PLACED


class RestingOrder(Protocol):
    """What the engine needs to know of an order that rests or is about to."""

    @property
    def order_id(self) -> str | None: ...
    @property
    def client_order_id(self) -> str: ...
    @property
    def side(self) -> SideType: ...
    @property
    def price_ticks(self) -> int: ...
    @property
    def price(self) -> Decimal | None: ...
    @property
    def is_partially_filled(self) -> bool: ...
    @property
    def age_rank(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOrder:
    """One open limit order as the exchange reports it; price in whole ticks, qty in base coin.

    `price` (USDT) is given for an order that rests between two ticks, as one does after the
    contract's tick size changed; price_ticks is the tick below it then.
    """

    order_id: str
    order_link_id: str
    direction: DirectionType
    side: SideType
    price_ticks: int
    qty: Decimal
    leaves_qty: Decimal
    age_rank: int  # smaller is older; the creation time in ms where it is known
    created_ts: datetime | None = None
    updated_ts: datetime | None = None
    price: Decimal | None = None

    @property
    def client_order_id(self) -> str:
        """Our 16-hex id, or "" for an order that is not ours."""
        return extract_client_order_prefix(self.order_link_id) or ""

    @property
    def reduce_only(self) -> bool:
        """Whether the order closes its leg; follows from direction and side in hedge mode."""
        return self.direction.is_closing(self.side)

    @property
    def is_partially_filled(self) -> bool:
        """Whether a part of it is filled."""
        return self.leaves_qty < self.qty

    @classmethod
    def from_bybit(
        cls, row: Mapping[str, object], tick_size: Decimal, age_rank: int = 0
    ) -> LimitOrder:
        """Parse a mapping in Bybit's form: orderId, orderLinkId, side, price, qty, reduceOnly.

        positionIdx (1 long, 2 short), leavesQty and createdTime count when present; without
        positionIdx the leg follows from side and reduceOnly. Raises InvalidEventError, and
        OffTickError for a price between two ticks.
        """
        try:
            side = SideType(str(row["side"]))
            price, qty = Decimal(str(row["price"])), Decimal(str(row["qty"]))
            order_id = str(row["orderId"])
            closing = _parse_flag(row.get("reduceOnly", False))
            leaves = row.get("leavesQty")
            leaves_qty = qty if leaves in (None, "") else Decimal(str(leaves))
            created = row.get("createdTime")
            rank = age_rank if created in (None, "") else int(str(created))
        except (KeyError, ValueError, ArithmeticError) as error:
            raise InvalidEventError(f"order {row.get('orderId')!r}: {error!r} in {row}") from error
        if not all(n.is_finite() for n in (price, qty, leaves_qty)) or price <= 0 or qty <= 0:
            raise InvalidEventError(
                f"order {order_id!r}: price {price} and qty {qty}; both are above zero"
            )
        if not 0 <= leaves_qty <= qty:
            raise InvalidEventError(f"order {order_id!r}: leavesQty {leaves_qty} of qty {qty}")
        leg = {"1": DirectionType.LONG, "2": DirectionType.SHORT}.get(str(row.get("positionIdx")))
        return cls(
            order_id=order_id,
            order_link_id=str(row.get("orderLinkId") or ""),
            direction=leg or direction_of(side, closing=closing),
            side=side,
            price_ticks=price_to_ticks(price, tick_size, f"order {order_id}"),
            qty=qty,
            leaves_qty=leaves_qty,
            age_rank=rank,
        )


def _parse_flag(value: object) -> bool:
    """Parse a JSON boolean, or its text; anything else is refused, never taken for true."""
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{value!r} is neither true nor false")
    return text == "true"


@dataclass(slots=True, kw_only=True, eq=False)
class TrackedOrder:
    """One placement, from the intent to its end. Only the OrderBook changes it."""

    client_order_id: str
    direction: DirectionType
    side: SideType
    price_ticks: int
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool
    age_rank: int
    created_ts: datetime
    status: OrderStatus = _PENDING
    order_id: str | None = None
    confirmed_ts: datetime | None = None  # the newest word of the exchange that it lives
    started_ts: datetime | None = None  # from when on it could fill, as far as is known
    is_seen: bool = False  # on the exchange's book, which an answer to its placement does not show
    is_orphan: bool = False  # known from an earlier process, and not seen since
    orphan_since: datetime | None = None  # of the first list that could show it
    cancel_in_flight: bool = False
    cancel_accepted_ts: datetime | None = None

    @property
    def is_partially_filled(self) -> bool:
        """Whether a part of it is filled."""
        return self.leaves_qty < self.qty

    @property
    def notional(self) -> Decimal:
        """What stays open of it, in USDT at its limit price."""
        return self.leaves_qty * self.price
