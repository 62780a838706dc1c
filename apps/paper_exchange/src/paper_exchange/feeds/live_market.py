"""Bybit's own public stream as a feed, through whoever is installed to bring it.

Nothing here knows an exchange's client: a package offers a function under the entry point group
`paper_exchange.live_market`. It is called as `connect(symbols, environment, on_trade, on_quote)`,
calls back on threads of its own with plain values, and returns a function that ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from importlib.metadata import entry_points
from threading import Thread
from typing import Any

from gridcore import SideType
from paper_exchange.feeds import FeedOverflowError, LiveFeed
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

log = logging.getLogger(__name__)
GROUP = "paper_exchange.live_market"
QUOTE_FIELDS = (
    "last_price", "mark_price", "index_price", "bid1_price", "ask1_price", "bid1_size",
    "ask1_size", "funding_rate",
)  # fmt: skip
Disconnect = Callable[[], None]
Connect = Callable[..., Disconnect]


class NoLiveMarketError(Exception):
    """Nobody who could bring a live market is installed."""


def find_connect() -> Connect:
    """Return the function that is offered. Raises NoLiveMarketError."""
    for point in entry_points(group=GROUP):
        found: Connect = point.load()
        return found
    raise NoLiveMarketError(
        "a live feed needs a package that connects to Bybit (bybit-adapter); it is not installed"
    )


class LiveMarket:
    """A live feed, connected, and the thread that hands its events on in order.

    `hand_on` is called on that thread; it passes each event to the thread of the exchange.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        environment: str,
        hand_on: Callable[[FeedEvent], None],
        connect: Connect | None = None,
    ) -> None:
        self.feed = LiveFeed(symbols, name=f"live {environment}")
        self._hand_on = hand_on
        self._thread = Thread(target=self._run, name="live market", daemon=True)
        self._disconnect = (connect or find_connect())(
            tuple(symbols), environment, self._on_trade, self._on_quote
        )
        self._thread.start()

    def close(self) -> None:
        """Disconnect, and let the thread end."""
        self._disconnect()
        self.feed.close()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            for event in self.feed.events(0):
                self._hand_on(event)
        except FeedOverflowError as error:
            log.error("the live market has ended: %s", error)

    def _on_trade(
        self, symbol: str, when: datetime, price: Decimal, qty: Decimal, side: str, trade_id: str
    ) -> None:
        self.feed.push(
            FeedTrade(
                symbol=symbol,
                ts_ms=int(when.timestamp() * 1000),
                price=price,
                qty=qty,
                side=SideType(side),
                trade_id=trade_id,
            )
        )

    def _on_quote(self, symbol: str, when: datetime, values: Mapping[str, Any]) -> None:
        known = {name: values[name] for name in QUOTE_FIELDS if values.get(name) is not None}
        self.feed.push(FeedQuote(symbol=symbol, ts_ms=int(when.timestamp() * 1000), **known))
