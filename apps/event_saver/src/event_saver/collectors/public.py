"""Trades and tickers of the market."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bybit_adapter import Environment, PublicWebSocketClient, StreamKind, StreamTiming, StreamUpdate
from event_saver.collectors.progress import Progress, StreamKey
from event_saver.collectors.stream import OnGap, StreamCollector
from event_saver.writers import WriterSet
from grid_db import CaptureStream
from grid_service.threads import in_thread

REMEMBERED = 500  # batches of each symbol
SLACK = timedelta(milliseconds=100)  # between the arrival of a frame and its time stamp


class PublicCollector(StreamCollector):
    """All symbols over one connection; `followed` are those that it subscribes to.

    A symbol may come and go at any time. Without any there is no connection.
    """

    def __init__(
        self,
        environment: Environment,
        symbols: Sequence[str],
        followed: Sequence[str],
        writers: WriterSet,
        progress: Progress,
        *,
        on_gap: OnGap,
        on_doubt: Callable[[], None],
        timing: StreamTiming | None = None,
    ) -> None:
        self._environment = environment
        self.followed = tuple(followed)
        self._timing = timing
        self._last: dict[str, deque[tuple[datetime, datetime]]] = {}
        super().__init__(
            "public",
            [
                StreamKey(stream, symbol)
                for stream in (CaptureStream.TRADES, CaptureStream.TICKERS)
                for symbol in symbols
            ],
            {StreamKind.PUBLIC_TRADE: writers.trades, StreamKind.TICKER: writers.tickers},
            progress,
            owner=None,
            symbols=symbols,
            on_gap=on_gap,
            on_doubt=on_doubt,
        )
        self._is_paused = not self.followed

    def _make_client(self) -> PublicWebSocketClient:
        self._public = PublicWebSocketClient(
            self._environment,
            ticker_symbols=self.followed,
            trade_symbols=self.followed,
            on_event=self._queue.put,
            on_disconnect=self._lost,
            on_reconnect=self._back,
            on_malformed=self._malformed,
            timing=self._timing,
        )
        return self._public

    def follow(self, symbols: Sequence[str]) -> None:
        """Subscribe to symbols too; what is followed already stays."""
        new = tuple(symbol for symbol in symbols if symbol not in self.followed)
        if new:
            self.followed += new
            self._public.subscribe(ticker_symbols=new, trade_symbols=new)

    def leave(self, symbols: Sequence[str]) -> None:
        """Follow symbols no more."""
        if symbols:
            self.followed = tuple(one for one in self.followed if one not in symbols)
            self._public.unsubscribe(ticker_symbols=symbols, trade_symbols=symbols)

    async def pause(self) -> None:
        """Disconnect: there is nothing to follow."""
        if not self._is_paused:
            self._is_paused = True
            await in_thread(self._public.disconnect)

    async def resume(self) -> None:
        """Connect again after `pause`."""
        if self._is_paused and not self._is_stopped:
            self._is_paused = False
            await in_thread(lambda: self._public.connect(0))

    def refused(self) -> dict[str, str]:
        """Return the symbols of which a topic was refused, with the exchange's words."""
        rejected = self._public.get_connection_state().rejected_topics
        by_symbol = {topic.partition(".")[2]: words for topic, words in rejected.items()}
        return {symbol: words for symbol, words in by_symbol.items() if symbol in self.followed}

    def retry_refused(self) -> None:
        """Ask again for the topics that were refused."""
        self._public.retry_rejected()

    def is_captured(self, symbol: str) -> bool:
        """Tell whether the connection is there and the symbol's subscriptions are in force."""
        state = self._public.get_connection_state()
        waiting = {topic.partition(".")[2] for topic in state.unanswered_topics}
        return symbol in self.followed and state.is_alive and symbol not in waiting

    def live_keys(self) -> tuple[StreamKey, ...]:
        """Return the streams of those symbols that are followed and not refused."""
        refused = self.refused()
        return tuple(
            key for key in self.keys if key.symbol in self.followed and key.symbol not in refused
        )

    def last_trade_before(self, symbol: str, lost_at: datetime) -> datetime:
        """Return the exchange's time of the last trade received by lost_at; lost_at without one.

        Call it when a break is told: soon afterwards only newer trades are remembered.
        """
        for arrived, traded in reversed(self._last.get(symbol, ())):
            if arrived <= lost_at + SLACK:
                return traded
        return lost_at

    def _hand_on(self, updates: list[StreamUpdate]) -> None:
        newest = {
            update.symbol: update for update in updates if update.kind is StreamKind.PUBLIC_TRADE
        }
        for symbol, update in newest.items():
            if symbol is not None and update.event is not None:
                line = self._last.setdefault(symbol, deque(maxlen=REMEMBERED))
                line.append((update.local_ts, update.event.exchange_ts))
        super()._hand_on(updates)
