"""Closes gaps: fetches what is missing, and writes down what stays missing.

A stretch that REST gives in full leaves no trace. What it cannot give stands in the gap ledger
with times and reason: as open while there is something left to try (an exchange that does not
answer, a daily file that is not there yet), as missing when no source has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bybit_adapter import BybitError
from event_saver.reconcile.account import AccountFeed, AccountSource
from event_saver.reconcile.archive import ArchiveError, NotPublishedError
from event_saver.reconcile.market import MissingTrades, TradeSource
from event_saver.writers import WriteLoop, WriterSet
from event_saver.writers.ledger import (
    STATES,
    WHY_LOST,
    OpenGap,
    find_open,
    gap_record,
    note_attempt,
)
from grid_db import (
    ALL_SYMBOLS,
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    GapStatus,
    GridDbError,
)
from grid_service.threads import in_thread

log = logging.getLogger(__name__)

ARCHIVE_PATIENCE = timedelta(days=10)
T = TypeVar("T")
_TROUBLE = (BybitError, GridDbError, ArchiveError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestPatience:
    """How long to wait for REST, in seconds.

    settle_s: after a connection, because REST may lag behind the stream, and because the stream's
    own rows, which say more, are to come first. pauses_s: between attempts. overlap_s: how much
    earlier than necessary an account is asked for, because clocks differ.
    """

    settle_s: float = 1.5
    pauses_s: tuple[float, ...] = (1.0, 4.0, 15.0)
    overlap_s: float = 10.0


Patience = RestPatience  # its former name


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when until when something was not received, and what happened."""

    start: datetime
    end: datetime
    cause: str  # disconnected, restarted ...

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start


