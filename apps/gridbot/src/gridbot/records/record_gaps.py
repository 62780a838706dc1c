"""What the record would lack without anybody knowing: found, fetched, or written down as a gap.

The same means as the capture daemon's: a file that says until when each stream is complete, the
reconciler that fetches over REST what a break or an end of the process left out, and the ledger
of what stays missing. Trading does not wait for any of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bybit_adapter import BybitAsyncClient, BybitRestClient, StreamKind, StreamUpdate
from bybit_adapter import Environment as Place
from event_saver.basics.owner import Owner
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.reconcile.account import AccountFeed
from event_saver.reconcile.market import TradeSource
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from event_saver.settings.config import PUBLIC_ARCHIVE
from event_saver.spool.spans import StreamOf, account_streams
from event_saver.writers import WriteLoop, WriterSet
from grid_db import CaptureStream, DatabaseFactory, GridDbError
from grid_service.tasks import TaskSet
from gridbot.ports import OpenPrivate, OpenPublic, Rest, Stream, StreamCallbacks

log = logging.getLogger(__name__)

KEEP_S = 5.0
RETRY_S = 60.0
AUDIT_S = 600.0
# Between the last sign of life of a connection and what is sure to have reached the writers.
MARGIN = timedelta(seconds=5)
_POLL_S = 0.2
_PRIVATE = (
    CaptureStream.EXECUTIONS, CaptureStream.ORDERS, CaptureStream.POSITIONS, CaptureStream.WALLET,
)  # fmt: skip

Close = Callable[[Stretch], Coroutine[Any, Any, None]]


class _Connection:
    """One stream that is recorded. Callbacks come on the stream's threads."""

    def __init__(self, name: str, keys: Iterable[StreamKey], gaps: RecordGaps) -> None:
        self.name = name
        self.keys = tuple(keys)
        self.stream: Stream | None = None
        self.waiting: set[int] = set()  # private updates that have not reached the recorder
        self._gaps = gaps
        gaps.progress.hold(self.keys)

    def lost(self, at: datetime) -> None:
        """Hold the streams where they are, on disk before the connection is back."""
        self._gaps.progress.hold(self.keys)
        self._gaps.progress.save()

    def back(self, lost_at: datetime, back_at: datetime) -> None:
        """Look at a break."""
        self._gaps.close_soon(self, Stretch(lost_at, back_at, "disconnected"))

    def is_alive(self) -> bool:
        """Tell whether the stream is there and its subscriptions are in force."""
        return self.stream is not None and self.stream.get_connection_state().is_alive

    def complete_until(self) -> datetime | None:
        """Return until when all that was sent has reached the writers, None while broken."""
        state = None if self.stream is None else self.stream.get_connection_state()
        if state is None or not state.is_alive or state.traffic_age_s is None or self.waiting:
            return None
        return datetime.now(UTC) - timedelta(seconds=state.traffic_age_s) - MARGIN

    async def close(self, stretch: Stretch) -> None:
        """Fetch what a stretch lacks, and note what is lost; returns when that is safe."""
        raise NotImplementedError


class _AccountConnection(_Connection):
    """The private stream of an account."""

    def __init__(self, name: str, account_id: str, rest: Rest, gaps: RecordGaps) -> None:
        super().__init__(name, [StreamKey(one, account_id=account_id) for one in _PRIVATE], gaps)
        self.rest: Any = rest
        self.reconciler: GapReconciler | None = None

    def feeds(self) -> list[AccountFeed]:
        """Return the account once for each of its symbols: each has a run of its own."""
        return [
            AccountFeed(owner, frozenset({symbol}), self.rest, scope=symbol)
            for symbol, owner in self._gaps.owners_of(self.name)
        ]

    async def close(self, stretch: Stretch) -> None:
        assert self.reconciler is not None  # noqa: S101 - given with its making
        for feed in self.feeds():
            await self.reconciler.close_account(feed, stretch)


class _MarketConnection(_Connection):
    """The public stream of an exchange."""

    def __init__(self, name: str, symbols: Sequence[str], gaps: RecordGaps) -> None:
        keys = [
            StreamKey(stream, symbol)
            for stream in (CaptureStream.TRADES, CaptureStream.TICKERS)
            for symbol in symbols
        ]
        super().__init__(name, keys, gaps)
        self.symbols = tuple(symbols)
        self.last_trades: dict[str, datetime] = {}
        self.reconciler: GapReconciler | None = None

    async def close(self, stretch: Stretch) -> None:
        assert self.reconciler is not None  # noqa: S101 - given with its making
        for symbol in self.symbols:
            # the newest trade from before: later ones came after the break, or with this answer
            known = min(self.last_trades.get(symbol, stretch.start), stretch.start)
            await self.reconciler.close_market({symbol: known}, stretch)


