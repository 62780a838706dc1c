"""Where whoever has a real market stream puts its events in. Nothing here knows an exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from threading import Condition

from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

WAITING_TRADES = 100_000


class FeedOverflowError(RuntimeError):
    """More trades wait than the bound allows; the market of the feed has a hole from here on."""


class LiveFeed:
    """Events pushed by any number of threads, taken by one; ended by `close`.

    No trade is dropped: past `max_trades` waiting ones the push raises, and so does the taker
    once it has taken what was there. A quote replaces one of the same symbol that still waits
    unless a trade of the symbol came in between, so what is left out was never to be seen, and
    quotes never outnumber trades and symbols together. Times are those of the pushed events, but
    never before the start nor before an event that was taken earlier. Not to be merged: it waits
    for its own next event, and another feed would wait with it.

    Raises ValueError for no symbol, one given twice, or a bound below 1.
    """

    def __init__(
        self, symbols: Iterable[str], *, max_trades: int = WAITING_TRADES, name: str = "live"
    ) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise ValueError(f"symbols are {self.symbols}; give at least one, and each once")
        if max_trades < 1:
            raise ValueError(f"max_trades is {max_trades}; set at least 1")
        self._max_trades = max_trades
        self._changed = Condition()
        self._waiting: dict[int, FeedEvent] = {}  # by number, in order
        self._number = 0
        self._quotes: dict[
            str, int
        ] = {}  # the newest quote of a symbol, to be replaced if it waits
        self._trades = 0
        self._is_closed = False
        self._failure: FeedOverflowError | None = None
        self._latest_ms = 0

    def push(self, event: FeedEvent) -> None:
        """Put in an event, from any thread.

        Raises ValueError for a symbol that the feed does not have or after `close`, and
        FeedOverflowError (this time and from then on) if the trade finds no room.
        """
        if event.symbol not in self.symbols:
            raise ValueError(f"{event.symbol}: feed {self.name} has {', '.join(self.symbols)} only")
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if self._is_closed:
                raise ValueError(f"feed {self.name} is closed; open another one")
            if isinstance(event, FeedTrade):
                self._push_trade(event)
            else:
                self._push_quote(event)
            self._changed.notify_all()

    def _push_trade(self, trade: FeedTrade) -> None:
        if self._trades >= self._max_trades:
            self._failure = FeedOverflowError(
                f"feed {self.name}: {self._trades:,} trades wait and {trade.symbol} has another;"
                " nobody takes them fast enough, so start the feed again"
            )
            self._changed.notify_all()
            raise self._failure
        self._trades += 1
        self._quotes.pop(trade.symbol, None)
        self._append(trade)

    def _push_quote(self, quote: FeedQuote) -> None:
        number = self._quotes.get(quote.symbol)
        before = self._waiting.pop(number, None) if number is not None else None
        self._append(_newer(before, quote) if isinstance(before, FeedQuote) else quote)
        self._quotes[quote.symbol] = self._number

    def _append(self, event: FeedEvent) -> None:
        self._number += 1
        self._waiting[self._number] = event

    def close(self) -> None:
        """End the feed: what waits is still taken, then `events` ends."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def drain(self) -> list[FeedEvent]:
        """Return what waits, oldest first, without waiting. Raises FeedOverflowError."""
        with self._changed:
            return self._take()

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield events as they come in, until `close`; waits for them, so use a thread.

        Raises FeedOverflowError where trades are missing.
        """
        with self._changed:
            self._latest_ms = max(self._latest_ms, start_ms)
        return self._until_closed()

    def _until_closed(self) -> Iterator[FeedEvent]:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: bool(self._waiting) or self._is_closed or self._failure is not None
                )
                taken = self._take()
            if not taken:
                return
            yield from taken

    def _take(self) -> list[FeedEvent]:
        """Return and forget what waits. The caller holds the lock."""
        if not self._waiting and self._failure is not None:
            raise self._failure
        taken = [self._in_time(event) for event in self._waiting.values()]
        self._waiting.clear()
        self._trades = 0
        return taken

    def _in_time(self, event: FeedEvent) -> FeedEvent:
        # connections and symbols do not agree to the millisecond
        self._latest_ms = max(self._latest_ms, event.ts_ms)
        return event if event.ts_ms == self._latest_ms else replace(event, ts_ms=self._latest_ms)


def _newer(before: FeedQuote, quote: FeedQuote) -> FeedQuote:
    """Return the newer quote with what only the older one says."""
    said = {
        one.name: getattr(quote, one.name)
        for one in fields(quote)
        if getattr(quote, one.name) is not None
    }
    return replace(before, **said)
