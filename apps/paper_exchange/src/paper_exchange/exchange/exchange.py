"""The exchange without sockets and without a clock: markets, accounts, one order of events.

Time is what `advance` and the feed say. The same calls make the same exchange, to the last byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from decimal import Decimal
from functools import partial

from exchange_model.fills.fill_simulator import FillModel, MarketTrade
from exchange_model.fills.registry import FillPlace
from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from gridcore import DirectionType, SideType
from gridcore.sides import TAKER_BUY, TAKER_SELL
from paper_exchange.basics.ids import Ids
from paper_exchange.basics.schedule import Action, Schedule
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.basics.wire import plain
from paper_exchange.book.account import LEGS, ApiKey, PaperAccount
from paper_exchange.book.account_options import AccountOptions
from paper_exchange.book.booking import Booking
from paper_exchange.book.listeners import Listener, Outbox
from paper_exchange.book.order_checks import check_trading
from paper_exchange.book.order_entry import OrderEntry
from paper_exchange.book.order_request import AmendRequest, OrderRequest
from paper_exchange.book.orders import PaperOrder
from paper_exchange.book.takeover import TakeOver
from paper_exchange.exchange.contract_life import ContractLife
from paper_exchange.exchange.past import Past
from paper_exchange.exchange.rule_change import RuleChange
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade, Market


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
        self.booking = Booking(self.ids)
        self._models = {symbol: self._fill_model(market) for symbol, market in self.markets.items()}
        self._keys = {key: account for account in self.accounts.values() for key in account.keys}
        self.desk = OrderEntry(
            self.settings, self._models, self.schedule, self._clock, self.ids, self.booking,
            self.outbox,
        )  # fmt: skip
        self.take_over = TakeOver(
            self.markets, self.desk, self._clock, self.ids, self.booking, self.outbox
        )
        self.options = AccountOptions(self._clock, self.outbox)
        self.life = ContractLife(
            self.markets, self.accounts, self.desk, self.take_over, self.schedule, self._clock,
            self.outbox,
        )  # fmt: skip
        self._past: Past | None = None
        for market in self.markets.values():
            self._plan_funding(market)

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
            if self._past is not None:
                self._past.time_passes()
            self.now_ms = until_ms

    def after(self, delay_ms: int, action: Action) -> None:
        """Plan an action."""
        self.schedule.at(self.now_ms + delay_ms, action)

    # the past

    def remember(self, keep_ms: int) -> None:
        """Keep how everything was, at least `keep_ms` back, from now on."""
        if self._past is None:
            self._past = Past(
                self.markets, self.accounts, self._clock, lambda: self.ids.last, keep_ms
            )
            self.listen(self._past)
        self._past.keep_ms = max(self._past.keep_ms, keep_ms)

    def forget(self) -> None:
        """Keep nothing of the past any more."""
        if self._past is not None:
            # a new list: this may happen while the old one is gone through
            self.outbox.listeners = [one for one in self.outbox.listeners if one is not self._past]
            self._past = None

    def touch(self, account: PaperAccount) -> None:
        """Take note that something of an account changes that no listener is told."""
        if self._past is not None:
            self._past.touch(account)

    def as_of(
        self, ago_ms: int, account: PaperAccount | None
    ) -> tuple[PaperExchange, PaperAccount | None]:
        """Return the exchange and an account of it as they were, for lists to be read from.

        Further back than what is remembered it is the oldest known state. Its clock is now's.
        """
        past = self._past
        if past is None or ago_ms <= 0:
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
        stopped = market.stopped
        if stopped is not None:
            if not stopped.prices_move:
                return
            if isinstance(event, FeedTrade):
                # nobody trades, but there is a price
                event = FeedQuote(symbol=event.symbol, ts_ms=event.ts_ms, last_price=event.price)
        if isinstance(event, FeedTrade):
            trade = market.apply_trade(event)
            self.outbox.trade(market, trade)
            side = TAKER_BUY if trade.side is SideType.BUY else TAKER_SELL
            self._fill_resting(market, MarketTrade(trade.ticks, side, trade.qty, trade.seq))
        else:
            market.apply_quote(event)
        self._mark(market)
        self.outbox.market(market)
        self.outbox.flush()

    def _fill_resting(self, market: Market, trade: MarketTrade) -> None:
        model = self._models[market.symbol]
        for account in self.accounts.values():
            book = account.books.get(market.symbol)
            if book is None or not len(book.orders):
                continue
            low, high = model.quiet_range(book.orders)
            if low <= trade.price_ticks <= high:
                continue
            for order, qty in model.fills(book.orders, trade):
                self.desk.fill_resting(account, market, order, qty)

    def _mark(self, market: Market) -> None:
        """Value all legs at the mark price, and take over those of accounts that it ruins."""
        mark = market.mark
        for account in self.accounts.values():
            book = account.books.get(market.symbol)
            if book is None:
                continue
            book.pair.mark_price = mark
            if book.pair.is_open and self.take_over.must_liquidate(account, market):
                self.take_over.liquidate(account)

    def _plan_funding(self, market: Market) -> None:
        if market.status in (ContractStatus.DELIVERING, ContractStatus.CLOSED):
            return
        market.set_next_funding(self.now_ms)
        if self.settings.funding and market.next_funding_ms is not None:
            self.schedule.at(market.next_funding_ms, partial(self._settle_funding, market))

    def _settle_funding(self, market: Market) -> None:
        if market.status != ContractStatus.TRADING:
            self._plan_funding(market)
            return
        market.settled.append((self.now_ms, plain(market.funding_rate)))
        if market.mark is not None and market.funding_rate:
            for account in self.accounts.values():
                self._settle_account(account, market)
        self._plan_funding(market)
        self.outbox.market(market)

    def _settle_account(self, account: PaperAccount, market: Market) -> None:
        book = account.books.get(market.symbol)
        if book is None or not book.pair.is_open:
            return
        for direction in LEGS:
            if book.pair.leg(direction).size:
                execution = self.booking.funding(
                    account, market, direction, market.funding_rate, self.now_ms
                )
                self.outbox.execution(account, execution)
                self.outbox.position(account, market.symbol, direction)
        self.outbox.wallet(account)
        if self.take_over.must_liquidate(account, market):
            self.take_over.liquidate(account)

    # commands of clients

    def place(self, account: PaperAccount, request: OrderRequest) -> PaperOrder:
        """Accept an order. Raises RefusalError."""
        market = self.market(request.symbol)
        book = account.book(market.listing)
        book.pair.mark_price = market.mark
        self.touch(account)
        return self.desk.place(account, market, request)

    def cancel(self, account: PaperAccount, symbol: str, order_id: str, link_id: str) -> PaperOrder:
        """Accept the cancelling of an order. Raises RefusalError."""
        order = self._order(account, symbol, order_id, link_id)
        self.desk.cancel(account, self.market(symbol), order)
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
        self.desk.amend(account, self.market(symbol), order, request)
        return order

    def cancel_all(
        self, account: PaperAccount, symbols: Iterable[str], cancel_type: str = "CancelByUser"
    ) -> list[PaperOrder]:
        """Accept the cancelling of all open orders of some symbols; return them."""
        wanted = set(symbols)
        orders = [one for one in account.open_orders.values() if one.symbol in wanted][:500]
        for order in orders:
            if cancel_type == "CancelByUser":
                self.desk.cancel(account, self.markets[order.symbol], order)
            else:
                self.desk.cancel_now(account, self.markets[order.symbol], order, cancel_type)
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
        self.touch(account)

    def close_by_hand(
        self, account: PaperAccount, symbol: str, direction: DirectionType, qty: Decimal | None
    ) -> PaperOrder:
        """Close a leg, or `qty` (base coin) of it, as a person does. Raises RefusalError."""
        market = self.market(symbol)
        check_trading(market)
        size = account.book(market.listing).pair.leg(direction).size
        wanted = size if qty is None else qty
        if not size or wanted > size:
            raise parameter_error(f"the {direction} leg of {symbol} holds {size}, not {wanted}")
        if wanted != size and wanted % market.listing.instrument.qty_step:
            step = market.listing.instrument.qty_step
            raise parameter_error(f"qty {wanted} is no multiple of the qty step {step}")
        order = self.take_over.close_by_hand(account, market, direction, wanted)
        self.outbox.flush()
        return order

    # what only the exchange can do

    def deposit(self, account: PaperAccount, amount: Decimal, coin: str = "USDT") -> None:
        """Put USDT or MNT into a wallet, or take it out when negative. Raises RefusalError."""
        if coin == "MNT" and account.mnt.balance + amount < 0:
            raise parameter_error(f"there are {account.mnt.balance} MNT, not {-amount}")
        self.booking.transfer(account, amount, self.now_ms, coin=coin)
        self.outbox.wallet(account)
        self.outbox.flush()

    def pay_fees_in(self, account: PaperAccount, coin: str, price: Decimal | None) -> None:
        """Let fees be paid in USDT, or in MNT at a price in USDT (None: as before)."""
        account.mnt.pays_fees = coin == "MNT"
        account.mnt.price = price or account.mnt.price
        self.outbox.wallet(account)
        self.outbox.flush()

    def change_rules(self, symbol: str, change: RuleChange) -> None:
        """Change rules of a contract; orders on the book stay as they are. Raises RefusalError."""
        market = self.market(symbol)
        tick_size = market.listing.instrument.tick_size
        market.use(change.applied_to(market.listing))
        self.rules_changed(market)
        if market.listing.instrument.tick_size != tick_size:
            self.desk.retick(tuple(self.accounts.values()), market)
        self.outbox.market(market)
        self.outbox.flush()

    def _fill_model(self, market: Market) -> FillModel:
        step = market.listing.instrument.qty_step
        return self.settings.fills.fill_model_at(
            FillPlace(qty_step=step, visible=market.visible_at)
        )

    def rules_changed(self, market: Market) -> None:
        """Bring up what is made of the rules of a contract: fill model, tiers of the legs."""
        self._models[market.symbol] = self._fill_model(market)
        for account in self.accounts.values():
            book = account.books.get(market.symbol)
            if book is not None:
                book.pair.tiers = market.listing.tiers
                book.pair.changed()
                account.money.version += 1

    def change_tick_size(self, symbol: str, tick_size: Decimal) -> None:
        """Change a contract's tick size. Raises RefusalError."""
        self.change_rules(symbol, RuleChange(tick_size=tick_size))

    def halt(self, symbol: str, *, halted: bool) -> None:
        """Stop trading in a symbol, or let it go on. Raises RefusalError."""
        market = self.market(symbol)
        if halted:
            self.life.halt(market, RetCode.TRADING_NOT_ALLOWED, tickers=False)
        else:
            self.life.resume(market)

    def liquidate(self, account: PaperAccount) -> None:
        """Liquidate an account that need not be."""
        self.take_over.liquidate(account)
        self.outbox.flush()

    def reduce_by_liquidation(
        self, account: PaperAccount, ratio: Decimal, symbol: str = "", direction: str = ""
    ) -> Decimal:
        """Reduce legs as a liquidation begins: all, or those of a symbol, of a direction.

        Returns what was closed in base coin. Raises RefusalError when they hold nothing.
        """
        chosen = [self.market(symbol)] if symbol else list(self.markets.values())
        legs = [
            (market.symbol, leg)
            for market in chosen
            if market.symbol in account.books
            for leg in LEGS
            if direction in ("", leg.value)
            and account.books[market.symbol].pair.leg(leg).size
            and self.take_over.quote(market, leg)
        ]
        if not legs:
            raise parameter_error(f"{account.name} holds nothing that could be reduced")
        closed = self.take_over.reduce(account, legs, ratio)
        self.outbox.flush()
        return closed

    def deleverage(
        self, account: PaperAccount, symbol: str, direction: str, qty: Decimal
    ) -> Decimal:
        """Close a part of a leg (`long` or `short`) by auto-deleveraging; return how much."""
        market = self.market(symbol)
        leg = next((one for one in LEGS if one.value == direction), None)
        if leg is None:
            raise parameter_error(f"direction {direction[:10]!r}; it is long or short")
        closed = self.take_over.deleverage(account, market, leg, qty)
        self.outbox.flush()
        return closed
