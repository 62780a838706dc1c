"""From an accepted command to its effect on the book.

A command is checked and acknowledged at once; its effect comes `match_delay_ms` later and is told
by the order stream, as on Bybit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial

from exchange_model.fills.fill_simulator import FillModel
from exchange_model.orders.order_manager import SimulatedOrder
from exchange_model.rules.codes import RefusalError, RetCode
from exchange_model.rules.placing import (
    OrderRules,
    check_added_margin,
    check_link_id,
    covered_qty,
)
from exchange_model.rules.prices import takes
from exchange_model.rules.shrinking import closing_cuts
from gridcore import DirectionType
from paper_exchange.basics.ids import Ids
from paper_exchange.basics.schedule import Schedule
from paper_exchange.basics.settings import MatchingSettings, TakerModel
from paper_exchange.book.account import PaperAccount, SymbolBook
from paper_exchange.book.booking import Bookkeeper
from paper_exchange.book.fill_models import ENDLESS, resting_place, taking_ticks
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.order_checks import check_trading
from paper_exchange.book.order_request import AmendRequest, OrderRequest
from paper_exchange.book.orders import NO_ERROR, PaperOrder, Status, TimeInForce
from paper_exchange.market.listing import Listing
from paper_exchange.market.market import Market

ZERO = Decimal(0)
GONE = "order not exists or too late to cancel"
Clock = Callable[[], int]
TIF = TimeInForce


class OrderEntry:
    """Takes the commands of all accounts and carries them out."""

    def __init__(
        self,
        settings: MatchingSettings,
        models: dict[str, FillModel],
        schedule: Schedule,
        clock: Clock,
        ids: Ids,
        booking: Bookkeeper,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._models = models
        self._schedule = schedule
        self._clock = clock
        self._ids = ids
        self._booking = booking
        self._outbox = outbox
        self._rules: dict[str, tuple[Listing, OrderRules]] = {}

    # commands, acknowledged at once

    def place(self, account: PaperAccount, market: Market, request: OrderRequest) -> PaperOrder:
        """Accept an order, or raise RefusalError; it reaches the book later."""
        now = self._clock()
        check_trading(market)
        known = account.by_link.get(request.link_id) if request.link_id else None
        if known is not None:
            check_link_id(known.updated_ms, now, is_open=known.status.is_open)
        book = account.book(market.listing)
        qty, price, margin, closing = self._rules_of(market).admit(
            account.money, book, market, request, moves_price=account.moves_price
        )
        last = market.last_ticks
        order = PaperOrder(
            number=self._ids.number(),
            order_id=self._ids.uuid(),
            link_id=request.link_id,
            symbol=market.symbol,
            side=request.side,
            direction=request.direction,
            order_type=request.order_type,
            time_in_force=request.time_in_force,
            price=price,
            qty=qty,
            reduce_only=closing,
            close_on_trigger=request.close_on_trigger,
            created_ms=now,
            updated_ms=now,
            last_price_on_created=None if last is None else market.price(last),
            create_type=request.create_type,
            margin=margin,
        )
        self._reserve(book, order)
        account.add_order(order)
        self._schedule.at(
            now + self._settings.match_delay_ms, partial(self._arrive, account, market, order)
        )
        return order

    def cancel(self, account: PaperAccount, market: Market, order: PaperOrder) -> None:
        """Accept the cancelling of an order, or raise RefusalError."""
        if not order.status.is_open:
            raise RefusalError(RetCode.ORDER_NOT_FOUND, GONE)
        self._schedule.at(
            self._clock() + self._settings.match_delay_ms,
            partial(self._cancel_if_open, account, market, order),
        )

    def amend(
        self, account: PaperAccount, market: Market, order: PaperOrder, request: AmendRequest
    ) -> None:
        """Accept a change of an order, or raise RefusalError."""
        if not order.status.is_open:
            raise RefusalError(RetCode.ORDER_NOT_FOUND, "order not exists or too late to replace")
        check_trading(market)
        if request.price in (None, order.price) and request.qty in (None, order.qty):
            raise RefusalError(RetCode.PARAMETER_ERROR, "order not modified")
        if request.qty is not None and request.qty <= order.filled_qty:
            raise RefusalError(
                RetCode.QTY_BELOW_FILLED, "the amended qty is not above what is filled already"
            )
        price = self._rules_of(market).allowed_price(
            market, order.side, request.price or order.price, moves=account.moves_price
        )
        qty = request.qty or order.qty
        book = account.book(market.listing)
        if order.reduce_only:
            open_qty = order.qty - order.filled_qty
            qty = order.filled_qty + covered_qty(
                book, order.direction, qty - order.filled_qty, open_qty
            )
        else:
            held = order.resting.margin if order.resting is not None else order.margin
            needed = book.pair.order_margin_of(order.direction, qty - order.filled_qty, price)
            check_added_margin(account.money, needed, held)
        self._schedule.at(
            self._clock() + self._settings.match_delay_ms,
            partial(self._change, account, market, order, price, qty),
        )

    def cancel_now(
        self, account: PaperAccount, market: Market, order: PaperOrder, cancel_type: str
    ) -> None:
        """Take an order off the book at once; the exchange does it itself."""
        self._end(account, market, order, Status.CANCELLED, cancel_type=cancel_type)

    def put_back(self, account: PaperAccount, market: Market, order: PaperOrder) -> None:
        """Let an order of an earlier start rest again."""
        order.margin = ZERO
        self._rest(market, account.book(market.listing), order)

    def shrink_closing(
        self, account: PaperAccount, market: Market, direction: DirectionType
    ) -> None:
        """Cut closing orders back to what the leg holds, those furthest from the market first."""
        book = account.book(market.listing)
        excess = -book.closing_budget(direction)
        if excess <= 0:
            return
        resting = [
            order
            for order in account.orders_of(market.symbol)
            if order.reduce_only and order.direction is direction
        ]
        for order, lost in closing_cuts(resting, direction, excess):
            if lost == order.leaves_qty:
                self.cancel_now(account, market, order, "CancelByReduceOnly")
                continue
            order.qty -= lost
            if order.resting is None:
                book.arriving_closing[direction] -= lost
            else:
                book.orders.reduce(order.resting, lost)
            order.updated_ms = self._clock()
            self._outbox.order(account, order)

    def _rules_of(self, market: Market) -> OrderRules:
        """Return the rules of a contract; they are made anew when its listing changes."""
        listing, known = market.listing, self._rules.get(market.symbol)
        if known is None or known[0] is not listing:
            limits = replace(listing.limits, max_open_orders=self._settings.max_open_orders)
            known = self._rules[market.symbol] = listing, OrderRules(listing.instrument, limits)
        return known[1]

    # effects

    def _reserve(self, book: SymbolBook, order: PaperOrder) -> None:
        book.arriving += 1
        if order.reduce_only:
            book.arriving_closing[order.direction] += order.qty
        else:
            book.pair.order_margin += order.margin
            book.arriving_value += order.qty * order.price

    def _release(self, book: SymbolBook, order: PaperOrder) -> None:
        book.arriving -= 1
        if order.reduce_only:
            book.arriving_closing[order.direction] -= order.qty
        else:
            book.pair.order_margin -= order.margin
            book.arriving_value -= order.qty * order.price
        order.margin = ZERO

    def _arrive(self, account: PaperAccount, market: Market, order: PaperOrder) -> None:
        if order.status is not Status.ACCEPTED:
            return
        book = account.book(market.listing)
        self._release(book, order)
        order.status = Status.NEW
        order.updated_ms = self._clock()
        self._match(account, market, book, order)

    def _match(
        self, account: PaperAccount, market: Market, book: SymbolBook, order: PaperOrder
    ) -> None:
        """Let an order take what it can; the rest waits, or ends by its time in force."""
        offers = self._offers(market, order)
        offered = sum((qty for _, qty in offers), ZERO)
        if order.time_in_force is TIF.POST_ONLY and offers:
            self._end(
                account, market, order, Status.CANCELLED, reason="EC_PostOnlyWillTakeLiquidity"
            )
            return
        if order.time_in_force is TIF.FOK and offered < order.leaves_qty:
            self._end(account, market, order, Status.CANCELLED, reason="EC_NoEnoughQtyToFill")
            return
        for ticks, qty in offers:
            take = min(qty, order.leaves_qty)
            if take > 0:
                self._book(account, market, order, take, market.price(ticks), is_maker=False)
        if not order.status.is_open:
            return
        if order.time_in_force in (TIF.IOC, TIF.FOK):
            reason = "EC_CancelForNoFullFill" if order.filled_qty else "EC_NoImmediateQtyToFill"
            self._end(account, market, order, Status.CANCELLED, reason=reason)
            return
        self._rest(market, book, order)
        self._outbox.order(account, order)

    def _offers(self, market: Market, order: PaperOrder) -> Sequence[tuple[int, Decimal]]:
        """Return (ticks, qty) that the order may take now, the best first."""
        limit = taking_ticks(market.listing.instrument, order.side, order.price)
        other = order.side.opposite
        best = market.quotes.best(other)
        if best is None or market.stopped is not None:
            return []
        if not takes(order.side, limit, best):
            return []
        if self._settings.taker_model is TakerModel.QUOTE:
            return [(best, order.leaves_qty)]
        levels = market.quotes.levels(other, self._settings.book_levels)
        return [(ticks, qty) for ticks, qty in levels if takes(order.side, limit, ticks)]

    def _rest(self, market: Market, book: SymbolBook, order: PaperOrder) -> None:
        leaves = order.leaves_qty
        margin = (
            ZERO
            if order.reduce_only
            else book.pair.order_margin_of(order.direction, leaves, order.price)
        )
        model = self._models[market.symbol]
        ticks, ahead = resting_place(model, market.listing.instrument, order.side, order.price)
        order.resting = SimulatedOrder(
            order_id=order.order_id,
            client_order_id=order.link_id,
            direction=order.direction,
            side=order.side,
            price_ticks=ticks,
            price=order.price,
            qty=order.qty,
            leaves_qty=leaves,
            reduce_only=order.reduce_only,
            margin=margin,
        )
        model.rest(order.resting)
        if ahead is not None:
            order.resting.queue_ahead = ahead
        book.orders.add(order.resting)

    def fill_resting(
        self, account: PaperAccount, market: Market, resting: SimulatedOrder, qty: Decimal
    ) -> None:
        """Fill a resting order at its limit."""
        order = account.open_orders[resting.order_id]
        account.book(market.listing).orders.reduce(resting, qty)
        self._book(account, market, order, qty, order.price, is_maker=True)

    def _book(
        self,
        account: PaperAccount,
        market: Market,
        order: PaperOrder,
        qty: Decimal,
        price: Decimal,
        *,
        is_maker: bool,
    ) -> None:
        execution = self._booking.fill(
            account, market, order, qty, price, self._clock(), is_maker=is_maker
        )
        if not order.status.is_open:
            order.resting = None
            account.end_order(order)
        self._outbox.execution(account, execution)
        self._outbox.order(account, order)

    def _cancel_if_open(self, account: PaperAccount, market: Market, order: PaperOrder) -> None:
        if order.status.is_open:
            self._end(account, market, order, Status.CANCELLED, cancel_type="CancelByUser",
                      reason="EC_PerCancelRequest")  # fmt: skip

    def _end(
        self,
        account: PaperAccount,
        market: Market,
        order: PaperOrder,
        status: Status,
        *,
        cancel_type: str = "UNKNOWN",
        reason: str = NO_ERROR,
    ) -> None:
        book = account.book(market.listing)
        if order.status is Status.ACCEPTED:
            self._release(book, order)
        elif order.resting is not None:
            book.orders.remove(order.order_id)
            order.resting = None
        order.status = status
        order.cancel_type, order.reject_reason = cancel_type, reason
        order.updated_ms = self._clock()
        account.end_order(order)
        self._outbox.order(account, order)

    def _change(
        self, account: PaperAccount, market: Market, order: PaperOrder, price: Decimal, qty: Decimal
    ) -> None:
        """Carry out an amendment; a new price or a larger quantity loses the place in the queue."""
        book = account.book(market.listing)
        if order.reduce_only:
            # other closing orders may have come in between
            qty = order.filled_qty + covered_qty(
                book, order.direction, qty - order.filled_qty, order.leaves_qty
            )
        if not order.status.is_open or qty <= order.filled_qty:
            return
        resting = order.resting
        order.updated_ms = self._clock()
        if resting is not None and price == order.price and qty < order.qty:
            book.orders.reduce(resting, order.qty - qty)
            order.qty = qty
            self._outbox.order(account, order)
            return
        if resting is not None:
            book.orders.remove(order.order_id)
            order.resting = None
        order.price, order.qty = price, qty
        self._match(account, market, book, order)

    def retick(self, accounts: Sequence[PaperAccount], market: Market) -> None:
        """Keep all resting orders under a new tick size; they stay at their prices."""
        for account in accounts:
            book = account.books.get(market.symbol)
            if book is None:
                continue
            for order in account.orders_of(market.symbol):
                before = order.resting
                if before is None:
                    continue
                book.orders.remove(order.order_id)
                self._rest(market, book, order)
                after = order.resting
                if (
                    after is not None
                    and after.queue_ahead not in (None, ENDLESS)
                    and (before.queue_ahead != ENDLESS)
                ):
                    # who waited goes on waiting at the same place
                    after.queue_ahead = before.queue_ahead


OrderDesk = OrderEntry  # the name that scripts know
