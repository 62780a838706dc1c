"""Keeps a symbol's fault with that symbol: what is not traded or refused waits, the rest goes on.

A symbol that cannot be captured is told with its reason, its streams are held where they were
complete, and it is looked at again until it can be. Then it is captured from there on, and the
stretch in between is closed as any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from event_saver.collectors import PublicCollector
from event_saver.collectors.listing import Listings
from event_saver.collectors.progress import Progress, StreamKey
from grid_db import CaptureStream

log = logging.getLogger(__name__)

Close = Callable[[str, str], None]  # symbol, why it was not captured


def market_keys(symbol: str) -> tuple[StreamKey, ...]:
    """Return the streams of a symbol."""
    return (StreamKey(CaptureStream.TRADES, symbol), StreamKey(CaptureStream.TICKERS, symbol))


class MarketWatch:
    """Follows with the public connection what can be followed.

    `close` begins to fetch what a symbol missed while it was out, and releases its streams when
    that is done; it is called once the symbol is captured again.
    """

    def __init__(
        self, symbols: Sequence[str], listings: Listings, progress: Progress, close: Close
    ) -> None:
        self._symbols = tuple(symbols)
        self._listings = listings
        self._progress = progress
        self._close = close
        self._collector: PublicCollector | None = None
        self._turn = asyncio.Lock()
        self.out: dict[str, str] = {}  # symbol -> why it is not captured

    async def begin(self) -> list[str]:
        """Return the symbols that can be followed from the start."""
        await self._listings.look()
        for symbol, why in self._listings.untraded.items():
            self._lose(symbol, why)
        return [symbol for symbol in self._symbols if symbol not in self.out]

    def follow_with(self, collector: PublicCollector) -> None:
        """Use a collector from here on, that follows what `begin` returned."""
        self._collector = collector

    async def look(self) -> None:
        """Look at all again: leave the dead, follow those that live, retry what was refused."""
        collector = self._collector
        if collector is None:
            return
        async with self._turn:
            await self._look(collector)

    async def _look(self, collector: PublicCollector) -> None:
        await self._listings.look()
        untraded = self._listings.untraded
        for symbol in self._symbols:
            if symbol in untraded:
                self._lose(symbol, untraded[symbol])
        collector.leave([one for one in collector.followed if one in untraded])
        collector.follow([one for one in self._symbols if one not in untraded])
        if collector.followed:
            await collector.resume()
        else:
            await collector.pause()
        refused = collector.refused()
        for symbol, why in refused.items():
            self._lose(symbol, f"the subscription was refused: {why}")
        for symbol in [one for one in self.out if one not in untraded and one not in refused]:
            # told again by the next look where the answer is not there yet
            if collector.is_captured(symbol):
                self._win(symbol)
        collector.retry_refused()

    def _lose(self, symbol: str, why: str) -> None:
        known = self.out.get(symbol)
        self.out[symbol] = why
        if known is None:
            self._progress.hold(market_keys(symbol))
        if known != why:
            log.error("%s is not captured (%s); it is looked at again", symbol, why)

    def _win(self, symbol: str) -> None:
        why = self.out.pop(symbol)
        log.info("%s is captured again (it was out: %s)", symbol, why)
        self._close(symbol, why)
