"""A market written down event by event, for tests and drills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from gridcore import SideType
from paper_exchange.feeds.feed import trade_ids
from paper_exchange.market.market import FeedEvent, FeedTrade


class ScriptedFeed:
    """The events given, moved so that the first is at the start, or at their own times.

    Prices are played as they are written. Raises ValueError for no event, or for times that go
    back.
    """

    def __init__(
        self, events: Iterable[FeedEvent], *, keep_times: bool = False, name: str = "scripted"
    ) -> None:
        self._events = tuple(events)
        self._keep_times = keep_times
        self.name = name
        self.symbols = tuple(dict.fromkeys(event.symbol for event in self._events))
        if not self._events:
            raise ValueError(f"feed {name} has no event; give at least one")
        for before, event in zip(self._events, self._events[1:], strict=False):
            if event.ts_ms < before.ts_ms:
                raise ValueError(
                    f"feed {name}: {event.symbol} at {event.ts_ms} ms comes after {before.ts_ms}"
                    " ms; write the events in time order"
                )

    @classmethod
    def of_prices(
        cls,
        symbol: str,
        prices: Sequence[Decimal | int | str],
        *,
        interval_ms: int = 1_000,
        qty: Decimal = Decimal(1),
        side: SideType | None = None,
    ) -> ScriptedFeed:
        """Return a feed of one trade of `qty` base coin at each price (USDT), at equal intervals.

        Raises ValueError for no price, one that is not above 0, or a negative interval.
        """
        usdt = [Decimal(price) for price in prices]
        wrong = [price for price in usdt if not price.is_finite() or price <= 0]
        if wrong:
            raise ValueError(f"{symbol}: {wrong[0]} is no price; write one above 0")
        if interval_ms < 0:
            raise ValueError(f"{symbol}: interval_ms is {interval_ms}; set 0 or more")
        ids = trade_ids(f"scripted {symbol}", 0)
        return cls(
            FeedTrade(
                symbol=symbol,
                ts_ms=row * interval_ms,
                price=price,
                qty=qty,
                side=side,
                trade_id=next(ids),
            )
            for row, price in enumerate(usdt)
        )

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield the events; see `Feed.events`. With `keep_times` the start is not used."""
        if self._keep_times:
            yield from self._events
            return
        shift_ms = start_ms - self._events[0].ts_ms
        for event in self._events:
            yield replace(event, ts_ms=event.ts_ms + shift_ms)
