"""Trades and tickers of the market."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from bybit_adapter import Environment, PublicWebSocketClient, StreamKind, StreamTiming, StreamUpdate
from event_saver.collectors.stream import OnGap, StreamCollector
from event_saver.progress import Progress, StreamKey
from event_saver.writers import WriterSet
from grid_db import CaptureStream

REMEMBERED = 500  # batches of each symbol
SLACK = timedelta(milliseconds=100)  # between the arrival of a frame and its time stamp


class PublicCollector(StreamCollector):
    """All symbols over one connection."""

    def __init__(
        self,
        environment: Environment,
        symbols: Sequence[str],
        writers: WriterSet,
        progress: Progress,
        *,
        on_gap: OnGap,
        timing: StreamTiming | None = None,
    ) -> None:
        self._environment = environment
        self._wanted = tuple(symbols)
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
        )

    def _make_client(self) -> PublicWebSocketClient:
        return PublicWebSocketClient(
            self._environment,
            ticker_symbols=self._wanted,
            trade_symbols=self._wanted,
            on_event=self._queue.put,
            on_disconnect=self._lost,
            on_reconnect=self._back,
            on_malformed=self._malformed,
            timing=self._timing,
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
