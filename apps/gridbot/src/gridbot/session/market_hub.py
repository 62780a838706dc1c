"""One public stream per exchange: its tickers and trades for all strategies there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from bybit_adapter import EventQueue, StreamKind, StreamUpdate, ticker_symbol
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.occasions import Occasions
from gridbot.ports import Now, OpenPublic, Stream
from gridbot.settings.session_settings import SessionSettings

log = logging.getLogger(__name__)


class MarketHub:
    """Hands market data to runners by symbol, in order of arrival; tickers conflate."""

    def __init__(
        self,
        name: str,
        open_public: OpenPublic,
        runners: Iterable[StrategyRunner],
        now: Now,
        alerts: Alerts,
        settings: SessionSettings,
        on_update: Callable[[StreamUpdate], None] | None = None,
    ) -> None:
        self.name = name
        self.stream: Stream | None = None
        self._runners: dict[str, list[StrategyRunner]] = {}
        for runner in runners:
            self._runners.setdefault(runner.symbol, []).append(runner)
        self._open_public = open_public
        self._now = now
        self._alerts = alerts
        self._settings = settings
        self._on_update = on_update
        self._queue: EventQueue[StreamUpdate] | None = None
        self._task: asyncio.Task[None] | None = None
        self._occasions = Occasions(now.monotonic)

    async def start(self) -> None:
        """Begin to listen."""
        self._queue = EventQueue(ticker_symbol)
        self._task = asyncio.get_running_loop().create_task(self._pump())
        if not self._runners:
            return  # strategies that cannot be started yet bring their symbols later
        self.stream = self._open_public(tuple(self._runners), self)
        if not await self._settings.blocking(self.stream.connect):
            log.warning("%s: market data does not come yet; trying on", self.name)

    async def add(self, runner: StrategyRunner) -> None:
        """Serve one more strategy; the stream is made anew for a symbol that it does not bring."""
        is_new = runner.symbol not in self._runners
        self._runners.setdefault(runner.symbol, []).append(runner)
        if is_new and self._queue is not None:
            old, self.stream = self.stream, self._open_public(tuple(self._runners), self)
            await self._settings.blocking(self.stream.connect)
            if old is not None:
                await self._settings.blocking(old.disconnect)

    async def stop(self) -> None:
        """End."""
        if self.stream is not None:
            await self._settings.blocking(self.stream.disconnect)
        if self._queue is not None:
            self._queue.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def on_event(self, update: StreamUpdate) -> None:
        """Take an update of the stream."""
        if self._queue is not None:
            self._queue.put(update)

    def on_disconnect(self, ts: datetime) -> None:
        """Take note that the stream is gone: without tickers nothing is decided."""
        log.warning("%s: market data is gone since %s", self.name, ts)

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Take note that the stream is back."""
        gap = (reconnected_at - disconnected_at).total_seconds()
        log.warning("%s: market data is back after %.1f s", self.name, gap)
        if gap > self._settings.stream_alert_s:
            self._alerts.alert(
                AlertKey.STREAM_DOWN,
                f"{self.name}: market data was gone for {gap:.0f} s",
                about=self.name,
            )

    async def _pump(self) -> None:
        queue = self._queue
        if queue is None:
            return
        while (update := await queue.get()) is not None:
            try:
                self._dispatch(update)
            except Exception:
                # one message must not end the stream of all the others
                log.exception("%s: a message was not handled", self.name)
                if not self._occasions.is_new("message"):
                    continue
                self._alerts.alert(
                    AlertKey.INTERNAL_ERROR,
                    f"{self.name}: a message of the market was not handled; see the log",
                    about=self.name,
                )

    def _dispatch(self, update: StreamUpdate) -> None:
        if self._on_update is not None:
            self._on_update(update)
        if update.event is None:
            return
        for runner in self._runners.get(update.symbol or "", ()):
            # live orders are filled by the exchange; only a shadow needs to see the trades
            if update.kind is StreamKind.TICKER or runner.is_shadow:
                runner.tell(update.event)

    @property
    def is_connected(self) -> bool:
        """Whether the stream is alive."""
        return self.stream is not None and self.stream.get_connection_state().is_alive
