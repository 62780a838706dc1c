"""Funding: when it is due, and what it takes from a leg and gives to one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from paper_exchange.basics.schedule import Schedule
from paper_exchange.basics.wire import plain
from paper_exchange.book.account import LEGS, PaperAccount
from paper_exchange.book.booking import Bookkeeper
from paper_exchange.book.listeners import Outbox
from paper_exchange.book.takeover import TakeOver
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import Market

MIN_MS = 60_000


class FundingSettlement:
    """Settles the markets of an exchange, each at its own interval."""

    def __init__(
        self,
        accounts: Mapping[str, PaperAccount],
        take_over: TakeOver,
        schedule: Schedule,
        clock: Callable[[], int],
        booking: Bookkeeper,
        outbox: Outbox,
        *,
        is_settled: bool,
    ) -> None:
        self._accounts = accounts
        self._take_over = take_over
        self._schedule = schedule
        self._clock = clock
        self._booking = booking
        self._outbox = outbox
        self._is_settled = is_settled  # False publishes rates that nobody pays

    def plan(self, market: Market) -> None:
        """Let the next settlement fall due at the next whole interval, counted from midnight."""
        if market.status in (ContractStatus.DELIVERING, ContractStatus.CLOSED):
            return
        now_ms, interval = self._clock(), market.listing.funding_interval_min * MIN_MS
        market.next_funding_ms = now_ms - now_ms % interval + interval
        if self._is_settled:
            self._schedule.at(market.next_funding_ms, partial(self._settle, market))

    def _settle(self, market: Market) -> None:
        if market.status != ContractStatus.TRADING:
            self.plan(market)
            return
        market.settled.append((self._clock(), plain(market.funding_rate)))
        if market.mark is not None and market.funding_rate:
            for account in self._accounts.values():
                self._settle_account(account, market)
        self.plan(market)
        self._outbox.market(market)

    def _settle_account(self, account: PaperAccount, market: Market) -> None:
        book = account.books.get(market.symbol)
        if book is None or not book.pair.is_open:
            return
        for direction in LEGS:
            if book.pair.leg(direction).size:
                execution = self._booking.funding(
                    account, market, direction, market.funding_rate, self._clock()
                )
                self._outbox.execution(account, execution)
                self._outbox.position(account, market.symbol, direction)
        self._outbox.wallet(account)
        if self._take_over.must_liquidate(account, market):
            self._take_over.liquidate(account)
