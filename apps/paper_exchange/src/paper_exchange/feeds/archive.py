"""Trade archives and klines as a market, with mark prices and funding where files bring them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from operator import itemgetter

from gridcore import InstrumentInfo, SideType
from gridcore.exact import round_half_even
from gridcore.sides import TAKER_BUY, TAKER_SELL
from market_data.basics.paths import Paths, paths_of
from market_data.columns.ticks import Int64s, TickColumns
from market_data.files.file_kind import FileKind, file_kind
from market_data.providers.data_provider import require_symbol
from market_data.providers.file_provider import file_provider
from paper_exchange.feeds.feed import require_same_symbol, trade_ids
from paper_exchange.market.market import FeedEvent, FeedQuote, FeedTrade

CHUNK_ROWS = 4_096
AFTER_SETTLEMENT_US = 1_000
SIDES = {TAKER_BUY: SideType.BUY, TAKER_SELL: SideType.SELL}

Moment = tuple[int, FeedEvent]  # microseconds of the files, the event


class ArchiveFeed:
    """The trades of files (CSV, CSV.GZ, Parquet, klines), times moved so that they begin at start.

    Times are cut to ms, the order is that of the files, prices off the instrument's tick are
    rounded to it. Files of mark prices and settled funding become quotes: a rate is announced
    when the settlement before it is over. With `loop` the files follow on themselves one ms after
    their end, without end; the jump of the price between the two is left as it is.

    Raises UnreadableFileError for a missing or unknown file, UnknownSymbolError, DataError for
    both trades and klines or neither, ValueError for the instrument of another symbol. Damage
    inside a file is found when `events` is called.
    """

    def __init__(
        self,
        paths: Paths,
        symbol: str,
        instrument: InstrumentInfo,
        loop: bool = False,
    ) -> None:
        require_same_symbol(symbol, instrument)
        # tick sizes of the present would refuse older prices; here they are rounded instead
        data = [path for path in paths_of(paths) if file_kind(path) is not FileKind.INSTRUMENTS]
        self._provider = file_provider(data, symbol=symbol)
        require_symbol(symbol, self._provider.symbols(), "the files")
        self._instrument = instrument
        self._loop = loop
        self._columns: TickColumns | None = None
        self.name = f"archive {symbol}"
        self.symbols = (symbol,)

    def events(self, start_ms: int) -> Iterator[FeedEvent]:
        """Yield the events of the files; see `Feed.events`. Raises DataError for a damaged one."""
        if self._columns is None:
            self._columns = self._provider.load(self.symbols[0])
        return self._passes(self._columns, start_ms)

    def _passes(self, columns: TickColumns, start_ms: int) -> Iterator[FeedEvent]:
        first_ms, last_ms = columns.first_ts_us // 1_000, columns.last_ts_us // 1_000
        ids = trade_ids(self.name, start_ms)
        while True:
            yield from _Pass(columns, self._instrument, start_ms - first_ms, ids).events()
            if not self._loop:
                return
            start_ms += last_ms - first_ms + 1


class _Pass:
    """The files once, with `shift_ms` added to their times."""

    def __init__(
        self, columns: TickColumns, instrument: InstrumentInfo, shift_ms: int, ids: Iterator[str]
    ) -> None:
        self._columns = columns
        self._instrument = instrument
        self._shift_ms = shift_ms
        self._ids = ids

    def events(self) -> Iterator[FeedEvent]:
        """Yield trades and quotes; at one moment the mark price and the rate come first."""
        rates = (self._start(), self._marks(), self._funding())
        for _, event in heapq.merge(*rates, self._trades(), key=itemgetter(0)):
            yield event

    def _trades(self) -> Iterator[Moment]:
        columns, one = self._columns, self._instrument
        num, den = (Fraction(columns.tick_size) / Fraction(one.tick_size)).as_integer_ratio()
        before = None
        for low in range(0, len(columns), CHUNK_ROWS):
            part = slice(low, low + CHUNK_ROWS)
            for ts_us, units, size, side in zip(
                columns.ts_us[part].tolist(),
                columns.price_ticks[part].tolist(),
                columns.size[part].tolist(),
                columns.side[part].tolist(),
                strict=True,
            ):
                price = one.to_price(max(1, round_half_even(units * num, den)))
                ts_ms = ts_us // 1_000 + self._shift_ms
                if not size and units == before:
                    # a bar without volume: the price is known, nobody traded
                    yield ts_us, FeedQuote(symbol=columns.symbol, ts_ms=ts_ms, last_price=price)
                    continue
                before = units
                yield (
                    ts_us,
                    FeedTrade(
                        symbol=columns.symbol,
                        ts_ms=ts_ms,
                        price=price,
                        # a thin bar leaves nothing for some of its prices, but they were traded
                        qty=columns.size_step * size if size else one.qty_step,
                        side=SIDES.get(side),
                        trade_id=next(self._ids),
                    ),
                )

    def _quote(
        self, ts_us: int, *, mark: Decimal | None = None, rate: Decimal | None = None
    ) -> Moment:
        ts_ms = ts_us // 1_000 + self._shift_ms
        return ts_us, FeedQuote(
            symbol=self._columns.symbol, ts_ms=ts_ms, mark_price=mark, funding_rate=rate
        )

    def _start(self) -> Iterator[Moment]:
        """Yield what is in force when the first trade takes place, if anything is known."""
        columns, first_us = self._columns, self._columns.first_ts_us
        mark = columns.mark.at(first_us) if columns.mark else None
        rate = None
        if columns.funding is not None and len(columns.funding):
            row = int(columns.funding.ts_us.searchsorted(first_us, side="right"))
            row = min(row, len(columns.funding) - 1)
            rate = int(columns.funding.rate[row]) * columns.funding.step
        if mark is not None or rate is not None:
            yield self._quote(first_us, mark=mark, rate=rate)

    def _marks(self) -> Iterator[Moment]:
        mark = self._columns.mark
        if mark is None:
            return
        low, high = self._inside(mark.ts_us, self._columns.last_ts_us)
        for start in range(low, high, CHUNK_ROWS):
            part = slice(start, min(high, start + CHUNK_ROWS))
            for ts_us, price in zip(
                mark.ts_us[part].tolist(), mark.price[part].tolist(), strict=True
            ):
                yield self._quote(ts_us, mark=price * mark.step)

    def _funding(self) -> Iterator[Moment]:
        """Yield each rate just after the settlement before it, so that neither is mistaken."""
        funding = self._columns.funding
        if funding is None:
            return
        low, high = self._inside(funding.ts_us, self._columns.last_ts_us - AFTER_SETTLEMENT_US)
        for row in range(low, min(high, len(funding) - 1)):
            rate = int(funding.rate[row + 1]) * funding.step
            yield self._quote(int(funding.ts_us[row]) + AFTER_SETTLEMENT_US, rate=rate)

    def _inside(self, ts_us: Int64s, last_us: int) -> tuple[int, int]:
        """Return the rows after the first trade and not after a moment."""
        low, high = ts_us.searchsorted((self._columns.first_ts_us, last_us), side="right")
        return int(low), int(high)
