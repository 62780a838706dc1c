"""The local store as a source of ticks, with everything that it holds about a symbol."""

from decimal import Decimal
from pathlib import Path

from market_data.basics.data_errors import NoDataError, PriceOffTickError
from market_data.basics.quality import utc_text
from market_data.basics.time_range import TimeLike, TimeRange
from market_data.columns.bars import Bars
from market_data.columns.ticks import TickColumns
from market_data.providers.data_provider import (
    TickSizes,
    cut_to_range,
    require_symbol,
    tick_size_of,
    ticks_of_bars,
)
from market_data.store.rules_store import RulesStore
from market_data.store.series_store import BarKind, SeriesStore
from market_data.store.store import TradeStore


class StoreDataProvider:
    """Ticks from the store: trades where it has any in the range, else the bars that cover most.

    Mark prices and funding come along where stored. The tick size is the one given, else that of
    the imported instrument if it fits, else the coarsest that fits the prices.
    """

    def __init__(
        self, root: str | Path, *, tick_sizes: TickSizes = None, strict: bool = False
    ) -> None:
        self._root = Path(root)
        self._trades = TradeStore(self._root)
        self._series = SeriesStore(self._root)
        self._rules = RulesStore(self._root)
        self._tick_sizes = tick_sizes
        self._strict = strict

    def symbols(self) -> list[str]:
        """Return the symbols with trades or bars, sorted."""
        return sorted({*self._trades.symbols(), *self._series.symbols(BarKind.KLINES)})

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return the ticks of the range.

        Raises UnknownSymbolError, NoDataError, WrongRangeError, PriceOffTickError,
        UnreadableFileError, and ImperfectDataError when strict.
        """
        wanted = TimeRange.parse(start, end)
        require_symbol(symbol, self.symbols(), f"the store {self._root}")
        columns = self._ticks(symbol, wanted)
        if self._strict:
            columns.quality.require_clean(symbol)
        mark = self._series.finest(BarKind.MARK, symbol)
        return columns.with_rates(
            mark=mark.to_mark() if mark else None, funding=self._series.funding(symbol)
        )

    def _ticks(self, symbol: str, wanted: TimeRange) -> TickColumns:
        given = tick_size_of(symbol, self._tick_sizes)
        if given is not None:
            return self._in_ticks(symbol, wanted, given)
        try:
            return self._in_ticks(symbol, wanted, self._rules.tick_size(symbol))
        except PriceOffTickError:
            # the contract had another tick size when this data was made
            return self._in_ticks(symbol, wanted, None)

    def _in_ticks(self, symbol: str, wanted: TimeRange, tick_size: Decimal | None) -> TickColumns:
        try:
            return cut_to_range(self._trades.load(symbol, wanted, tick_size), wanted)
        except NoDataError:
            bars = self._best_bars(symbol, wanted)
            if bars is None:
                raise NoDataError(
                    f"{symbol}: no data from {wanted}; there is {self._what_exists(symbol)}"
                ) from None
            return ticks_of_bars(bars, wanted, tick_size)

    def _best_bars(self, symbol: str, wanted: TimeRange) -> Bars | None:
        """Return the bars that cover most of the range, the shortest of equals; None for none."""
        best, best_us = None, 0
        for minutes in self._series.intervals_min(BarKind.KLINES, symbol):
            bars = self._series.bars(BarKind.KLINES, symbol, minutes)
            covered_us = len(bars.between(wanted)) * bars.interval_us
            if covered_us > best_us:
                best, best_us = bars, covered_us
        return best

    def _what_exists(self, symbol: str) -> str:
        """Return the ranges of the symbol, at most a few words each."""
        days = self._trades.days(symbol)
        found = []
        if days:
            span = f"{utc_text(days[0].first_ts_us)} to {utc_text(days[-1].last_ts_us)}"
            found.append(f"{span} (trades of {len(days)} days)")
        for minutes in self._series.intervals_min(BarKind.KLINES, symbol):
            bars = self._series.bars(BarKind.KLINES, symbol, minutes)
            span = f"{utc_text(int(bars.start_us[0]))} to {utc_text(int(bars.start_us[-1]))}"
            found.append(f"{span} (bars of {minutes} min)")
        return ", ".join(found) or "none at all"
