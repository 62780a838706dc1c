"""Trades and tickers of the market."""

from __future__ import annotations

from collections.abc import Sequence

from bybit_adapter import Environment, PublicWebSocketClient, StreamKind, StreamTiming
from event_saver.collectors.stream import OnGap, StreamCollector
from event_saver.progress import Progress, StreamKey
from event_saver.writers import WriterSet
from grid_db import CaptureStream


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
