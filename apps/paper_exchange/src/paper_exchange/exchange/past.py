"""How accounts and contracts were a while ago, kept while REST lists are to lag.

A state holds for the end of its millisecond. It is taken when time is about to pass, so that all
changes of one millisecond make one state, and it costs nothing while nothing changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol, TypeVar

from exchange_model.account.simulated_account import SimulatedAccount
from gridcore import DirectionType
from paper_exchange.book.account import PaperAccount
from paper_exchange.book.book_state import BookState, restore_book, saved_book
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.orders import ClosedPnl, PaperExecution, PaperOrder
from paper_exchange.market.listing import Listing
from paper_exchange.market.market import Market, PublicTrade


class _Dated(Protocol):
    @property
    def ts_ms(self) -> int: ...


State = TypeVar("State", bound=_Dated)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AccountThen:
    """What an account was. Records that never change again are named by the last of them."""

    ts_ms: int
    settings: PaperAccount  # a shallow copy: only its plain values are used
    deposits: Decimal
    wallet: Decimal
    realised_pnl: Decimal
    fees_paid: Decimal
    funding_paid: Decimal
    books: Mapping[str, tuple[BookState, Decimal]]  # with the margin of its orders, USDT
    open_orders: Mapping[str, PaperOrder]
    last_ended: PaperOrder | None
    last_number: int  # of the exchange's numbers; what came later has a larger one
    unfinished: Mapping[str, ClosedPnl]  # profit of orders that could still fill


@dataclass(frozen=True, slots=True)
class _MarketThen:
    ts_ms: int
    listing: Listing
    mark: Decimal | None


class Past:
    """Keeps history from the moment at which it is asked to. A listener of the exchange then."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        accounts: Mapping[str, PaperAccount],
        clock: Callable[[], int],
        last_number: Callable[[], int],
        outbox: Outbox,
    ) -> None:
        self.is_kept = False
        self._keep_ms = 0
        self._outbox = outbox
        self._markets = markets
        self._accounts = accounts
        self._clock = clock
        self._last_number = last_number
        self._touched: dict[str, PaperAccount] = {}
        self._accounts_then: dict[str, deque[_AccountThen]] = {}
        self._markets_then: dict[str, deque[_MarketThen]] = {}

    def remember(self, keep_ms: int) -> None:
        """Keep how everything was, at least `keep_ms` back, from now on."""
        self._keep_ms = max(self._keep_ms, keep_ms)
        if self.is_kept:
            return
        self.is_kept = True
        self._outbox.listeners.append(self)
        for market in self._markets.values():
            self.on_market(market)
        for account in self._accounts.values():
            self._take(account)

    def forget(self) -> None:
        """Keep nothing any more."""
        # a new list: this may happen while the old one is gone through
        self._outbox.listeners = [one for one in self._outbox.listeners if one is not self]
        self.is_kept, self._keep_ms = False, 0
        for kept in (self._touched, self._accounts_then, self._markets_then):
            kept.clear()

    # what changes

    def touch(self, account: PaperAccount) -> None:
        """Take note that an account changes in this millisecond, also where no listener is told."""
        if self.is_kept:
            self._touched[account.name] = account

    def time_passes(self) -> None:
        """Keep how everything is at the end of this millisecond."""
        if self._touched:
            touched, self._touched = self._touched, {}
            for account in touched.values():
                self._take(account)

    def on_order(self, account: PaperAccount, order: PaperOrder) -> None:
        self.touch(account)

    def on_execution(self, account: PaperAccount, execution: PaperExecution) -> None:
        self.touch(account)

    def on_position(
        self, account: PaperAccount, symbol: str, legs: tuple[DirectionType, ...]
    ) -> None:
        self.touch(account)

    def on_wallet(self, account: PaperAccount) -> None:
        self.touch(account)

    def on_trade(self, market: Market, trade: PublicTrade) -> None:
        pass

    def on_market(self, market: Market) -> None:
        states = self._markets_then.setdefault(market.symbol, deque())
        if states and states[-1].listing is market.listing and states[-1].mark == market.mark:
            return
        self._add(states, _MarketThen(self._clock(), market.listing, market.mark))

    def _take(self, account: PaperAccount) -> None:
        money = account.money
        settings = copy(account)
        settings.mnt = replace(account.mnt)
        self._add(
            self._accounts_then.setdefault(account.name, deque()),
            _AccountThen(
                ts_ms=self._clock(),
                settings=settings,
                deposits=money.deposits,
                wallet=money.wallet,
                realised_pnl=money.realised_pnl,
                fees_paid=money.fees_paid,
                funding_paid=money.funding_paid,
                books={
                    symbol: (saved_book(book), book.pair.order_margin)
                    for symbol, book in account.books.items()
                },
                open_orders={one.order_id: copy(one) for one in account.open_orders.values()},
                last_ended=account.closed_orders[-1] if account.closed_orders else None,
                last_number=self._last_number(),
                unfinished={
                    order_id: copy(account.closed_pnl[order_id])
                    for order_id in account.open_orders
                    if order_id in account.closed_pnl
                },
            ),
        )

    def _add(self, states: deque[State], state: State) -> None:
        if states and states[-1].ts_ms == state.ts_ms:
            states.pop()
        states.append(state)
        oldest = state.ts_ms - self._keep_ms
        while len(states) > 1 and states[1].ts_ms <= oldest:
            states.popleft()

    # what was

    def markets_at(self, ts_ms: int) -> dict[str, Market]:
        """Return the markets with the rules and the mark prices of a moment; the rest is now's."""
        found: dict[str, Market] = {}
        for symbol, market in self._markets.items():
            then = _at(self._markets_then[symbol], ts_ms)
            found[symbol] = copy(market)
            found[symbol].listing, found[symbol].mark = then.listing, then.mark
        return found

    def account_at(
        self, account: PaperAccount, ts_ms: int, markets: Mapping[str, Market]
    ) -> PaperAccount:
        """Return an account as it was, valued in the markets of `markets_at`, for reading only."""
        then = _at(self._accounts_then[account.name], ts_ms)
        shown = copy(then.settings)
        money = shown.money = SimulatedAccount(then.deposits, account.money.fees)
        money.wallet, money.realised_pnl = then.wallet, then.realised_pnl
        money.fees_paid, money.funding_paid = then.fees_paid, then.funding_paid
        shown.books = {}
        for symbol, (state, order_margin) in then.books.items():
            book = shown.book(markets[symbol].listing)
            restore_book(book, state)
            book.pair.order_margin, book.pair.mark_price = order_margin, markets[symbol].mark
        money.version += 1
        ended = _until(account.closed_orders, then.last_ended)
        shown.closed_orders = deque(ended)
        shown.closed_by_id = {one.order_id: one for one in ended}
        shown.open_orders = dict(then.open_orders)
        shown.by_link = {one.link_id: one for one in (*ended, *then.open_orders.values())}
        last = then.last_number
        shown.executions = deque(one for one in account.executions if one.number <= last)
        shown.ledger = deque(one for one in account.ledger if one.number <= last)
        shown.closed_pnl = {
            order_id: then.unfinished.get(order_id, row)
            for order_id, row in account.closed_pnl.items()
            if row.number <= last
        }
        return shown


def _at(states: deque[State], ts_ms: int) -> State:
    """Return the last state that is not younger than a moment; the oldest one when all are."""
    return next((one for one in reversed(states) if one.ts_ms <= ts_ms), states[0])


def _until(orders: deque[PaperOrder], last: PaperOrder | None) -> list[PaperOrder]:
    """Return the orders up to one of them, oldest first; none when it is not there (any more)."""
    found = list(orders)
    while found and found[-1] is not last:
        found.pop()
    return found
