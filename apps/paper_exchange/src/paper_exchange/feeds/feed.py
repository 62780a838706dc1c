"""What drives markets: events in time order. One exchange plays one feed, merged from several."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from random import Random
from typing import Protocol
from uuid import UUID

from gridcore import InstrumentInfo
from paper_exchange.market.market import FeedEvent


class Feed(Protocol):
    """A source of market events of one or several symbols."""

    @property
    def name(self) -> str:
        """What the feed is called in logs."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of which it has events, each once."""

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield events in time order over all symbols, the first at `start_ms` or shortly after.

        Each call starts the feed anew, a live one excepted. Where a feed knows the instrument,
        prices of trades and quotes are on its tick and at least one tick.
        """


class MergedFeed:
    """Several feeds as one, in time order; at one moment the earlier feed's symbols come first.

    Raises ValueError for no feed, or for a symbol that two of them have.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        if not feeds:
            raise ValueError("there is no feed to merge; give at least one")
        names: dict[str, str] = {}
        for feed in feeds:
            for symbol in feed.symbols:
                if symbol in names:
                    raise ValueError(
                        f"{symbol}: more than one feed has it, {names[symbol]} and {feed.name}; a"
                        " market follows one feed only"
                    )
                names[symbol] = feed.name
        self._feeds = tuple(feeds)
        self.name = " + ".join(feed.name for feed in feeds)
        self.symbols = tuple(names)

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield the events of all feeds, each started at `start_ms`; see `Feed.events`."""
        return heapq.merge(
            *(feed.events(start_ms) for feed in self._feeds), key=attrgetter("ts_ms")
        )


def merged(feeds: Sequence[Feed]) -> MergedFeed:
    """Return the feeds as one. Raises ValueError for none, or for a symbol in two of them."""
    return MergedFeed(feeds)


def on_tick(instrument: InstrumentInfo, price: Decimal) -> Decimal:
    """Return a price (USDT) on the nearest tick and never below one; on a tick it is unchanged."""
    tick = instrument.tick_size
    if price >= tick and not price % tick:
        return price
    return max(instrument.round_price(price), tick)


def trade_ids(source: str, start_ms: int) -> Iterator[str]:
    """Yield UUIDs for trades that have none, the same for the same source and start.

    The start is part of it because ids are unique for ever: a feed that is played again tomorrow
    has other ones.
    """
    # text as a seed goes through SHA-512, not through hash(), which differs between processes
    chance = Random(f"trade ids of {source} from {start_ms}")  # noqa: S311 - names, no secrets
    while True:
        yield str(UUID(int=chance.getrandbits(128), version=4))


def require_same_symbol(symbol: str, instrument: InstrumentInfo) -> None:
    """Raise ValueError unless the instrument is that of `symbol`."""
    if instrument.symbol != symbol:
        raise ValueError(
            f"{symbol}: the rules given are those of {instrument.symbol}; pass the instrument of"
            f" {symbol}"
        )
