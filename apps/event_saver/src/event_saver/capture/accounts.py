"""Accounts that are captured: a connection, a REST client and an audit for each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from bybit_adapter import BybitAsyncClient, BybitRestClient, RateLimiter, StreamTiming
from event_saver.accounts.contexts import AccountContext
from event_saver.capture.closings import Closings
from event_saver.capture.connections import CaptureConnections
from event_saver.collectors import PrivateCollector
from event_saver.collectors.progress import Progress
from event_saver.reconcile.account import AccountFeed
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from event_saver.writers import WriterSet


class AccountCapture:
    """Begins and ends accounts, one thing at a time with each. On the event loop.

    `wanted` has those that are to be captured, by id; one that is not there is not begun.
    """

    def __init__(
        self,
        wanted: Mapping[str, AccountContext],
        writers: WriterSet,
        progress: Progress,
        reconciler: GapReconciler,
        closings: Closings,
        connections: CaptureConnections,
        timing: StreamTiming | None,
        audit_interval: timedelta,
    ) -> None:
        self._wanted = wanted
        self._writers = writers
        self._progress = progress
        self._reconciler = reconciler
        self._closings = closings
        self._connections = connections
        self._timing = timing
        self._audit_interval = audit_interval
        self._begun: dict[str, AccountContext] = {}
        self._feeds: dict[str, AccountFeed] = {}
        self._audited: dict[str, datetime] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @property
    def feeds(self) -> tuple[AccountFeed, ...]:
        """Those that are captured, as the reconciler sees them."""
        return tuple(self._feeds.values())

    async def begin(self, context: AccountContext) -> None:
        """Connect, and fetch what was missed; nothing where that is so, or wanted no more."""
        name = str(context.account_id)
        async with self._turn(name):
            if self._wanted.get(name) is context and name not in self._begun:
                self._begun[name] = context
                await self._begin(name, context)

    async def _begin(self, name: str, context: AccountContext) -> None:
        limiter = RateLimiter()
        rest = BybitRestClient(context.api_key, context.api_secret, context.place, limiter=limiter)
        feed = AccountFeed(context.owner, frozenset(context.symbols), BybitAsyncClient(rest))
        self._feeds[name] = feed

        async def close(stretch: Stretch) -> None:
            await self._reconciler.close_account(feed, stretch)

        collector = PrivateCollector(
            context,
            self._writers,
            self._progress,
            on_gap=lambda lost, back: self._closings.gap(collector, close, lost, back),
            on_doubt=lambda: self._closings.doubt_account(feed),
            timing=self._timing,
        )
        await self._connections.begin(name, collector, close)

    async def end(self, context: AccountContext) -> None:
        """Disconnect, and note how far it was captured; nothing where it was not."""
        name = str(context.account_id)
        async with self._turn(name):
            if self._begun.get(name) is not context:
                return
            del self._begun[name]
            feed = self._feeds.pop(name, None)
            await self._connections.end(name)
            if feed is not None:
                feed.client.close()

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    async def audit(self) -> None:
        """Ask again for what the streams should have brought."""
        for name, feed in tuple(self._feeds.items()):
            now = datetime.now(UTC)
            # one that failed is made up for by the next that does not
            since = min(now, self._audited.setdefault(name, now - self._audit_interval))
            if await self._reconciler.audit_account(feed, since - self._audit_interval):
                self._audited[name] = now

    def close(self) -> None:
        """Close the clients."""
        for feed in self._feeds.values():
            feed.client.close()
        self._feeds.clear()
