"""Our own orders: what rests on the exchange, what is on its way, what has ended.

`LimitOrder` is an order as the exchange reports it, `TrackedOrder` one that this process follows
from the intent to its end, `OrderBook` all of a strategy's tracked orders. The market's order book
is none of this module's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from gridcore.intents import extract_client_order_prefix
from gridcore.moments import LONGEST_LAG, all_to_us, moment
from gridcore.order_records import LimitOrder, OrderStatus, RestingOrder, TrackedOrder
from gridcore.past_orders import REMEMBERED_ENDED_ORDERS, EndedOrder, PastOrders
from gridcore.resting_side import RestingSide
from gridcore.sides import DirectionType, SideType

__all__ = [
    "REMEMBERED_ENDED_ORDERS",
    "EndedOrder",
    "LimitOrder",
    "OrderBook",
    "OrderStatus",
    "PastOrders",
    "RestingOrder",
    "RestingSide",
    "TrackedOrder",
]

ZERO = Decimal(0)
_PENDING: Final = OrderStatus.PENDING
_PLACED: Final = OrderStatus.PLACED


class OrderBook:
    """All live and in-flight orders of one strategy, with the sums that its guards need.

    A terminal state frees the identity for reuse. Ended order ids are remembered (in `past`), so a
    late message about an ended order is never taken for news of its successor. Its methods are one
    more than twenty: every change of an order keeps indexes and sums, here and nowhere else.
    """

    def __init__(self) -> None:
        self.sides = {direction: RestingSide() for direction in DirectionType}
        self.closing_qty = dict.fromkeys(DirectionType, ZERO)
        self.opening_notional = ZERO
        self.past = PastOrders()
        self._by_order_id: dict[str, TrackedOrder] = {}
        self._unacknowledged: dict[str, TrackedOrder] = {}
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
        return order_id in self._by_order_id or order_id in self.past.by_id

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
            confirmed_ts=ts,
            started_ts=found.created_ts or ts,
            is_seen=True,
        )
        self._by_order_id[found.order_id] = order
        self.past.revive(found.order_id)
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
        if order is not None or order_id in self.past.by_id:
            return order
        prefix = extract_client_order_prefix(order_link_id)
        waiting = self._unacknowledged.get(prefix) if prefix else None
        if waiting is not None:
            self.acknowledge(waiting, order_id, ts)
        return waiting

    def acknowledge(self, order: TrackedOrder, order_id: str, ts: datetime) -> None:
        """Note that the exchange accepted a placement under `order_id`."""
        if self._unacknowledged.get(order.client_order_id) is order:
            del self._unacknowledged[order.client_order_id]
        self._by_order_id[order_id] = order
        order.order_id, order.confirmed_ts = order_id, ts
        order.is_orphan = False
        if order.started_ts is None:
            order.started_ts = ts
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

    def cut(self, order: TrackedOrder, qty: Decimal) -> None:
        """Note that the exchange keeps an order of `qty` in all (base coin), less than was sent.

        What it took off is no fill.
        """
        taken_off = min(order.qty - qty, order.leaves_qty)
        if qty <= 0 or taken_off <= 0:
            return
        self._subtract_sums(order, taken_off)
        order.qty -= taken_off
        order.leaves_qty -= taken_off
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
            self.past.remember(order.order_id, EndedOrder(ts, order.started_ts, is_final))
        self._subtract_sums(order, order.leaves_qty)
        self.sides[order.direction].remove(order)
        order.status = status

    def in_flight(self) -> list[TrackedOrder]:
        """Return the placements that have no answer yet, also those of an earlier process."""
        return list(self._unacknowledged.values())

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process has to know of the live orders, ready for JSON.

        Whole, where a list of the exchange may lag so far that it does not show them yet; the
        others are found there again, and are kept by the moment from which on they could fill.
        """
        orders = list(self)
        # one call for all: this is written before orders leave
        stamps = iter(
            all_to_us(
                [
                    ts
                    for order in orders
                    for ts in (order.created_ts, order.confirmed_ts, order.started_ts)
                ]
            )
        )
        times = {id(order): (next(stamps), next(stamps), next(stamps)) for order in orders}
        newest = max((order.created_ts for order in orders), default=None)
        recent = None if newest is None else newest - LONGEST_LAG
        resting: dict[str, object] = {}
        for order_id, order in self._by_order_id.items():
            created, confirmed, started = times[id(order)]
            if recent is not None and recent < order.created_ts:
                resting[order_id] = {
                    **_kept(order),
                    "created_us": created,
                    "leaves_qty": str(order.leaves_qty),
                    "confirmed_us": confirmed,
                    "started_us": started,
                }
            else:
                resting[order_id] = started
        return {
            "resting": resting,
            "in_flight": [
                {**_kept(order), "created_us": times[id(order)][0]}
                for order in self._unacknowledged.values()
            ],
        }

    def restore(self, state: Mapping[str, Any], tick_size: Decimal) -> None:
        """Take over the live orders of an earlier process; tick_size in USDT."""
        for order_id, kept in state["resting"].items():
            if isinstance(kept, Mapping):
                order = self._restore_one(kept, tick_size)
                self.acknowledge(order, str(order_id), moment(kept["confirmed_us"]))
                order.started_ts = _moment_or_none(kept["started_us"])
                order.is_orphan = True
                self.reduce(order, Decimal(kept["leaves_qty"]))
            else:
                self.past.lived_before(str(order_id), _moment_or_none(kept))
        for kept in state["in_flight"]:
            self._restore_one(kept, tick_size).is_orphan = True

    def _restore_one(self, kept: Mapping[str, Any], tick_size: Decimal) -> TrackedOrder:
        price = Decimal(kept["price"])
        ticks, rest = divmod(price, tick_size)
        return self.add_pending(
            client_order_id=str(kept["client_order_id"]),
            direction=DirectionType(kept["direction"]),
            side=SideType(kept["side"]),
            price_ticks=self.off_grid_ticks() if rest else int(ticks),
            price=price,
            qty=Decimal(kept["qty"]),
            reduce_only=bool(kept["reduce_only"]),
            created_ts=moment(kept["created_us"]),
        )

    def off_grid_ticks(self) -> int:
        """Return a place of its own for an order whose price no tick of today names.

        Below every price, so that it is on no level and is cancelled like any order off the grid.
        """
        self._next_off_grid -= 1
        return self._next_off_grid

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


def _kept(order: TrackedOrder) -> dict[str, Any]:
    return {
        "client_order_id": order.client_order_id,
        "direction": order.direction.value,
        "side": order.side.value,
        "price": str(order.price),
        "qty": str(order.qty),
        "reduce_only": order.reduce_only,
    }


def _moment_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)
