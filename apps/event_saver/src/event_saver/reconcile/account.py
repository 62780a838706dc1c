"""Private facts that the stream did not bring, over REST with the account's own keys."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from bybit_adapter import (
    BybitAsyncClient,
    BybitError,
    ExecutionRecord,
    Order,
    OrderKey,
    PagedRows,
    StreamKind,
    TransactionLogEntry,
)
from bybit_adapter.records.normalizer import Record
from event_saver.basics.owner import Owner
from event_saver.writers import WriterSet
from event_saver.writers.records import as_update
from grid_db import ALL_SYMBOLS, DatabaseFactory, GridDbError, TenantScope
from grid_service.threads import in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")
OrderName = tuple[str, str]  # symbol, order id

AHEAD = timedelta(minutes=1)  # the exchange's clock may be before this machine's
# A range that has more is asked for in halves, so that memory holds a part of a long one at a time.
MOST_PAGES = 20
SHORTEST = timedelta(milliseconds=10)  # a range that is not halved any more
MOST_LOOKUPS = 500


@dataclass(frozen=True, slots=True)
class AccountFeed:
    """One account as the reconciler sees it.

    `scope` is the only symbol of a feed that is asked for by it; an account whose symbols have
    runs of their own has a feed for each. Without symbols it is of every contract.
    """

    owner: Owner
    symbols: frozenset[str]
    client: BybitAsyncClient
    scope: str = ALL_SYMBOLS

    @property
    def symbol(self) -> str | None:
        """What REST is asked for: one symbol, or None for all."""
        return None if self.scope == ALL_SYMBOLS else self.scope

    def has(self, symbol: str) -> bool:
        """Tell whether a contract is captured."""
        return not self.symbols or symbol in self.symbols

    @property
    def key(self) -> tuple[str, str]:
        """What tells the feed from others."""
        return (self.owner.account_id, self.scope)


async def _parts(
    ask: Callable[[datetime, datetime], Awaitable[PagedRows[T]]], start: datetime, end: datetime
) -> AsyncIterator[Sequence[T]]:
    """Yield the rows of a range, an answer at a time, some perhaps twice.

    An answer that was cut off does not tell what it lacks (executions come newest first, of orders
    nothing is said), so its range is asked for again in halves.
    """
    listing = await ask(start, end)
    if not listing.is_truncated or end - start <= SHORTEST:
        if listing.is_truncated:
            log.error("more happened from %s to %s than the exchange lists", start, end)
        yield listing.rows
        return
    middle = start + (end - start) / 2
    for half in ((start, middle), (middle, end)):
        async for rows in _parts(ask, *half):
            yield rows


@dataclass(frozen=True, slots=True)
class _Look:
    """Which orders, (symbol, order id), were open when an account was last asked for them."""

    at: datetime
    open_orders: frozenset[OrderName]


def profits_by_trade(entries: Iterable[TransactionLogEntry]) -> dict[str, Decimal | None]:
    """Return the realised profit of each trade in the ledger, USDT, by its execution's id.

    A fee that is paid in another coin may have an entry of its own for the same trade, which has
    no profit.
    """
    return {
        entry.trade_id: entry.cash_flow
        for entry in entries
        if entry.trade_id and entry.currency == "USDT"
    }


class AccountSource:
    """Fetches one account's facts and hands them to the writers, which know the duplicates."""

    def __init__(
        self,
        database: DatabaseFactory,
        writers: WriterSet,
        overlap_s: float,
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._most_pages = most_pages
        self._overlap = timedelta(seconds=overlap_s)
        self._looks: dict[tuple[str, str], _Look] = {}
        self._traded: dict[tuple[str, str], frozenset[str]] = {}
        self._database = database
        self._writers = writers

    async def fetch_executions(self, feed: AccountFeed, start: datetime) -> set[OrderName]:
        """Fetch all executions since `start`; return (symbol, order id) of their orders.

        Raises BybitError.
        """
        begin = start - self._overlap
        orders = set()

        def ask(first: datetime, last: datetime) -> Awaitable[PagedRows[ExecutionRecord]]:
            return feed.client.get_executions_all(
                feed.symbol, start=first, end=last, max_pages=self._most_pages
            )

        async for rows in _parts(ask, begin, max(begin, datetime.now(UTC)) + AHEAD):
            found = [one for one in rows if feed.has(one.symbol)]
            self._touch(feed, found)
            orders |= {(one.symbol, one.order_id) for one in found if one.order_id}
            unknown = await self._not_stored(feed, found)
            self._add(StreamKind.EXECUTION, await self._with_closed_pnl(feed, unknown), feed)
        return orders

    def _touch(self, feed: AccountFeed, executions: Iterable[ExecutionRecord]) -> None:
        if not feed.symbols:
            known = self._traded.get(feed.key, frozenset[str]())
            self._traded[feed.key] = known.union(one.symbol for one in executions)

    async def _not_stored(
        self, feed: AccountFeed, executions: Sequence[ExecutionRecord]
    ) -> Sequence[ExecutionRecord]:
        """Leave out what is stored: most of it, as a rule, and the ledger need not be asked."""

        def look() -> set[str]:
            with self._database.get_session() as session:
                scope = TenantScope(session, feed.owner.user_id)
                ids = [one.exec_id for one in executions]
                return scope.executions.get_known(feed.owner.account_id, ids)

        try:
            known = await in_thread(look)
        except GridDbError:
            return executions  # the writers wait for the database, and it knows duplicates
        return [one for one in executions if one.exec_id not in known]

    async def _with_closed_pnl(
        self, feed: AccountFeed, executions: Sequence[ExecutionRecord]
    ) -> Sequence[ExecutionRecord]:
        """Add the realised profit, which the list of executions leaves out, from the ledger."""
        times = [one.time for one in executions if one.closed_size and one.closed_pnl is None]
        if not times:
            return executions
        try:
            entries = await feed.client.get_transaction_log(
                start=min(times) - self._overlap, end=max(times) + AHEAD, entry_type="TRADE"
            )
        except BybitError:
            return executions  # a figure that reports can do without
        profits = profits_by_trade(entries)
        return [
            replace(one, closed_pnl=profits.get(one.exec_id))
            if one.closed_size and one.closed_pnl is None and one.kind.is_fill
            else one
            for one in executions
        ]

    async def fetch_orders(
        self, feed: AccountFeed, start: datetime, executed: Collection[OrderName] = ()
    ) -> None:
        """Fetch the present state of every order that may have changed since `start`.

        Those that are open, those created since, those that were open at the last look or that the
        database believes open, and those of `executed`. The exchange tells the last state of an
        order only. Raises BybitError and GridDbError.
        """
        now = datetime.now(UTC)
        begin = start - self._overlap
        seen: set[str] = set()

        def add(rows: Iterable[Order]) -> None:
            found = [one for one in rows if feed.has(one.symbol)]
            seen.update(one.order_id for one in found)
            self._add(StreamKind.ORDER, found, feed)

        def ask(first: datetime, last: datetime) -> Awaitable[PagedRows[Order]]:
            return feed.client.get_order_history(
                feed.symbol, start=first, end=last, max_pages=self._most_pages
            )

        listed = await feed.client.get_open_orders(feed.symbol)
        add(listed)
        async for rows in _parts(ask, begin, max(begin, now) + AHEAD):
            add(rows)
        wanted = await in_thread(lambda: self._believed_open(feed))
        unknown = sorted(key for key in wanted.union(executed) if key[1] not in seen)
        if len(unknown) > MOST_LOOKUPS:
            log.warning("%d orders to look up; the rest follows later", len(unknown))
        for symbol, order_id in unknown[:MOST_LOOKUPS]:
            order = await feed.client.find_order(OrderKey(symbol=symbol, order_id=order_id))
            if order is not None:
                add([order])
        still_open = {(one.symbol, one.order_id) for one in listed if feed.has(one.symbol)}
        still_open.update(unknown[MOST_LOOKUPS:])
        self._looks[feed.key] = _Look(now, frozenset(still_open))

    def _believed_open(self, feed: AccountFeed) -> set[OrderName]:
        """Return the orders that have not ended as far as is known here.

        The first time all that is stored is looked at; afterwards what came since the last look.
        """
        account = feed.owner.account_id
        look = self._looks.get(feed.key)
        since = None if look is None else look.at - self._overlap - AHEAD
        with self._database.get_session() as session:
            orders = TenantScope(session, feed.owner.user_id).orders
            found = {
                (one.symbol, one.order_id)
                for symbol in (*sorted(feed.symbols),) or (None,)
                for one in orders.get_open_orders(account, symbol, since)
            }
        return found if look is None else found | look.open_orders

    async def fetch_states(self, feed: AccountFeed) -> None:
        """Read positions and wallet as they are now. Raises BybitError.

        Where all contracts are captured, those that hold something, and those that were traded
        since the last look: a leg that closed meanwhile is told by its own contract only.
        """
        symbols = set(feed.symbols)
        if not symbols:
            held = (await feed.client.get_positions()).rows
            self._add(StreamKind.POSITION, held, feed)
            traded = self._traded.pop(feed.key, frozenset[str]())
            symbols = set(traded.difference(one.symbol for one in held))
        for symbol in sorted(symbols):
            listing = await feed.client.get_positions(symbol)
            self._add(StreamKind.POSITION, listing.rows, feed)
        self._add(StreamKind.WALLET, [await feed.client.get_wallet_balance()], feed)

    async def last_execution(self, feed: AccountFeed) -> datetime | None:
        """Return the time of the newest execution in the database. Raises GridDbError."""

        def look() -> datetime | None:
            with self._database.get_session() as session:
                scope = TenantScope(session, feed.owner.user_id)
                return scope.executions.get_last_execution_ts(feed.owner.account_id)

        return await in_thread(look)

    def _add(self, kind: StreamKind, records: Iterable[Record], feed: AccountFeed) -> None:
        now = datetime.now(UTC)
        writer = {
            StreamKind.EXECUTION: self._writers.executions,
            StreamKind.ORDER: self._writers.orders,
            StreamKind.POSITION: self._writers.positions,
            StreamKind.WALLET: self._writers.wallets,
        }[kind]
        writer.add([as_update(kind, record, now) for record in records], feed.owner)
