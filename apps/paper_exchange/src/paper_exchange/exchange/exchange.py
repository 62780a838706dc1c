"""The exchange without sockets and without a clock: markets, accounts, one order of events.

Time is what `advance` and the feed say. The same calls make the same exchange, to the last byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal

from exchange_model.fills.fill_simulator import FillModel
from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from paper_exchange.basics.ids import Ids
from paper_exchange.basics.schedule import Action, Schedule
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.book.account_options import AccountOptions
from paper_exchange.book.booking import Bookkeeper
from paper_exchange.book.listeners import Listener, Outbox
from paper_exchange.book.order_entry import OrderEntry
from paper_exchange.book.order_request import AmendRequest, OrderRequest
from paper_exchange.book.orders import PaperOrder
from paper_exchange.book.takeover import TakeOver
from paper_exchange.exchange.contract_life import ContractLife
from paper_exchange.exchange.funding import FundingSettlement
from paper_exchange.exchange.operator import Operator
from paper_exchange.exchange.past import Past
from paper_exchange.exchange.price_moves import PriceMoves
from paper_exchange.market.market import FeedEvent, Market


class PaperExchange:
    """Markets and accounts under one clock. Not thread-safe: one thread drives it."""

    def __init__(
        self,
        markets: Iterable[Market],
        accounts: Iterable[PaperAccount],
        settings: MatchingSettings | None = None,
        *,
        start_ms: int,
        seed: int = 1,
        epoch: int = 0,
    ) -> None:
        self.settings = settings or MatchingSettings()
        self.now_ms = start_ms
        self.seed = seed
        self.ids = Ids(seed, epoch)
        self.markets = {market.symbol: market for market in markets}
        self.accounts = {account.name: account for account in accounts}
        self.outbox = Outbox()
        self.schedule = Schedule()
        self.booking = Bookkeeper(self.ids)
        self._keys = {key: account for account in self.accounts.values() for key in account.keys}
        models: dict[str, FillModel] = {}
        self.order_entry = OrderEntry(
            self.settings, models, self.schedule, self._clock, self.ids, self.booking, self.outbox
        )
        self.take_over = TakeOver(
            self.markets, self.order_entry, self._clock, self.ids, self.booking, self.outbox
        )
        self.price_moves = PriceMoves(
            self.settings, models, self.accounts, self.order_entry, self.take_over, self.outbox
        )
        self.options = AccountOptions(self._clock, self.outbox)
        self.life = ContractLife(
            self.markets, self.accounts, self.order_entry, self.take_over, self.schedule,
            self._clock, self.outbox,
        )  # fmt: skip
        self.past = Past(
            self.markets, self.accounts, self._clock, lambda: self.ids.last, self.outbox
        )
        self.operator = Operator(self)
        funding = FundingSettlement(
            self.accounts, self.take_over, self.schedule, self._clock, self.booking, self.outbox,
            is_settled=self.settings.funding,
        )  # fmt: skip
        for market in self.markets.values():
            self.price_moves.use_rules(market)
            funding.plan(market)

    def _clock(self) -> int:
        return self.now_ms

    # looking things up

    def listen(self, listener: Listener) -> None:
        """Tell a listener of everything from now on."""
        self.outbox.listeners.append(listener)

    def market(self, symbol: str) -> Market:
        """Return a market. Raises RefusalError for a symbol that is not listed."""
        market = self.markets.get(symbol)
        if market is None:
            raise parameter_error(f"symbol invalid {symbol[:30]!r}")
        return market

    def account(self, name: str) -> PaperAccount:
        """Return an account. Raises RefusalError for one that is not there."""
        account = self.accounts.get(name)
        if account is None:
            raise parameter_error(f"there is no account {name[:50]!r}")
        return account

    def key(self, key: str) -> tuple[PaperAccount, ApiKey] | None:
        """Return the account of an API key, None for an unknown key."""
        account = self._keys.get(key)
        return None if account is None else (account, account.keys[key])

    def replace_key(self, account: PaperAccount, key: ApiKey) -> None:
        """Add a key to an account, or replace it (revoked, for instance)."""
        account.keys[key.key] = key
        self._keys[key.key] = account

    # time

    def advance(self, now_ms: int) -> None:
        """Let time pass; what falls due until then happens in its order."""
        while (due := self.schedule.pop_due(now_ms)) is not None:
            due_ms, action = due
            self._let_pass(due_ms)
            action()
            self.outbox.flush()
        self._let_pass(now_ms)

    def _let_pass(self, until_ms: int) -> None:
        if until_ms > self.now_ms:
            self.past.time_passes()
            self.now_ms = until_ms

    def after(self, delay_ms: int, action: Action) -> None:
        """Plan an action."""
        self.schedule.at(self.now_ms + delay_ms, action)

    def as_of(
        self, ago_ms: int, account: PaperAccount | None
    ) -> tuple[PaperExchange, PaperAccount | None]:
        """Return the exchange and an account of it as they were, for lists to be read from.

        Further back than what is remembered it is the oldest known state. Its clock is now's.
        """
        past = self.past
        if not past.is_kept or ago_ms <= 0:
            return self, account
        moment = self.now_ms - ago_ms
        shown = copy(self)
        shown.markets = past.markets_at(moment)
        if account is not None:
            account = past.account_at(account, moment, shown.markets)
            shown.accounts = {account.name: account}
        return shown, account

    # the market

    def feed(self, event: FeedEvent) -> None:
        """Let a market move, and everything that follows from it. Unknown symbols are ignored."""
        market = self.markets.get(event.symbol)
        if market is None:
            return
        self.advance(event.ts_ms)
        self.price_moves.move(market, event)

    # commands of clients

    def place(self, account: PaperAccount, request: OrderRequest) -> PaperOrder:
        """Accept an order. Raises RefusalError."""
        market = self.market(request.symbol)
        book = account.book(market.listing)
        book.pair.mark_price = market.mark
        self.past.touch(account)
        return self.order_entry.place(account, market, request)

    def cancel(self, account: PaperAccount, symbol: str, order_id: str, link_id: str) -> PaperOrder:
        """Accept the cancelling of an order. Raises RefusalError."""
        order = self._order(account, symbol, order_id, link_id)
        self.order_entry.cancel(account, self.market(symbol), order)
        return order

    def amend(
        self,
        account: PaperAccount,
        symbol: str,
        order_id: str,
        link_id: str,
        request: AmendRequest,
    ) -> PaperOrder:
        """Accept a change of an order. Raises RefusalError."""
        order = self._order(account, symbol, order_id, link_id)
        self.order_entry.amend(account, self.market(symbol), order, request)
        return order

    def cancel_all(
        self, account: PaperAccount, symbols: Iterable[str], cancel_type: str = "CancelByUser"
    ) -> list[PaperOrder]:
        """Accept the cancelling of all open orders of some symbols; return them."""
        wanted = set(symbols)
        orders = [one for one in account.open_orders.values() if one.symbol in wanted][:500]
        for order in orders:
            if cancel_type == "CancelByUser":
                self.order_entry.cancel(account, self.markets[order.symbol], order)
            else:
                self.order_entry.cancel_now(account, self.markets[order.symbol], order, cancel_type)
        self.outbox.flush()
        return orders

    def _order(self, account: PaperAccount, symbol: str, order_id: str, link_id: str) -> PaperOrder:
        if not order_id and not link_id:
            raise parameter_error("orderId or orderLinkId is required")
        order = account.find_order(order_id, link_id)
        if order is None or order.symbol != symbol:
            raise RefusalError(RetCode.ORDER_NOT_FOUND, "order not exists or too late to cancel")
        return order

    def set_leverage(self, account: PaperAccount, symbol: str, leverage: Decimal) -> None:
        """Set the leverage of both legs. Raises RefusalError."""
        self.options.set_leverage(account, self.market(symbol), leverage)

    def switch_mode(self, account: PaperAccount, symbols: Iterable[str], *, hedge: bool) -> None:
        """Set the position mode of symbols. Raises RefusalError; then nothing has changed."""
        markets = [self.market(symbol) for symbol in symbols]
        self.options.switch_mode(account, markets, hedge=hedge)
        self.past.touch(account)
