"""Public trades that the stream did not bring: the last 1,000 over REST, older ones from files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from bybit_adapter import BybitAsyncClient, StreamKind
from event_saver.reconcile import archive
from event_saver.writers import TradeWriter, WriteLoop
from event_saver.writers.records import as_update
from grid_db import DatabaseFactory, PublicTradeRepository
from grid_service.threads import in_thread

RECENT_TRADES = 1_000  # the exchange gives no more
OVERLAP = timedelta(seconds=5)
_CHUNK = 5_000
_MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class MissingTrades:
    """What REST could not give: after `start`, before `end`, and why."""

    start: datetime
    end: datetime
    reason: str


class TradeSource:
    """Fetches trades and hands them to the writer, which knows the duplicates."""

    def __init__(
        self,
        client: BybitAsyncClient,
        database: DatabaseFactory,
        writer: TradeWriter,
        loop: WriteLoop,
        archive_url: str | None,
        folder: Path | str | None = None,
    ) -> None:
        """`folder` is where daily files lie while they are read; see `archive.read_trades`."""
        self._client = client
        self._database = database
        self._writer = writer
        self._write_loop = loop
        self._archive_url = archive_url
        self._folder = folder

    @property
    def has_archive(self) -> bool:
        """Whether there are daily files for what is out of REST's reach."""
        return self._archive_url is not None

    async def fetch_recent(
        self, symbol: str, known: datetime, end: datetime
    ) -> MissingTrades | None:
        """Fetch what REST still has after `known`; None when nothing up to `end` is missing.

        known is the exchange's time of the last trade that is certain to be there, so that no
        clock of another machine decides. Raises BybitError.
        """
        trades = await self._client.get_recent_trades(symbol, RECENT_TRADES)
        now = datetime.now(UTC)
        wanted = [trade for trade in trades if trade.time >= known - OVERLAP]
        self._writer.add([as_update(StreamKind.PUBLIC_TRADE, trade, now) for trade in wanted])
        if len(trades) < RECENT_TRADES or trades[0].time < known:
            return None
        return MissingTrades(
            known, trades[0].time, "only the last 1,000 trades can be asked for afterwards"
        )

    async def last_stored(self, symbol: str) -> datetime | None:
        """Return the time of the newest trade in the database. Raises GridDbError."""

        def look() -> datetime | None:
            with self._database.get_session() as session:
                return PublicTradeRepository(session).get_last_trade_ts(symbol)

        return await in_thread(look)

    async def fetch_archive(self, symbol: str, start: datetime, end: datetime) -> int:
        """Fetch a stretch from the daily files; return how many trades it had.

        Raises ArchiveError, NotPublishedError while a file is not there yet.
        """
        url = self._archive_url
        if url is None:
            raise archive.ArchiveError("there is no archive for this environment")
        trades = archive.read_trades(url, symbol, start, end, self._folder)
        count = 0
        while chunk := await in_thread(lambda: list(islice(trades, _CHUNK))):
            self._writer.add_records(chunk)
            count += len(chunk)
            if self._writer.buffered > _MOST_WAITING:
                await self._write_loop.durable()
        return count
