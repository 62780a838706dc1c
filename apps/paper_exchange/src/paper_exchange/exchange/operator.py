"""What only the exchange itself can do, and what a person does on its web page."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from exchange_model.rules.codes import RetCode, parameter_error
from gridcore import DirectionType
from paper_exchange.book.account import LEGS, PaperAccount
from paper_exchange.book.order_checks import check_trading
from paper_exchange.book.orders import PaperOrder
from paper_exchange.exchange.rule_change import RuleChange

if TYPE_CHECKING:
    from paper_exchange.exchange.exchange import PaperExchange


class Operator:
    """The hand at the controls of an exchange. Every method raises RefusalError and then changes
    nothing."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def deposit(self, account: PaperAccount, amount: Decimal, coin: str = "USDT") -> None:
        """Put USDT or MNT into a wallet, or take it out when negative. Raises RefusalError."""
        if coin == "MNT" and account.mnt.balance + amount < 0:
            raise parameter_error(f"there are {account.mnt.balance} MNT, not {-amount}")
        self._exchange.booking.transfer(account, amount, self._exchange.now_ms, coin=coin)
        self._exchange.outbox.wallet(account)
        self._exchange.outbox.flush()

    def pay_fees_in(self, account: PaperAccount, coin: str, price: Decimal | None) -> None:
        """Let fees be paid in USDT, or in MNT at a price in USDT (None: as before)."""
        account.mnt.pays_fees = coin == "MNT"
        account.mnt.price = price or account.mnt.price
        self._exchange.outbox.wallet(account)
        self._exchange.outbox.flush()

    def change_rules(self, symbol: str, change: RuleChange) -> None:
        """Change rules of a contract; orders on the book stay as they are. Raises RefusalError."""
        market = self._exchange.market(symbol)
        tick_size = market.listing.instrument.tick_size
        market.use(change.applied_to(market.listing))
        self._exchange.price_moves.use_rules(market)
        if market.listing.instrument.tick_size != tick_size:
            self._exchange.order_entry.retick(tuple(self._exchange.accounts.values()), market)
        self._exchange.outbox.market(market)
        self._exchange.outbox.flush()

    def change_tick_size(self, symbol: str, tick_size: Decimal) -> None:
        """Change a contract's tick size. Raises RefusalError."""
        self.change_rules(symbol, RuleChange(tick_size=tick_size))

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Stop trading in a symbol, or let it go on. Raises RefusalError."""
        market = self._exchange.market(symbol)
        if halted:
            self._exchange.life.halt(market, RetCode.TRADING_NOT_ALLOWED, tickers=False)
        else:
            self._exchange.life.resume(market)

    def liquidate(self, account: PaperAccount) -> None:
        """Liquidate an account that need not be."""
        self._exchange.take_over.liquidate(account)
        self._exchange.outbox.flush()

    def reduce_by_liquidation(
        self, account: PaperAccount, ratio: Decimal, symbol: str = "", direction: str = ""
    ) -> Decimal:
        """Reduce legs as a liquidation begins: all, or those of a symbol, of a direction.

        Returns what was closed in base coin. Raises RefusalError when they hold nothing.
        """
        chosen = (
            [self._exchange.market(symbol)] if symbol else list(self._exchange.markets.values())
        )
        legs = [
            (market.symbol, leg)
            for market in chosen
            if market.symbol in account.books
            for leg in LEGS
            if direction in ("", leg.value)
            and account.books[market.symbol].pair.leg(leg).size
            and self._exchange.take_over.quote(market, leg)
        ]
        if not legs:
            raise parameter_error(f"{account.name} holds nothing that could be reduced")
        closed = self._exchange.take_over.reduce(account, legs, ratio)
        self._exchange.outbox.flush()
        return closed

    def deleverage(
        self, account: PaperAccount, symbol: str, direction: str, qty: Decimal
    ) -> Decimal:
        """Close a part of a leg (`long` or `short`) by auto-deleveraging; return how much."""
        market = self._exchange.market(symbol)
        leg = next((one for one in LEGS if one.value == direction), None)
        if leg is None:
            raise parameter_error(f"direction {direction[:10]!r}; it is long or short")
        closed = self._exchange.take_over.deleverage(account, market, leg, qty)
        self._exchange.outbox.flush()
        return closed

    def close_by_hand(
        self, account: PaperAccount, symbol: str, direction: DirectionType, qty: Decimal | None
    ) -> PaperOrder:
        """Close a leg, or `qty` (base coin) of it, as a person does. Raises RefusalError."""
        market = self._exchange.market(symbol)
        check_trading(market)
        size = account.book(market.listing).pair.leg(direction).size
        wanted = size if qty is None else qty
        if not size or wanted > size:
            raise parameter_error(f"the {direction} leg of {symbol} holds {size}, not {wanted}")
        if wanted != size and wanted % market.listing.instrument.qty_step:
            step = market.listing.instrument.qty_step
            raise parameter_error(f"qty {wanted} is no multiple of the qty step {step}")
        order = self._exchange.take_over.close_by_hand(account, market, direction, wanted)
        self._exchange.outbox.flush()
        return order
