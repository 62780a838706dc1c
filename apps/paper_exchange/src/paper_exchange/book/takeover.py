"""Legs that are closed without an order of a client: by the exchange, or by a person in its app."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from exchange_model.rules.codes import parameter_error
from gridcore import DirectionType
from paper_exchange.basics.ids import Ids
from paper_exchange.book.account import LEGS, PaperAccount
from paper_exchange.book.booking import Bookkeeper
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.order_entry import OrderEntry
from paper_exchange.book.orders import ExecType, OrderType, PaperOrder, Status, TimeInForce
from paper_exchange.market.market import Market

log = logging.getLogger(__name__)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ForcedClose:
    """How a closing is called on the wire. Only what is a Trade pays the taker fee."""

    exec_type: ExecType
    create_type: str


TAKEN_OVER = ForcedClose(ExecType.BUST, "CreateByTakeOver_PassThrough")
DELEVERAGED = ForcedClose(ExecType.ADL, "CreateByAdl_PassThrough")
REDUCED = ForcedClose(ExecType.TRADE, "CreateByLiq")
CLOSED_BY_HAND = ForcedClose(ExecType.TRADE, "CreateByClosing")


class TakeOver:
    """Closes legs by force. `insurance_fund` (USDT) keeps what liquidations left over or cost."""

    def __init__(
        self,
        markets: dict[str, Market],
        desk: OrderEntry,
        clock: Callable[[], int],
        ids: Ids,
        booking: Bookkeeper,
        outbox: Outbox,
    ) -> None:
        self.insurance_fund = ZERO
        self._markets = markets
        self._desk = desk
        self._clock = clock
        self._ids = ids
        self._booking = booking
        self._outbox = outbox

    def must_liquidate(self, account: PaperAccount, market: Market) -> bool:
        """Tell whether a market's mark price has reached the account's liquidation price."""
        book = account.books.get(market.symbol)
        if book is None or not book.pair.is_open or market.mark is None:
            return False
        low, high = account.money.liquidation_range(market.symbol)
        mark = market.mark
        return (low is not None and mark <= low) or (high is not None and mark >= high)

    def liquidate(self, account: PaperAccount) -> None:
        """Cancel all orders and take all legs over at the bankruptcy price of the account.

        The account ends at nothing or a little above it. What its legs are worth beyond that at
        the mark price goes to the insurance fund, which also bears what is missing.
        """
        equity = account.money.equity()
        log.warning("%s: liquidated at an equity of %.4f USDT", account.name, equity)
        self._cancel_all(account, "CancelAllBeforeLiq")
        for symbol, book in account.books.items():
            if not book.pair.is_open:
                continue
            market = self._markets[symbol]
            # the other symbols stay at their marks until their turn, so the sum comes out at zero
            price = account.money.bankruptcy_price(symbol) or market.mark or ZERO
            for direction in LEGS:
                record = book.legs[direction]
                record.status = "Liq"
                size = book.pair.leg(direction).size
                if size:
                    self.close(account, market, direction, size, price, TAKEN_OVER)
        self.insurance_fund += equity - account.money.wallet
        self.cover(account)
        for book in account.books.values():
            for record in book.legs.values():
                record.status = "Normal"
        self._outbox.wallet(account)

    def reduce(
        self, account: PaperAccount, legs: list[tuple[str, DirectionType]], ratio: Decimal
    ) -> Decimal:
        """Reduce legs by a share of their size, at the quote, as a liquidation begins.

        All orders are cancelled first. Returns what was closed in base coin, of all legs together.
        """
        self._cancel_all(account, "CancelByPrepareLiq")
        closed = ZERO
        for symbol, direction in legs:
            market = self._markets[symbol]
            size = account.book(market.listing).pair.leg(direction).size
            qty = min(size, market.listing.instrument.round_qty(size * ratio))
            self.close(account, market, direction, qty, self.quote(market, direction), REDUCED)
            closed += qty
        self.cover(account)
        return closed

    def deleverage(
        self, account: PaperAccount, market: Market, direction: DirectionType, qty: Decimal
    ) -> Decimal:
        """Close up to `qty` (base coin) of a leg at the mark price; return how much it was."""
        size = account.book(market.listing).pair.leg(direction).size
        step = market.listing.instrument.qty_step
        closed = min(qty // step * step, size)
        if closed > 0 and market.mark is not None:
            self.close(account, market, direction, closed, market.mark, DELEVERAGED)
            self._desk.shrink_closing(account, market, direction)
        return max(closed, ZERO)

    def close_by_hand(
        self, account: PaperAccount, market: Market, direction: DirectionType, qty: Decimal
    ) -> PaperOrder:
        """Close a part of a leg (base coin) at the quote; orders it no longer covers are cut."""
        price = self.quote(market, direction)
        order = self.close(account, market, direction, qty, price, CLOSED_BY_HAND)
        self._desk.shrink_closing(account, market, direction)
        return order

    @staticmethod
    def quote(market: Market, direction: DirectionType) -> Decimal:
        """Return the price in USDT at which a leg is closed now. Raises RefusalError for none."""
        closes = direction.opening_side.opposite
        ticks = market.quotes.best(closes.opposite)
        if ticks is None:
            raise parameter_error(f"{market.symbol} has no price yet")
        return market.price(ticks)

    def cover(self, account: PaperAccount) -> None:
        """Let the insurance fund pay what an account owes."""
        if account.money.wallet < 0:
            # legs that cancel each other out have no bankruptcy price: the fund pays the rest
            missing = -account.money.wallet
            account.insured += missing
            self.insurance_fund -= missing
            self._booking.transfer(account, missing, self._clock(), "BONUS")

    def _cancel_all(self, account: PaperAccount, cancel_type: str) -> None:
        for order in tuple(account.open_orders.values()):
            self._desk.cancel_now(account, self._markets[order.symbol], order, cancel_type)

    def close(
        self,
        account: PaperAccount,
        market: Market,
        direction: DirectionType,
        qty: Decimal,
        price: Decimal,
        how: ForcedClose,
    ) -> PaperOrder:
        """Close `qty` (base coin) of a leg at a price in USDT; return the order that did it."""
        now = self._clock()
        last = market.last_ticks
        order = PaperOrder(
            number=self._ids.number(),
            order_id=self._ids.uuid(),
            link_id="",
            symbol=market.symbol,
            side=direction.opening_side.opposite,
            direction=direction,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            price=price,
            qty=qty,
            reduce_only=True,
            close_on_trigger=False,
            created_ms=now,
            updated_ms=now,
            last_price_on_created=None if last is None else market.price(last),
            create_type=how.create_type,
            status=Status.NEW,
        )
        execution = self._booking.fill(
            account, market, order, qty, price, now, is_maker=False, exec_type=how.exec_type
        )
        account.end_order(order)
        self._outbox.execution(account, execution)
        self._outbox.order(account, order)
        return order