class _Tap:
    """Stands between a stream and whom it is for. On the stream's threads."""

    def __init__(
        self, inner: StreamCallbacks, connection: _Connection, *, counts_events: bool
    ) -> None:
        self._inner = inner
        self._connection = connection
        self._counts_events = counts_events

    def on_event(self, update: StreamUpdate) -> None:
        """Hand an update on."""
        if self._counts_events:
            self._connection.waiting.add(id(update))
        self._inner.on_event(update)

    def on_disconnect(self, ts: datetime) -> None:
        """Hand the news on, and hold the progress."""
        self._connection.lost(ts)
        self._inner.on_disconnect(ts)

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Hand the news on, and look at the break."""
        self._inner.on_reconnect(disconnected_at, reconnected_at)
        self._connection.back(disconnected_at, reconnected_at)


class RecordGaps:
    """Looks after the gaps of one recorder. `runs` has the owner of each (account, symbol)."""

    def __init__(
        self,
        database: DatabaseFactory,
        folder: Path,
        writers: WriterSet,
        loop: WriteLoop,
        runs: Callable[[], Mapping[tuple[str, str], Owner]],
    ) -> None:
        self.progress = Progress(folder)
        self._database = database
        self._writers = writers
        self._write_loop = loop
        self._runs = runs
        self._accounts: dict[str, _AccountConnection] = {}
        self._markets: list[_MarketConnection] = []
        self._reconcilers: dict[Place, GapReconciler] = {}
        self._clients: list[BybitAsyncClient] = []
        self._tasks = TaskSet(_look_failed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._audited: dict[tuple[str, str], datetime] = {}
        self._is_stopped = False

    # who is listened to; before `start` or after

    def listen(
        self, account: str, account_id: str, place: Place, rest: Rest, open_private: OpenPrivate
    ) -> OpenPrivate:
        """Return what opens an account's stream, with its breaks told here too."""
        connection = _AccountConnection(account, account_id, rest, self)
        connection.reconciler = self._reconciler(place)
        self._accounts[account] = connection
        start = self._start_of(connection)

        def opened(callbacks: StreamCallbacks) -> Stream:
            connection.stream = open_private(_Tap(callbacks, connection, counts_events=True))
            self._close_start(connection, start)
            return connection.stream

        return opened

    def listen_market(self, place: Place, open_public: OpenPublic) -> OpenPublic:
        """Return what opens an exchange's market data, with its breaks told here too."""

        def opened(symbols: Sequence[str], callbacks: StreamCallbacks) -> Stream:
            connection = _MarketConnection(place.name, symbols, self)
            connection.reconciler = self._reconciler(place)
            self._markets.append(connection)
            start = self._start_of(connection)
            connection.stream = open_public(
                symbols, _Tap(callbacks, connection, counts_events=False)
            )
            self._close_start(connection, start)
            return connection.stream

        return opened

    def _reconciler(self, place: Place) -> GapReconciler:
        known = self._reconcilers.get(place)
        if known is not None:
            return known
        client = BybitAsyncClient(BybitRestClient(environment=place))
        self._clients.append(client)
        archive = PUBLIC_ARCHIVE if place.name == "mainnet" else None
        trades = TradeSource(
            client, self._database, self._writers.trades, self._write_loop, archive
        )
        made = GapReconciler(self._database, self._writers, self._write_loop, trades)
        self._reconcilers[place] = made
        return made

    def owners_of(self, account: str) -> list[tuple[str, Owner]]:
        """Return (symbol, owner) of the account's runs."""
        return [
            (symbol, owner) for (name, symbol), owner in self._runs().items() if name == account
        ]

    def streams(self) -> list[StreamOf]:
        """Name every stream that rows may be of."""
        found = [
            StreamOf(key.stream, key.symbol) for market in self._markets for key in market.keys
        ]
        for owner in {owner.account_id: owner for owner in self._runs().values()}.values():
            found += account_streams(owner)
        return found

    # what passes by

    def recorded(self, account: str, update: StreamUpdate) -> None:
        """Note that an update has reached the writers."""
        connection = self._accounts.get(account)
        if connection is not None:
            connection.waiting.discard(id(update))

    def traded(self, update: StreamUpdate) -> None:
        """Note the newest trade of a symbol."""
        if update.kind is StreamKind.PUBLIC_TRADE and update.event is not None and update.symbol:
            for market in self._markets:
                if update.symbol in market.symbols:
                    market.last_trades[update.symbol] = update.event.exchange_ts

    # what was missed

    def _start_of(self, connection: _Connection) -> datetime | None:
        """Return since when nothing was recorded, None where there is nothing from before."""
        known = [self.progress.of(key) for key in connection.keys]
        return min((moment for moment in known if moment is not None), default=None)

    def _close_start(self, connection: _Connection, start: datetime | None) -> None:
        now = datetime.now(UTC)
        for key in connection.keys:
            self.progress.begin(key, now)
        self.progress.save()  # a crash from here on is a stretch that the next start knows of
        self._tasks.spawn(self._first(connection, start))

    async def _first(self, connection: _Connection, start: datetime | None) -> None:
        while not connection.is_alive():  # noqa: ASYNC110 - the stream has no event of this loop
            await asyncio.sleep(_POLL_S)
        if start is not None:
            end = datetime.now(UTC)
            await connection.close(Stretch(min(start, end), end, "not running"))
        self.progress.release(connection.keys)

    def close_soon(self, connection: _Connection, stretch: Stretch) -> None:
        """Look at a break; on any thread."""
        # after the end nothing is fetched: the streams stay held, and the next start looks
        if self._loop is not None and not self._is_stopped:
            self._loop.call_soon_threadsafe(self._tasks.spawn, self._close(connection, stretch))

    async def _close(self, connection: _Connection, stretch: Stretch) -> None:
        await connection.close(stretch)
        self.progress.release(connection.keys)

    # from time to time

    def start(self) -> None:
        """Begin; on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._tasks.spawn(self._every(KEEP_S, self._keep))
        self._tasks.spawn(self._every(RETRY_S, self._retry))
        self._tasks.spawn(self._every(AUDIT_S, self._audit))

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:  # upkeep goes on, whatever one round meets
                log.exception("the upkeep of the record failed this time")

    async def _keep(self) -> None:
        moments = self.moments()
        if await self._write_loop.durable():
            await asyncio.to_thread(self.advance, moments)

    def _open_accounts(self) -> list[_AccountConnection]:
        """Return the accounts that were confirmed: the others have no stream."""
        return [one for one in self._accounts.values() if one.stream is not None]

    async def _retry(self) -> None:
        symbols = {symbol for market in self._markets for symbol in market.symbols}
        for place, reconciler in self._reconcilers.items():
            accounts = [one for one in self._open_accounts() if one.reconciler is reconciler]
            feeds = [feed for account in accounts for feed in account.feeds()]
            mine = symbols if any(one.reconciler is reconciler for one in self._markets) else ()
            try:
                await reconciler.retry(feeds, symbols=frozenset(mine))
            except GridDbError as error:
                log.warning("%s: the ledger was not read: %s", place.name, error)

    async def _audit(self) -> None:
        interval = timedelta(seconds=AUDIT_S)
        for account in self._open_accounts():
            for feed in account.feeds():
                now = datetime.now(UTC)
                # one that failed is made up for by the next that does not
                since = min(now, self._audited.setdefault(feed.key, now - interval)) - interval
                assert account.reconciler is not None  # noqa: S101 - given with its making
                if await account.reconciler.audit_account(feed, since):
                    self._audited[feed.key] = now

    def moments(self) -> list[tuple[StreamKey, datetime]]:
        """Return until when each stream is complete, as far as the writers have it."""
        found: list[tuple[StreamKey, datetime]] = []
        for connection in (*self._accounts.values(), *self._markets):
            moment = connection.complete_until()
            if moment is not None:
                found += [(key, moment) for key in connection.keys]
        return found

    def advance(self, moments: Iterable[tuple[StreamKey, datetime]]) -> None:
        """Note that streams are complete until then; what is held stays. Blocking."""
        for key, moment in moments:
            self.progress.advance(key, moment)
        self.progress.save()

    async def stop(self) -> None:
        """End what is under way; what is not done is left to the next start."""
        self._is_stopped = True
        await self._tasks.cancel()
        for client in self._clients:
            client.close()


def _look_failed(error: BaseException) -> None:
    # its streams stay held, so the next start looks at the stretch once more
    log.error("a look at the record failed", exc_info=error)
