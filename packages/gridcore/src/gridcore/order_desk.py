"""What becomes of orders: from the exchange's messages to the book, in whatever order they come.

Three sources tell of one order: the answer to its placement, the order stream and its executions.
None is sure to be first, or to come once. The desk brings them together and tells the guards what
they may no longer count on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never

from gridcore.account import AccountMirror
from gridcore.admission import Admission
from gridcore.engine import GridEngine
from gridcore.events import (
    CancelOutcome,
    CancelResultEvent,
    ExchangeOrderStatus,
    ExecutionEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    RejectReason,
)
from gridcore.foreign_orders import ForeignOrders
from gridcore.guards import FilledOrder
from gridcore.instrument import floor_ceil_ticks
from gridcore.intents import (
    CancelIntent,
    CancelReason,
    Intent,
    PlaceLimitIntent,
    extract_client_order_prefix,
)
from gridcore.orders import LimitOrder, OrderBook, OrderStatus, TrackedOrder
from gridcore.strategy_config import StrategyConfig
from gridcore.wants import WantCancel, WantPlace

log = logging.getLogger(__name__)

_FILLED: Final = OrderStatus.FILLED
_ACCEPTED: Final = PlaceOutcome.ACCEPTED

# an order is judged missing only when it was confirmed this long before the list was made:
# lists may lag behind the matching engine
LIST_LAG = timedelta(seconds=5)
# a request of a process that is gone is void 5 s after it was signed; the rest is for late lists
ORPHAN_LAG = timedelta(seconds=15)
# an order that the exchange ends by itself this soon was as good as refused
BARELY_LIVED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class OrdersReport:
    """What comparing the exchange's open orders with the tracked ones brought."""

    adopted: tuple[str, ...]
    closed: tuple[str, ...]
    foreign: tuple[str, ...]