class GapReconciler:
    """Works on one gap of each source at a time; sources do not wait for each other.

    `threshold_s`: a shorter hole of a stream of states is not noted.
    """

    def __init__(
        self,
        database: DatabaseFactory,
        writers: WriterSet,
        loop: WriteLoop,
        trades: TradeSource,
        *,
        threshold_s: float = 5.0,
        patience: RestPatience | None = None,
    ) -> None:
        self._database = database
        self._writers = writers
        self._write_loop = loop
        self._trades = trades
        self._threshold = timedelta(seconds=threshold_s)
        self._patience = patience or RestPatience()
        self._accounts = AccountSource(database, writers, self._patience.overlap_s)
        self._locks: dict[str, asyncio.Lock] = {}
        self.closed = 0  # stretches that were fetched in full
        self.noted = 0  # entries of the ledger
        self.open_gaps: list[OpenGap] = []  # as of the last look

    # market data

    async def close_market(self, known: Mapping[str, datetime], stretch: Stretch) -> None:
        """Fetch the trades of a stretch and note what is lost; returns when that is safe.

        known has, by symbol, the exchange's time of the last trade that is certain to be there.
        """
        await asyncio.sleep(self._patience.settle_s)
        for symbol, last in known.items():
            async with self._lock(symbol):
                await self._close_trades(symbol, last, stretch)
                self._note_state(CaptureStream.TICKERS, symbol, None, None, stretch)
        await self._safe()

    async def _close_trades(self, symbol: str, known: datetime, stretch: Stretch) -> None:
        async def fetch() -> MissingTrades | None:
            return await self._trades.fetch_recent(symbol, known, stretch.end)

        missing, trouble = await self._tried(fetch)
        if trouble is not None:
            missing = MissingTrades(known, stretch.end, trouble)
        if missing is None:
            self.closed += 1
            return
        is_final = trouble is None and not self._trades.has_archive
        reason = f"{stretch.cause}; {missing.reason}"
        record = gap_record(
            CaptureStream.TRADES,
            symbol,
            None,
            missing.start,
            missing.end,
            reason,
            is_final=is_final,
        )
        self._writers.gaps.note(record, None)
        self.noted += 1
        log.warning("trades of %s from %s to %s: %s", symbol, missing.start, missing.end, reason)

    # accounts

    async def close_account(self, feed: AccountFeed, stretch: Stretch) -> None:
        """Fetch what an account did in a stretch, and how it stands; returns when that is safe."""
        await asyncio.sleep(self._patience.settle_s)
        owner = feed.owner
        async with self._lock(owner.account_id):
            if owner.run_id is not None:
                _, trouble = await self._tried(lambda: self._fetch_since(feed, stretch.start))
                self._note_trouble(feed, stretch, trouble)
            _, trouble = await self._tried(lambda: self._accounts.fetch_states(feed))
            if trouble is not None:
                log.warning("account %s: %s", owner.account_id, trouble)
            for stream in (CaptureStream.POSITIONS, CaptureStream.WALLET):
                symbol = ALL_SYMBOLS if stream is CaptureStream.WALLET else feed.scope
                self._note_state(stream, symbol, owner.account_id, owner.user_id, stretch)
        await self._safe()

    async def audit_account(self, feed: AccountFeed, since: datetime) -> bool:
        """Ask again for what the stream should have brought; False where that failed.

        The next time has to begin at the same moment then.
        """
        if feed.owner.run_id is None:
            return True
        async with self._lock(feed.owner.account_id):
            try:
                await self._fetch_run(feed, since)
            except _TROUBLE as error:
                log.warning("account %s was not audited: %s", feed.owner.account_id, error)
                return False
        return True

    async def _fetch_since(self, feed: AccountFeed, start: datetime) -> None:
        # an earlier process may have left less than it says: its newest row counts too
        last = await self._accounts.last_execution(feed)
        await self._fetch_run(feed, start if last is None else min(start, last))

    async def _fetch_run(self, feed: AccountFeed, start: datetime) -> None:
        executed = await self._accounts.fetch_executions(feed, start)
        await self._accounts.fetch_orders(feed, start, executed)

    def _note_trouble(self, feed: AccountFeed, stretch: Stretch, trouble: str | None) -> None:
        if trouble is None:
            self.closed += 1
            return
        for stream in (CaptureStream.EXECUTIONS, CaptureStream.ORDERS):
            record = gap_record(
                stream,
                feed.scope,
                feed.owner.account_id,
                stretch.start,
                stretch.end,
                f"{stretch.cause}; {trouble}",
                is_final=False,
            )
            self._writers.gaps.note(record, feed.owner.user_id)
            self.noted += 1
        log.error("account %s: %s", feed.owner.account_id, trouble)

    # both

    def _note_state(
        self,
        stream: CaptureStream,
        symbol: str,
        account_id: str | None,
        user_id: str | None,
        stretch: Stretch,
    ) -> None:
        if stretch.length <= self._threshold:
            return
        reason = f"{stretch.cause}; {WHY_LOST[stream]}"
        self._writers.gaps.note(
            gap_record(
                stream, symbol, account_id, stretch.start, stretch.end, reason, is_final=True
            ),
            user_id,
        )
        self.noted += 1

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> tuple[T | None, str | None]:
        """Return the result of work, or the trouble that was left after some attempts."""
        for pause in (*self._patience.pauses_s, None):
            try:
                return await work(), None
            except _TROUBLE as error:
                if pause is None:
                    return None, str(error)
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns")

    async def _safe(self) -> None:
        """Wait until a crash cannot take what was fetched and noted."""
        while not await self._write_loop.durable():
            log.warning("rows have been waiting for a minute to be written")

    def _lock(self, source: str) -> asyncio.Lock:
        return self._locks.setdefault(source, asyncio.Lock())

    # what is left

    async def retry(
        self,
        feeds: Iterable[AccountFeed],
        *,
        force: bool = False,
        symbols: frozenset[str] | None = None,
    ) -> int:
        """Try again what the ledger has as open; return how many gaps were filled.

        Only those that are due, unless forced; of market data only those of `symbols`, where they
        are named. Raises GridDbError.
        """
        known = tuple(feeds)
        users = {feed.owner.user_id for feed in known}
        found = await in_thread(lambda: find_open(self._database, users))
        self.open_gaps = [
            one
            for one in found
            if symbols is None or one.user_id is not None or one.gap.symbol in symbols
        ]
        now = datetime.now(UTC)
        filled = 0
        for one in self.open_gaps:
            if not force and not one.is_due(now):
                continue
            status, reason = await self._retry_one(one, known)
            await self._safe()
            await in_thread(
                lambda one=one, status=status, reason=reason: note_attempt(  # type: ignore[misc]  # bound defaults
                    self._database, one, status, reason, datetime.now(UTC)
                )
            )
            filled += status is GapStatus.FILLED
        return filled

    async def _retry_one(self, one: OpenGap, feeds: Sequence[AccountFeed]) -> tuple[GapStatus, str]:
        gap = one.gap
        try:
            if gap.stream is CaptureStream.TRADES:
                return await self._retry_trades(one)
            mine = [feed for feed in feeds if _is_of(gap, feed)]
            if gap.stream in STATES or not mine:
                return gap.status, gap.reason
            for feed in mine:
                async with self._lock(feed.owner.account_id):
                    executed = await self._accounts.fetch_executions(feed, gap.gap_start)
                    if gap.stream is CaptureStream.ORDERS:
                        await self._accounts.fetch_orders(feed, gap.gap_start, executed)
        except _TROUBLE as error:
            return gap.status, f"{gap.reason.partition('; ')[0]}; {error}"
        return GapStatus.FILLED, f"{gap.reason.partition('; ')[0]}; fetched later"

    async def _retry_trades(self, one: OpenGap) -> tuple[GapStatus, str]:
        gap, cause = one.gap, one.gap.reason.partition("; ")[0]
        missing = await self._trades.fetch_recent(gap.symbol, gap.gap_start, gap.gap_end)
        if missing is None:
            return GapStatus.FILLED, f"{cause}; fetched later"
        if not self._trades.has_archive:
            return GapStatus.MISSING, f"{cause}; {missing.reason}"
        try:
            count = await self._trades.fetch_archive(gap.symbol, gap.gap_start, gap.gap_end)
        except NotPublishedError as error:
            if datetime.now(UTC) - gap.gap_end > ARCHIVE_PATIENCE:
                return GapStatus.MISSING, f"{cause}; {error}"
            return GapStatus.OPEN, f"{cause}; {error}"
        return GapStatus.FILLED, f"{cause}; {count} trades from the archive"


def _is_of(gap: CaptureGapRecord, feed: AccountFeed) -> bool:
    """Tell whether a feed can fill a gap, or its part of one."""
    return feed.owner.account_id == gap.account_id and (
        gap.symbol == ALL_SYMBOLS or feed.has(gap.symbol)
    )
