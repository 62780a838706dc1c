"""What an account chooses: leverage, position mode, margin mode. Over REST or by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from exchange_model.rules.placing import tier_allows
from paper_exchange.book.account import LEGS, MarginMode, PaperAccount
from paper_exchange.book.listeners import Outbox
from paper_exchange.market.market import Market

ZERO = Decimal(0)


class AccountOptions:
    """Changes them, or raises RefusalError and has changed nothing."""

    def __init__(self, clock: Callable[[], int], outbox: Outbox) -> None:
        self._clock = clock
        self._outbox = outbox

    def set_leverage(self, account: PaperAccount, market: Market, leverage: Decimal) -> None:
        """Set the leverage of both legs."""
        listing = market.listing
        if market.status != "Trading":
            raise RefusalError(RetCode.NOT_LIVE, "This contract is not live")
        book = account.book(listing)
        if not 1 <= leverage <= listing.max_leverage:
            raise RefusalError(
                RetCode.CANNOT_SET_LEVERAGE,
                f"cannot set leverage gt maxLeverage by risk limit: {listing.max_leverage}",
            )
        if leverage % listing.leverage_step:
            raise parameter_error(f"leverage {leverage} is no multiple of {listing.leverage_step}")
        pair = book.pair
        before = pair.long.leverage
        if leverage == before:
            raise RefusalError(RetCode.LEVERAGE_NOT_MODIFIED, "leverage not modified")
        mark = market.mark or ZERO
        value = (pair.long.size + pair.short.size) * mark
        if not tier_allows(listing.tiers, leverage, value):
            raise RefusalError(
                RetCode.CANNOT_SET_LEVERAGE,
                f"cannot set leverage {leverage} with a position of {value:.0f} USDT",
            )
        pair.mark_price = market.mark
        self._use_leverage(account, market.symbol, leverage)
        if leverage < before and account.money.available() < 0:
            self._use_leverage(account, market.symbol, before)
            raise RefusalError(
                RetCode.INSUFFICIENT_BALANCE, "ab not enough for the margin of this leverage"
            )
        for direction in LEGS:
            book.legs[direction].updated_ms = self._clock()
            self._outbox.position(account, market.symbol, direction)
        self._outbox.wallet(account)
        self._outbox.flush()

    @staticmethod
    def _use_leverage(account: PaperAccount, symbol: str, leverage: Decimal) -> None:
        book = account.books[symbol]
        for direction in LEGS:
            book.pair.leg(direction).leverage = leverage
        book.pair.changed()
        account.money.version += 1
        for order in book.orders.orders.values():
            if not order.reduce_only:
                held = book.pair.order_margin_of(order.direction, order.leaves_qty, order.price)
                book.pair.order_margin += held - order.margin
                order.margin = held

    @staticmethod
    def switch_mode(account: PaperAccount, markets: Iterable[Market], *, hedge: bool) -> None:
        """Set the position mode of symbols."""
        books = [account.book(market.listing) for market in markets]
        changing = [book for book in books if book.hedge_mode is not hedge]
        if not changing:
            raise RefusalError(RetCode.MODE_NOT_MODIFIED, "Position mode is not modified")
        for book in changing:
            if book.pair.is_open:
                raise RefusalError(
                    RetCode.POSITION_EXISTS, "You have an existing position, cannot switch"
                )
            if book.order_count():
                raise RefusalError(
                    RetCode.ORDERS_EXIST, "You have existing open orders, cannot switch"
                )
        for book in changing:
            book.hedge_mode = hedge

    def set_margin_mode(self, account: PaperAccount, mode: MarginMode) -> None:
        """Set the margin mode of an account; positions and orders stay as they are."""
        if account.margin_mode is mode:
            raise RefusalError(RetCode.MARGIN_MODE_NOT_MODIFIED, "Margin mode is not modified")
        account.margin_mode = mode
        account.margin_mode_ms = self._clock()
        self._outbox.wallet(account)
        self._outbox.flush()