class OrderDesk:
    """Places and cancels on the book, and follows what the exchange says of each order."""

    def __init__(
        self,
        config: StrategyConfig,
        engine: GridEngine,
        book: OrderBook,
        account: AccountMirror,
        admission: Admission,
    ) -> None:
        self.config = config
        self.engine = engine
        self.book = book
        self.account = account
        self.admission = admission
        self.foreign = ForeignOrders(config.strat_id)

    # commands

    def place(self, want: WantPlace, qty: Decimal, now: datetime) -> PlaceLimitIntent:
        """Track an admitted order (qty in base coin) and return the intent that places it."""
        intent = self.engine.names.place_intent(want, qty, self.config.post_only)
        order = self.book.add_pending(
            client_order_id=intent.client_order_id,
            direction=want.direction,
            side=want.side,
            price_ticks=want.price_ticks,
            price=intent.price,
            qty=qty,
            reduce_only=intent.reduce_only,
            created_ts=now,
        )
        if not intent.reduce_only:
            self.account.free_margin.reserve(order)
        self.admission.rate.add(now)
        return intent

    def cancel(self, want: WantCancel, now: datetime) -> CancelIntent | None:
        """Return the intent that cancels an order, None while it has to wait."""
        order = want.order
        if not isinstance(order, TrackedOrder) or not self.can_cancel(order, now):
            return None
        order.cancel_in_flight = True
        return self.engine.names.cancel_intent(want)

    def can_cancel(self, order: TrackedOrder, now: datetime) -> bool:
        """An order without an id, or with a cancel on its way, waits for the answer first."""
        if order.order_id is None or order.cancel_in_flight:
            return False
        return self.admission.retry.held_until(order.order_id, now) is None

    def cancel_foreign(self) -> list[Intent]:
        """Return cancels for foreign orders that have none on their way."""
        return [
            self.engine.names.cancel_intent(WantCancel(order, CancelReason.OUTSIDE_GRID))
            for order in self.foreign.take_to_cancel()
        ]

    # messages

    def on_execution(self, event: ExecutionEvent) -> bool:
        """Take over a fill of an order; True when the order is, or was, one of ours."""
        ts, leaves_qty = event.exchange_ts, event.leaves_qty
        order = self.book.find(event.order_id, event.order_link_id, ts)
        identity = extract_client_order_prefix(event.order_link_id)
        if order is not None:
            identity, started = order.client_order_id, order.started_ts
        else:
            started = self.book.past.started_ts(event.order_id)
        if identity is None:
            return False
        if not leaves_qty:
            filled = FilledOrder(event.order_id, identity, started, ts)
            self.admission.same_order.add(event.direction, filled)
        if order is None:
            return True
        order.is_seen, order.is_orphan = True, False
        self.admission.retry.clear((order.direction, order.price_ticks))
        if order.confirmed_ts is None or order.confirmed_ts < ts:
            order.confirmed_ts = ts
        # an earlier fill of the same order may still be on its way
        unseen = order.leaves_qty - leaves_qty - event.qty
        if unseen:
            self.await_fills(order, unseen, ts)
        if leaves_qty:
            self.book.reduce(order, leaves_qty)
        else:
            self.book.end(order, _FILLED, ts)
        return True

    def on_order_update(self, event: OrderUpdateEvent) -> None:
        """Take over the state of an order as the stream tells it."""
        order = self.book.find(event.order_id, event.order_link_id, event.exchange_ts)
        if order is None:
            self._on_unknown_order(event)
            return
        # it truncates a closing order to what the leg covers, and cuts it when the leg shrinks
        self.book.cut(order, event.qty)
        if event.status.is_live:
            order.is_seen, order.is_orphan = True, False
            self.admission.retry.clear((order.direction, order.price_ticks))
            self._check_price(order, event)
        else:
            self._end_order(order, event)

    def _end_order(self, order: TrackedOrder, event: OrderUpdateEvent) -> None:
        if event.status is ExchangeOrderStatus.FILLED:
            self.await_fills(order, order.leaves_qty, event.exchange_ts)
            self.book.end(order, OrderStatus.FILLED, event.exchange_ts)
            return
        seen = order.qty - order.leaves_qty
        # a cancelled order may report nothing left, and then its fills cannot be told from that
        filled = event.qty - event.leaves_qty if event.leaves_qty else order.qty
        self.await_fills(order, filled - seen, event.exchange_ts)
        untouched = not seen and not order.cancel_in_flight
        if untouched or event.status is ExchangeOrderStatus.REJECTED:
            key = (order.direction, order.price_ticks)
            self.admission.retry.add_failure(key, event.exchange_ts)
        rejected = event.status is ExchangeOrderStatus.REJECTED
        self.book.end(
            order,
            OrderStatus.REJECTED if rejected else OrderStatus.CANCELLED,
            event.exchange_ts,
        )
        begun = order.started_ts or order.created_ts
        if untouched and event.exchange_ts - begun < BARELY_LIVED:
            self._note_lost(order)
        if rejected or event.leaves_qty == event.qty:
            self.account.free_margin.release(order)
        else:
            # a part of it may have become position, so its margin is freed by the next report
            order.confirmed_ts = event.exchange_ts

    def _note_lost(self, order: TrackedOrder) -> None:
        """Take in that the exchange ended an order right after it had taken it."""
        self.admission.starvation.refused(
            order.direction, "it ends an order as soon as it has taken it",
            closing=order.reduce_only,
        )  # fmt: skip
        if not any(
            other.order_id is not None
            and (other.direction, other.reduce_only) == (order.direction, order.reduce_only)
            for other in self.book
        ):
            self.admission.starvation.lost(order.direction, closing=order.reduce_only)

    def await_fills(self, order: TrackedOrder, qty: Decimal, ts: datetime) -> None:
        """Let the guards count a quantity that filled, but whose executions are not here yet."""
        if order.order_id is not None:
            leg = self.account.legs[order.direction]
            leg.await_fill(order.order_id, qty, order.price, ts, closing=order.reduce_only)

    def _on_unknown_order(self, event: OrderUpdateEvent) -> None:
        ended = self.book.past.ended(event.order_id)
        if ended is not None and (ended.is_final or event.exchange_ts <= ended.ts):
            return  # old news of an order that has ended since
        if not event.status.is_live:
            self.foreign.drop(event.order_id)
            return
        low, high = floor_ceil_ticks(event.price, self.config.instrument.tick_size)
        if not high:
            return  # a market order has no price
        self._adopt_or_report(
            LimitOrder(
                order_id=event.order_id,
                order_link_id=event.order_link_id,
                direction=event.direction,
                side=event.side,
                price_ticks=low,
                qty=event.qty,
                leaves_qty=event.leaves_qty,
                age_rank=int(event.exchange_ts.timestamp() * 1000),
                price=None if low == high else event.price,
            ),
            event.exchange_ts,
        )

    def _check_price(self, order: TrackedOrder, event: OrderUpdateEvent) -> None:
        """Follow an order whose price the exchange moved to its limit."""
        if event.price == order.price:
            return
        low, high = floor_ceil_ticks(event.price, self.config.instrument.tick_size)
        if low == high and low:
            log.warning(
                "%s: the exchange moved order %s from %s to %s",
                self.config.strat_id,
                event.order_id,
                order.price,
                event.price,
            )
            self.book.reprice(order, low, event.price)

    def on_place_result(self, event: PlaceResultEvent) -> None:
        """Take over the answer to a placement."""
        ts = event.exchange_ts
        order = self.book.unacknowledged(event.client_order_id)
        if event.outcome is _ACCEPTED:
            if order is not None and event.order_id and not self.book.knows(event.order_id):
                self.book.acknowledge(order, event.order_id, ts)
            if order is not None:
                self.admission.starvation.served(order.direction, closing=order.reduce_only)
            return
        if order is None:
            log.info(
                "%s: a late %s for %s", self.config.strat_id, event.outcome, event.client_order_id
            )
            return
        rejected = event.outcome is PlaceOutcome.REJECTED
        self.admission.starvation.refused(order.direction, event.message, closing=order.reduce_only)
        self.book.end(order, OrderStatus.REJECTED if rejected else OrderStatus.FAILED, ts)
        self.account.free_margin.release(order)
        self.admission.retry.add_failure((order.direction, order.price_ticks), ts)
        match event.reject_reason if rejected else None:
            case RejectReason.REDUCE_ONLY:
                self.account.block_closing(order.direction, ts)
                if self.admission.reduce_only[order.direction].add(ts):
                    log.error(
                        "%s: closing orders of the %s leg were refused three times; they stop",
                        self.config.strat_id,
                        order.direction,
                    )
            case RejectReason.INSUFFICIENT_BALANCE:
                self.account.free_margin.forget()
            case RejectReason.OTHER | None:
                pass
            case unknown:
                assert_never(unknown)

    def on_cancel_result(self, event: CancelResultEvent) -> None:
        """Take over the answer to a cancel."""
        if event.outcome is CancelOutcome.GONE:
            self.foreign.cancelled_in_vain(event.order_id)
        order = self.book.get(event.order_id)
        if order is None:
            return
        match event.outcome:
            case CancelOutcome.ACCEPTED:
                order.cancel_accepted_ts = event.exchange_ts
                self.admission.retry.clear(event.order_id)
            case CancelOutcome.GONE if self._may_be_coming(order, event.exchange_ts):
                # accepted is not yet on the book, and what is not on the book cannot be cancelled
                order.cancel_in_flight = False
                self.admission.retry.add_failure(event.order_id, event.exchange_ts)
            case CancelOutcome.GONE:
                self.await_fills(order, order.leaves_qty, event.exchange_ts)
                self.book.end(order, OrderStatus.CANCELLED, event.exchange_ts, is_final=False)
            case CancelOutcome.FAILED:
                order.cancel_in_flight = False
                self.admission.retry.add_failure(event.order_id, event.exchange_ts)
            case unknown:
                assert_never(unknown)

    @staticmethod
    def _may_be_coming(order: TrackedOrder, ts: datetime) -> bool:
        accepted = order.confirmed_ts
        return not order.is_seen and accepted is not None and ts < accepted + LIST_LAG

    # the exchange's list of open orders

    def compare(
        self, orders: Iterable[LimitOrder], ts: datetime, absent: frozenset[str] | None = None
    ) -> OrdersReport:
        """Compare all open orders of the symbol, confirmed as of `ts`, with the tracked ones.

        Ours that are not tracked are adopted; tracked ones that were confirmed well before `ts`
        and are missing are closed, or, where it is given, those that `absent` names; orders in
        flight are left alone; all others are foreign. From here on the open orders count as
        confirmed.
        """
        listed = {order.order_id: order for order in orders}
        closed = []
        for order in list(self.book):
            if order.order_id is None or order.confirmed_ts is None:
                continue
            found = listed.get(order.order_id)
            settled = order.confirmed_ts + LIST_LAG <= ts
            if absent is not None:
                settled = order.order_id in absent
            if found is not None:
                order.is_seen, order.is_orphan = True, False
                self.book.cut(order, found.qty)
                self.await_fills(order, order.leaves_qty - found.leaves_qty, ts)
                self.book.reduce(order, found.leaves_qty)
                accepted = order.cancel_accepted_ts
                if accepted is not None and accepted + LIST_LAG <= ts:
                    order.cancel_in_flight, order.cancel_accepted_ts = False, None
            elif settled:
                self.await_fills(order, order.leaves_qty, ts)
                self.book.end(order, OrderStatus.CANCELLED, ts, is_final=False)
                closed.append(order.order_id)
        self.foreign.keep_listed(listed)
        adopted = [
            order_id
            for order_id, order in listed.items()
            if self.book.get(order_id) is None
            and self._is_news(order, ts)
            and self._adopt_or_report(order, ts)
        ]
        self._end_orphans(ts)
        self.account.orders_confirmed = True
        self.admission.same_order.compared(
            ts,
            has_double=any(side.extras for side in self.book.sides.values()),
            is_empty=not len(self.book),
        )
        report = OrdersReport(tuple(adopted), tuple(closed), tuple(self.foreign.by_id))
        if adopted or closed:
            log.info("%s: open orders compared: %s", self.config.strat_id, report)
        return report

    def _is_news(self, order: LimitOrder, ts: datetime) -> bool:
        """Tell whether a list made at `ts` may show an order that has ended here."""
        ended = self.book.past.ended(order.order_id)
        if ended is None or ended.is_final:
            return ended is None
        if order.updated_ts is not None and order.updated_ts > ended.ts:
            return True
        return ended.ts + LIST_LAG < ts

    def _end_orphans(self, ts: datetime) -> None:
        """Give up what an earlier process sent and no list shows, once one would have to."""
        for order in self.book.in_flight():
            if not order.is_orphan:
                continue
            if order.orphan_since is None:
                order.orphan_since = ts
            elif order.orphan_since + ORPHAN_LAG <= ts:
                log.info("%s: %s never arrived", self.config.strat_id, order.client_order_id)
                self.book.end(order, OrderStatus.FAILED, ts)
                self.account.free_margin.release(order)

    def _adopt_or_report(self, order: LimitOrder, ts: datetime) -> bool:
        if self.engine.names.is_own(order):
            prefix = order.client_order_id
            waiting = self.book.unacknowledged(prefix)
            if waiting is not None:
                self.book.acknowledge(waiting, order.order_id, ts)
            else:
                self._adopt(order, ts)
            return True
        self.foreign.report(order)
        return False

    def _adopt(self, order: LimitOrder, ts: datetime) -> None:
        if order.price is None:
            self.book.adopt(order, self.config.instrument.to_price(order.price_ticks), ts)
            return
        log.warning(
            "%s: order %s rests at %s, between two ticks of %s; it is cancelled",
            self.config.strat_id, order.order_id, order.price, self.config.instrument.tick_size,
        )  # fmt: skip
        off_grid = replace(order, price_ticks=self.book.off_grid_ticks())
        self.book.adopt(off_grid, order.price, ts)
