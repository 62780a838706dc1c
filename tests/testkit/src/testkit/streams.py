"""Stream clients over real sockets: frames to push, who makes the clients, who notes what comes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

from bybit_adapter.basics.environment import Environment
from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.records.normalizer import StreamUpdate
from bybit_adapter.streams.connection import StreamTiming
from bybit_adapter.streams.ws_client import PrivateWebSocketClient, PublicWebSocketClient

PUBLIC, PRIVATE = "/v5/public/linear", "/v5/private"
# where a death has to be noticed; a machine that is late by a second must not look like one
FAST = StreamTiming(
    ping_interval_s=1.2,
    ping_timeout_s=1.0,
    socket_check_s=0.1,
    silence_s=60,
    attempt_s=3.0,
    steady_s=0.3,
    first_pause_s=0.02,
    longest_pause_s=0.2,
)
# where a socket says itself that it has ended
PATIENT = replace(FAST, ping_interval_s=8, ping_timeout_s=7, attempt_s=15)
MS = 1762199126022


def frame(symbol: str = "BTCUSDT", shape: str = "snapshot", **fields: str) -> dict[str, Any]:
    """Return a frame of a ticker as Bybit sends it; shape is snapshot or delta."""
    data = {"symbol": symbol, **fields}
    return {"topic": f"tickers.{symbol}", "type": shape, "ts": MS, "cs": 1, "data": data}


def trade(number: int) -> dict[str, Any]:
    """Return a frame of one public trade of BTCUSDT, whose id is `t` and the number."""
    row = {"T": MS, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "5", "i": f"t{number}"}
    return {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": MS, "data": [row]}


class Witness:
    """Notes what a stream tells."""

    def __init__(self) -> None:
        self.updates: list[StreamUpdate] = []
        self.lost: list[datetime] = []
        self.back: list[tuple[datetime, datetime]] = []
        self.malformed: list[tuple[MalformedFrame, str]] = []
        self.story: list[str] = []

    def on_event(self, update: StreamUpdate) -> None:
        """Note an update."""
        self.updates.append(update)
        self.story.append("event")

    def on_disconnect(self, ts: datetime) -> None:
        """Note a loss."""
        self.lost.append(ts)
        self.story.append("lost")

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        """Note a return."""
        self.back.append((disconnected_at, reconnected_at))
        self.story.append("back")

    def on_malformed(self, error: MalformedFrame, text: str) -> None:
        """Note a frame that does not fit."""
        self.malformed.append((error, text))


class Streams:
    """Makes clients and ends them."""

    def __init__(self, port: int, witness: Witness) -> None:
        self.environment = Environment.local(port)
        self.witness = witness
        self.made: list[PublicWebSocketClient | PrivateWebSocketClient] = []

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "on_event": self.witness.on_event,
            "on_disconnect": self.witness.on_disconnect,
            "on_reconnect": self.witness.on_reconnect,
            "on_malformed": self.witness.on_malformed,
            "timing": PATIENT,
            "random": Random(1),
        } | options

    def public(self, **options: Any) -> PublicWebSocketClient:
        """Return a client of the public stream, not connected; options replace arguments."""
        symbols = {"ticker_symbols": ["BTCUSDT"], "trade_symbols": ["BTCUSDT"]}
        client = PublicWebSocketClient(self.environment, **self._options(symbols | options))
        self.made.append(client)
        return client

    def private(self, **options: Any) -> PrivateWebSocketClient:
        """Return a client of the private stream, not connected; options replace arguments."""
        client = PrivateWebSocketClient("key", "secret", self.environment, **self._options(options))
        self.made.append(client)
        return client

    def close(self) -> None:
        """End all of them."""
        for client in self.made:
            client.disconnect()
