"""Streams of market data and of one account, alive across everything that breaks connections."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from bybit_adapter.basics.clock import SYSTEM_CLOCK, Clock
from bybit_adapter.basics.environment import Environment
from bybit_adapter.basics.keys import Keys
from bybit_adapter.records.normalizer import StreamKind
from bybit_adapter.records.tags import NO_TAGS, Tags
from bybit_adapter.streams.base import (
    ConnectionState,
    StreamClient,
    StreamState,
)
from bybit_adapter.streams.connection import StreamTiming
from bybit_adapter.streams.listeners import OnDisconnect, OnEvent, OnMalformed, OnReconnect

PRIVATE_TOPICS = ("position", "order", "execution", "wallet")
DCP_TOPIC = "dcp.future"  # arms disconnect-cancel-all; nothing is ever pushed on it


class PublicWebSocketClient(StreamClient):
    """Market data of USDT perpetuals: merged tickers and trades of any number of symbols.

    on_disconnect(ts) and on_reconnect(disconnected_at, reconnected_at) enclose every gap; ts is
    the last sign of life. Without data for 30 s the connection is replaced.
    """

    _watches_silence = True

    def __init__(
        self,
        environment: Environment,
        *,
        ticker_symbols: Iterable[str] = (),
        trade_symbols: Iterable[str] = (),
        on_event: OnEvent,
        on_disconnect: OnDisconnect | None = None,
        on_reconnect: OnReconnect | None = None,
        on_malformed: OnMalformed | None = None,
        tags: Tags = NO_TAGS,
        timing: StreamTiming | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random | None = None,
    ) -> None:
        super().__init__(
            environment.ws_public_url,
            _public_topics(ticker_symbols, trade_symbols),
            on_event,
            on_disconnect,
            on_reconnect,
            on_malformed,
            keys=None,
            tags=tags,
            timing=timing or StreamTiming(),
            clock=clock,
            random=random,
        )

    def subscribe(
        self, *, ticker_symbols: Iterable[str] = (), trade_symbols: Iterable[str] = ()
    ) -> None:
        """Add symbols, at once if connected; what is subscribed to already stays."""
        self._subscribe(_public_topics(ticker_symbols, trade_symbols))

    def unsubscribe(
        self, *, ticker_symbols: Iterable[str] = (), trade_symbols: Iterable[str] = ()
    ) -> None:
        """Leave symbols, at once if connected. Without any topic left, `disconnect`."""
        self._unsubscribe(_public_topics(ticker_symbols, trade_symbols))


class PrivateWebSocketClient(StreamClient):
    """Positions, orders, executions and wallet of one account.

    There is no snapshot after a (re)connect: take the state from REST in on_reconnect, which
    comes after the subscriptions are in force. Quiet is healthy here; heartbeats tell life.
    Without `tags` (None) updates have records and no events.
    """

    def __init__(
        self,
        api_key: str,
        api_secret: str,
        environment: Environment,
        *,
        on_event: OnEvent,
        on_disconnect: OnDisconnect | None = None,
        on_reconnect: OnReconnect | None = None,
        on_malformed: OnMalformed | None = None,
        arm_dcp: bool = False,
        tags: Tags | None = NO_TAGS,
        timing: StreamTiming | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Random | None = None,
    ) -> None:
        if not api_key or not api_secret:
            raise ValueError("a private stream needs api_key and api_secret")
        super().__init__(
            environment.ws_private_url,
            (*PRIVATE_TOPICS, DCP_TOPIC) if arm_dcp else PRIVATE_TOPICS,
            on_event,
            on_disconnect,
            on_reconnect,
            on_malformed,
            keys=Keys(api_key, api_secret),
            tags=tags,
            timing=timing or StreamTiming(),
            clock=clock,
            random=random,
        )


def _public_topics(ticker_symbols: Iterable[str], trade_symbols: Iterable[str]) -> list[str]:
    return [
        *(f"{StreamKind.TICKER}.{symbol}" for symbol in ticker_symbols),
        *(f"{StreamKind.PUBLIC_TRADE}.{symbol}" for symbol in trade_symbols),
    ]


__all__ = [
    "ConnectionState",
    "PrivateWebSocketClient",
    "PublicWebSocketClient",
    "StreamState",
    "StreamTiming",
]
