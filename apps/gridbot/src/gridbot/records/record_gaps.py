"""What the record would lack without anybody knowing: found, fetched, or written down as a gap.

The same means as the capture daemon's: a file that says until when each stream is complete, the
reconciler that fetches over REST what a break or an end of the process left out, and the ledger
of what stays missing. Trading does not wait for any of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bybit_adapter import BybitAsyncClient, BybitRestClient, StreamKind, StreamUpdate
from bybit_adapter import Environment as Place
from event_saver.basics.owner import Owner
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.reconcile.market import TradeSource
from event_saver.reconcile.reconciler import GapReconciler, Stretch
from event_saver.settings.config import PUBLIC_ARCHIVE
from event_saver.spool.spans import StreamOf, account_streams
from event_saver.writers import WriteLoop, WriterSet
from grid_db import DatabaseFactory
from grid_service.tasks import TaskSet
from gridbot.ports import OpenPrivate, OpenPublic, Rest, Stream, StreamCallbacks
from gridbot.records.record_upkeep import RecordUpkeep
from gridbot.records.recorded_streams import (
    AccountStream,
    RecordedMarketStream,
    RecordedStream,
    StreamTap,
)

log = logging.getLogger(__name__)

_POLL_S = 0.2


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
        self._progress = Progress(folder)
        self._database = database
        self._writers = writers
        self._write_loop = loop
        self._runs = runs
        self._accounts: dict[str, AccountStream] = {}
        self._markets: list[RecordedMarketStream] = []
        self._reconcilers: dict[Place, GapReconciler] = {}
        self._clients: list[BybitAsyncClient] = []
        self._tasks = TaskSet(_look_failed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False

    # who is listened to; before `start` or after

    def listen(
        self, account: str, account_id: str, place: Place, rest: Rest, open_private: OpenPrivate
    ) -> OpenPrivate:
        """Return what opens an account's stream, with its breaks told here too."""
        recorded = AccountStream(
            account, account_id, rest, self._progress, self._reconciler(place),
            lambda: self._owners_of(account),
        )  # fmt: skip
        self._accounts[account] = recorded
        known_since = recorded.known_since()

        def opened(callbacks: StreamCallbacks) -> Stream:
            tap = StreamTap(callbacks, recorded, self._close_soon, counts_events=True)
            recorded.stream = open_private(tap)
            self._begin(recorded, known_since)
            return recorded.stream

        return opened

    def listen_market(self, place: Place, open_public: OpenPublic) -> OpenPublic:
        """Return what opens an exchange's market data, with its breaks told here too."""

        def opened(symbols: Sequence[str], callbacks: StreamCallbacks) -> Stream:
            recorded = RecordedMarketStream(
                place.name, symbols, self._progress, self._reconciler(place)
            )
            self._markets.append(recorded)
            known_since = recorded.known_since()
            tap = StreamTap(callbacks, recorded, self._close_soon, counts_events=False)
            recorded.stream = open_public(symbols, tap)
            self._begin(recorded, known_since)
            return recorded.stream

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

    def _owners_of(self, account: str) -> list[tuple[str, Owner]]:
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
        recorded = self._accounts.get(account)
        if recorded is not None:
            recorded.waiting.discard(id(update))

    def traded(self, update: StreamUpdate) -> None:
        """Note the newest trade of a symbol."""
        if update.kind is StreamKind.PUBLIC_TRADE and update.event is not None and update.symbol:
            for market in self._markets:
                if update.symbol in market.symbols:
                    market.last_trades[update.symbol] = update.event.exchange_ts

    # what was missed

    def _begin(self, recorded: RecordedStream, known_since: datetime | None) -> None:
        now = datetime.now(UTC)
        for key in recorded.keys:
            self._progress.begin(key, now)
        self._progress.save()  # a crash from here on is a stretch that the next start knows of
        self._tasks.spawn(self._close_start(recorded, known_since))

    async def _close_start(self, recorded: RecordedStream, known_since: datetime | None) -> None:
        while not recorded.is_alive():  # noqa: ASYNC110 - the stream has no event of this loop
            await asyncio.sleep(_POLL_S)
        stretch = None
        if known_since is not None:
            end = datetime.now(UTC)
            stretch = Stretch(min(known_since, end), end, "not running")
        await recorded.close(stretch)

    def _close_soon(self, recorded: RecordedStream, stretch: Stretch) -> None:
        """Look at a break; on any thread."""
        # after the end nothing is fetched: the streams stay held, and the next start looks
        if self._loop is not None and not self._is_stopped:
            self._loop.call_soon_threadsafe(self._tasks.spawn, recorded.close(stretch))

    # until when the streams are complete

    def moments(self) -> list[tuple[StreamKey, datetime]]:
        """Return until when each stream is complete, as far as the writers have it."""
        found: list[tuple[StreamKey, datetime]] = []
        for recorded in (*self._accounts.values(), *self._markets):
            moment = recorded.complete_until()
            if moment is not None:
                found += [(key, moment) for key in recorded.keys]
        return found

    def advance(self, moments: Iterable[tuple[StreamKey, datetime]]) -> None:
        """Note that streams are complete until then; what is held stays. Blocking."""
        for key, moment in moments:
            self._progress.advance(key, moment)
        self._progress.save()

    async def keep(self) -> None:
        """Note until when the streams are complete, once all of it is stored or on disk."""
        moments = self.moments()
        if await self._write_loop.durable():
            await asyncio.to_thread(self.advance, moments)

    def start(self) -> None:
        """Begin; on the event loop."""
        self._loop = asyncio.get_running_loop()
        upkeep = RecordUpkeep(self.keep, self._reconcilers, self._accounts, self._markets)
        for work in upkeep.tasks():
            self._tasks.spawn(work)

    async def stop(self) -> None:
        """End what is under way; what is not done is left to the next start."""
        self._is_stopped = True
        await self._tasks.cancel()
        for client in self._clients:
            client.close()


def _look_failed(error: BaseException) -> None:
    # its streams stay held, so the next start looks at the stretch once more
    log.error("a look at the record failed", exc_info=error)
