"""Our own orders: what rests on the exchange, what is on its way, what has ended.

`LimitOrder` is an order as the exchange reports it, `TrackedOrder` one that this process follows
from the intent to its end, `OrderBook` all of a strategy's tracked orders. The market's order book
is none of this module's business.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from gridcore.errors import InvalidEventError
from gridcore.instrument import price_to_ticks
from gridcore.intents import extract_client_order_prefix
from gridcore.sides import DirectionType, SideType, direction_of

ZERO = Decimal(0)
REMEMBERED_ENDED_ORDERS = 5_000  # a late word about an order comes within seconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
REMEMBERED_CHANGES = 32  # of a side; one more, and everything derived from it is derived anew


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
    order_link_id: str | None = None
    confirmed_ts: datetime | None = None  # the newest word of the exchange that it lives
    started_ts: datetime | None = None  # from when on it could fill, as far as is known
    is_seen: bool = False  # on the exchange's book, which an answer to its placement does not show
    is_orphan: bool = False  # sent by an earlier process, whose answer nobody gets
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


class EndedOrder(NamedTuple):
    """When an order ended and from when on it could fill.

    `is_final` tells that the exchange itself said how it ended; an order that only could not be
    found may turn up again.
    """

    ts: datetime
    started_ts: datetime | None
    is_final: bool


class RestingSide:
    """Live and in-flight orders of one direction, by price.

    `version` grows with every change of what the engine looks at, so that it may cache what it
    derives; `changed_since` says where it has to look again. More than one order at a price is a
    fault that the exchange can show us; the further ones are the `extras`.
    """

    __slots__ = ("_changes", "by_ticks", "extras", "version")

    def __init__(self, orders: Iterable[RestingOrder] = ()) -> None:
        self.by_ticks: dict[int, RestingOrder] = {}
        self.extras: list[RestingOrder] = []
        self.version = 0
        self._changes: deque[int] = deque(maxlen=REMEMBERED_CHANGES)  # prices, newest first
        for order in orders:
            if order.price_ticks in self.by_ticks:
                self.extras.append(order)
            else:
                self.by_ticks[order.price_ticks] = order

    def __len__(self) -> int:
        return len(self.by_ticks) + len(self.extras)

    def __iter__(self) -> Iterator[RestingOrder]:
        yield from self.by_ticks.values()
        yield from self.extras

    def add(self, order: RestingOrder) -> None:
        """Take in one order."""
        if order.price_ticks in self.by_ticks:
            self.extras.append(order)
        else:
            self.by_ticks[order.price_ticks] = order
        self.touch(order)

    def remove(self, order: RestingOrder) -> None:
        """Drop one order; a further one at its price takes its place."""
        ticks = order.price_ticks
        if self.by_ticks.get(ticks) is order:
            del self.by_ticks[ticks]
            for extra in self.extras:
                if extra.price_ticks == ticks:
                    self.extras.remove(extra)
                    self.by_ticks[ticks] = extra
                    break
        else:
            self.extras.remove(order)
        self.touch(order)

    def touch(self, order: RestingOrder | None = None) -> None:
        """Note that an order changed in place; without an order, that any may have."""
        self.version += 1
        if order is None:
            self._changes.clear()
        else:
            self._changes.appendleft(order.price_ticks)

    def changed_since(self, version: int) -> set[int] | None:
        """Return the prices, in ticks, of what changed since a version; None when not known."""
        count, known = self.version - version, self._changes
        if count > len(known):
            return None
        return {known[0]} if count == 1 else set(islice(known, count))


class OrderBook:
    """All live and in-flight orders of one strategy, with the sums that its guards need.

    A terminal state frees the identity for reuse. Ended order ids are remembered (bounded), so a
    late message about an ended order is never taken for news of its successor.
    """

    def __init__(self) -> None:
        self.sides = {direction: RestingSide() for direction in DirectionType}
        self.closing_qty = dict.fromkeys(DirectionType, ZERO)
        self.opening_notional = ZERO
        self._by_order_id: dict[str, TrackedOrder] = {}
        self._unacknowledged: dict[str, TrackedOrder] = {}
        self._ended: OrderedDict[str, EndedOrder] = OrderedDict()
        self._earlier: dict[str, datetime | None] = {}  # orders of an earlier process: started
        self._next_rank = 0
        self._next_off_grid = 0

    def __len__(self) -> int:
        return sum(len(side) for side in self.sides.values())

    def __iter__(self) -> Iterator[TrackedOrder]:
        yield from self._by_order_id.values()
        yield from self._unacknowledged.values()

    def is_occupied(self, direction: DirectionType, price_ticks: int) -> bool:
        """Tell whether an order of this direction lives, or is in flight, at this price."""
        return price_ticks in self.sides[direction].by_ticks

    def knows(self, order_id: str) -> bool:
        """Tell whether this order is tracked or has ended here."""
        return order_id in self._by_order_id or order_id in self._ended

    def ended(self, order_id: str) -> EndedOrder | None:
        """Return how this order ended here, None when it did not."""
        return self._ended.get(order_id)

    def add_pending(
        self,
        *,
        client_order_id: str,
        direction: DirectionType,
        side: SideType,
        price_ticks: int,
        price: Decimal,
        qty: Decimal,
        reduce_only: bool,
        created_ts: datetime,
    ) -> TrackedOrder:
        """Track a placement that is on its way to the exchange."""
        self._next_rank += 1
        order = TrackedOrder(
            client_order_id=client_order_id,
            direction=direction,
            side=side,
            price_ticks=price_ticks,
            price=price,
            qty=qty,
            leaves_qty=qty,
            reduce_only=reduce_only,
            age_rank=self._next_rank,
            created_ts=created_ts,
        )
        self._unacknowledged[client_order_id] = order
        self._add_sums(order)
        return order

    def adopt(self, found: LimitOrder, price: Decimal, ts: datetime) -> TrackedOrder:
        """Track an order of ours that the exchange already holds; price in USDT."""
        order = TrackedOrder(
            client_order_id=found.client_order_id,
            direction=found.direction,
            side=found.side,
            price_ticks=found.price_ticks,
            price=price,
            qty=found.qty,
            leaves_qty=found.leaves_qty,
            reduce_only=found.reduce_only,
            # adopted orders are older than any placed from here on
            age_rank=found.age_rank - (1 << 62),
            created_ts=ts,
            status=OrderStatus.PARTIALLY_FILLED
            if found.is_partially_filled
            else OrderStatus.PLACED,
            order_id=found.order_id,
            order_link_id=found.order_link_id,
            confirmed_ts=ts,
            started_ts=found.created_ts or ts,
            is_seen=True,
        )
        self._by_order_id[found.order_id] = order
        self._ended.pop(found.order_id, None)
        self._add_sums(order)
        return order

    def get(self, order_id: str) -> TrackedOrder | None:
        """Return the live order with this exchange id."""
        return self._by_order_id.get(order_id)

    def unacknowledged(self, client_order_id: str) -> TrackedOrder | None:
        """Return the placement that waits for its answer."""
        return self._unacknowledged.get(client_order_id)

    def find(self, order_id: str, order_link_id: str, ts: datetime) -> TrackedOrder | None:
        """Return the live order that a message is about, None for ended and unknown ones.

        The stream may be ahead of the answer to the placement: then the exchange's id is learned
        here from the link id.
        """
        order = self._by_order_id.get(order_id)
        if order is not None or order_id in self._ended:
            return order
        prefix = extract_client_order_prefix(order_link_id)
        waiting = self._unacknowledged.get(prefix) if prefix else None
        if waiting is not None:
            self.acknowledge(waiting, order_id, order_link_id, ts)
        return waiting

    def acknowledge(
        self, order: TrackedOrder, order_id: str, order_link_id: str | None, ts: datetime
    ) -> None:
        """Note that the exchange accepted a placement under `order_id`."""
        if self._unacknowledged.get(order.client_order_id) is order:
            del self._unacknowledged[order.client_order_id]
        self._by_order_id[order_id] = order
        order.order_id, order.confirmed_ts = order_id, ts
        if order.started_ts is None:
            order.started_ts = ts
        order.order_link_id = order_link_id or order.order_link_id
        if order.status is _PENDING:
            order.status = _PLACED

    def reduce(self, order: TrackedOrder, leaves_qty: Decimal) -> None:
        """Note that only `leaves_qty` (base coin) of an order stays open; it never grows."""
        if leaves_qty >= order.leaves_qty:
            return
        self._subtract_sums(order, order.leaves_qty - leaves_qty)
        order.leaves_qty = leaves_qty
        order.status = OrderStatus.PARTIALLY_FILLED
        self.sides[order.direction].touch(order)

    def reprice(self, order: TrackedOrder, price_ticks: int, price: Decimal) -> None:
        """Note that the exchange keeps an order at another price (USDT) than the one sent."""
        self._subtract_sums(order, order.leaves_qty)
        self.sides[order.direction].remove(order)
        order.price_ticks, order.price = price_ticks, price
        self._add_sums(order)

    def end(
        self, order: TrackedOrder, status: OrderStatus, ts: datetime, *, is_final: bool = True
    ) -> None:
        """Note the end of an order at `ts`; its identity and its price are free again.

        Not final: nobody has seen it end, it is only nowhere to be found.
        """
        if order.order_id is None:
            self._unacknowledged.pop(order.client_order_id, None)
        else:
            self._by_order_id.pop(order.order_id, None)
            self._remember_ended(order.order_id, EndedOrder(ts, order.started_ts, is_final))
        self._subtract_sums(order, order.leaves_qty)
        self.sides[order.direction].remove(order)
        order.status = status

    def sides_in_flight(self) -> set[tuple[DirectionType, bool]]:
        """Return the legs, each with whether it closes, of which a placement has no answer yet."""
        return {(one.direction, one.reduce_only) for one in self._unacknowledged.values()}

    def orphans(self) -> list[TrackedOrder]:
        """Return what an earlier process sent and nobody has confirmed."""
        return [order for order in self._unacknowledged.values() if order.is_orphan]

    def started_ts(self, order_id: str) -> datetime | None:
        """Return from when on an order could fill that is not tracked any more; None: unknown."""
        ended = self._ended.get(order_id)
        return self._earlier.get(order_id) if ended is None else ended.started_ts

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process has to know of the live orders, ready for JSON.

        What rests is found on the exchange again. What is on its way may not be listed there yet,
        so it is kept whole.
        """
        return {
            "resting": {
                order_id: None if order.started_ts is None else _us(order.started_ts)
                for order_id, order in self._by_order_id.items()
            },
            "in_flight": [
                {
                    "client_order_id": order.client_order_id,
                    "direction": order.direction.value,
                    "side": order.side.value,
                    "price": str(order.price),
                    "qty": str(order.qty),
                    "reduce_only": order.reduce_only,
                    "created_us": _us(order.created_ts),
                }
                for order in self._unacknowledged.values()
            ],
        }

    def restore(self, state: Mapping[str, Any], tick_size: Decimal) -> None:
        """Take over the live orders of an earlier process; tick_size in USDT."""
        for order_id, started in state["resting"].items():
            self._earlier[str(order_id)] = None if started is None else _of_us(started)
        for kept in state["in_flight"]:
            price = Decimal(kept["price"])
            ticks, rest = divmod(price, tick_size)
            order = self.add_pending(
                client_order_id=str(kept["client_order_id"]),
                direction=DirectionType(kept["direction"]),
                side=SideType(kept["side"]),
                price_ticks=self.off_grid_ticks() if rest else int(ticks),
                price=price,
                qty=Decimal(kept["qty"]),
                reduce_only=bool(kept["reduce_only"]),
                created_ts=_of_us(kept["created_us"]),
            )
            order.is_orphan = True

    def off_grid_ticks(self) -> int:
        """Return a place of its own for an order whose price no tick of today names.

        Below every price, so that it is on no level and is cancelled like any order off the grid.
        """
        self._next_off_grid -= 1
        return self._next_off_grid

    def restore_ended(self, ended: Mapping[str, Any]) -> None:
        """Take over what `newest_ended` gave in an earlier process."""
        for order_id, kept in ended.items():
            # an older version kept the time alone
            end, started, is_final = (kept, None, True) if isinstance(kept, str) else kept
            self._remember_ended(
                order_id,
                EndedOrder(
                    datetime.fromisoformat(end),
                    None if started is None else datetime.fromisoformat(started),
                    bool(is_final),
                ),
            )

    def newest_ended(self, count: int) -> dict[str, list[str | bool | None]]:
        """Return the newest ended orders by id, oldest first, ready for JSON."""
        newest = list(self._ended.items())[-count:]
        return {
            order_id: [
                one.ts.isoformat(),
                None if one.started_ts is None else one.started_ts.isoformat(),
                one.is_final,
            ]
            for order_id, one in newest
        }

    def _remember_ended(self, order_id: str, ended: EndedOrder) -> None:
        self._ended[order_id] = ended
        if len(self._ended) > REMEMBERED_ENDED_ORDERS:
            self._ended.popitem(last=False)

    def _add_sums(self, order: TrackedOrder) -> None:
        self.sides[order.direction].add(order)
        if order.reduce_only:
            self.closing_qty[order.direction] += order.leaves_qty
        else:
            self.opening_notional += order.leaves_qty * order.price

    def _subtract_sums(self, order: TrackedOrder, qty: Decimal) -> None:
        if order.reduce_only:
            self.closing_qty[order.direction] -= qty
        else:
            self.opening_notional -= qty * order.price


def _us(ts: datetime) -> int:
    return (ts - _EPOCH) // _MICROSECOND


def _of_us(value: int) -> datetime:
    return _EPOCH + int(value) * _MICROSECOND
