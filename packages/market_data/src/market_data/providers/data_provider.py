"""Where a backtest gets its market data from: one `load`, whatever the form of the data.

A provider over the database belongs here too; it needs nothing but `symbols` and `load`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from market_data.basics.data_errors import NoDataError, UnknownSymbolError
from market_data.basics.paths import Paths, paths_of
from market_data.basics.quality import DEFAULT_GAP_US, Gap, utc_text
from market_data.basics.time_range import FIRST_US, LAST_US, TimeLike, TimeRange
from market_data.columns.bars import Bars, join_bars
from market_data.columns.ticks import FundingColumns, MarkPriceColumns, TickColumns
from market_data.columns.trade_rows import join
from market_data.files.archive import peek_symbol, read_archives
from market_data.files.bar_files import read_bars

TickSizes = Decimal | Mapping[str, Decimal] | None


class HistoricalDataProvider(Protocol):
    """A source of ticks by symbol and time."""

    def symbols(self) -> list[str]:
        """Return the symbols it holds, sorted."""

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return the ticks of `symbol` in the range (see `TimeRange.parse`).

        Raises UnknownSymbolError, NoDataError, WrongRangeError and what reading can raise.
        """


class InMemoryDataProvider:
    """Columns that exist already: made by hand, by the generator or loaded once for many runs."""

    def __init__(self, *columns: TickColumns) -> None:
        self._columns = {one.symbol: one for one in columns}

    def symbols(self) -> list[str]:
        """Return the symbols it holds, sorted."""
        return sorted(self._columns)

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return views of the range. Raises UnknownSymbolError, NoDataError, WrongRangeError."""
        wanted = TimeRange.parse(start, end)
        require_symbol(symbol, self._columns, "the data in memory")
        return cut_to_range(self._columns[symbol], wanted)


class ArchiveDataProvider:
    """Bybit trade archives (CSV, CSV.GZ) on disk, of one or several symbols and days.

    `tick_sizes` is one size for all, or one per symbol; a symbol without one gets the coarsest
    tick that fits its prices. With `strict`, imperfect data is refused (ImperfectDataError).
    """

    def __init__(
        self,
        paths: Paths,
        *,
        tick_sizes: TickSizes = None,
        strict: bool = False,
        workers: int = 2,
    ) -> None:
        self._paths: dict[str, list[Path]] = {}
        for path in sorted(paths_of(paths)):
            self._paths.setdefault(peek_symbol(path), []).append(path)
        self._tick_sizes = tick_sizes
        self._strict = strict
        self._workers = workers

    def symbols(self) -> list[str]:
        """Return the symbols of the files, sorted."""
        return sorted(self._paths)

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Read the files of `symbol` and return the range.

        Raises UnknownSymbolError, NoDataError, WrongRangeError, PriceOffTickError,
        TruncatedFileError, UnreadableFileError, and ImperfectDataError when strict.
        """
        wanted = TimeRange.parse(start, end)
        require_symbol(symbol, self._paths, "the files")
        tick_size = tick_size_of(symbol, self._tick_sizes)
        rows = join(read_archives(self._paths[symbol], tick_size=tick_size, workers=self._workers))
        columns = cut_to_range(rows.to_columns(tick_size), wanted)
        if self._strict:
            columns.quality.require_clean(symbol)
        return columns


class KlineDataProvider:
    """Kline files on disk, of one or several symbols; a bar becomes four ticks (see `bars`).

    The symbol is in each file's name or answer, or `symbol` for all files.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        symbol: str | None = None,
        tick_sizes: TickSizes = None,
        strict: bool = False,
    ) -> None:
        self._parts: dict[str, list[Bars]] = {}
        for path in sorted(paths_of(paths)):
            bars = read_bars(path, symbol=symbol)
            self._parts.setdefault(bars.symbol, []).append(bars)
        self._tick_sizes = tick_sizes
        self._strict = strict

    def symbols(self) -> list[str]:
        """Return the symbols of the files, sorted."""
        return sorted(self._parts)

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return the ticks of the range, declared as an approximation.

        Raises UnknownSymbolError, NoDataError, WrongRangeError, PriceOffTickError, and
        ImperfectDataError when strict.
        """
        wanted = TimeRange.parse(start, end)
        require_symbol(symbol, self._parts, "the files")
        bars = join_bars(self._parts[symbol])
        columns = ticks_of_bars(bars, wanted, tick_size_of(symbol, self._tick_sizes))
        if self._strict:
            columns.quality.require_clean(symbol)
        return columns


class RatedDataProvider:
    """Puts mark prices and settled funding beside the ticks of another provider."""

    def __init__(
        self,
        ticks: HistoricalDataProvider,
        *,
        mark: Mapping[str, MarkPriceColumns],
        funding: Mapping[str, FundingColumns],
    ) -> None:
        self._ticks = ticks
        self._mark = mark
        self._funding = funding

    def symbols(self) -> list[str]:
        """Return the symbols with ticks, sorted."""
        return self._ticks.symbols()

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        """Return what the other provider returns, with the whole history of rates."""
        columns = self._ticks.load(symbol, start, end)
        return columns.with_rates(mark=self._mark.get(symbol), funding=self._funding.get(symbol))


def tick_size_of(symbol: str, tick_sizes: TickSizes) -> Decimal | None:
    """Return the tick size that `tick_sizes` gives for `symbol`, if any."""
    return tick_sizes.get(symbol) if isinstance(tick_sizes, Mapping) else tick_sizes


def require_symbol(symbol: str, known: Iterable[str], where: str) -> None:
    """Raise UnknownSymbolError that lists what exists, unless `symbol` is known."""
    names: Sequence[str] = sorted(known)
    if symbol not in names:
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise UnknownSymbolError(
            f"{symbol}: no such symbol in {where}; there is {shown or 'nothing at all'}"
        )


def ticks_of_bars(bars: Bars, wanted: TimeRange, tick_size: Decimal | None) -> TickColumns:
    """Return the ticks of the bars that touch `wanted`, cut to it.

    Raises NoDataError, PriceOffTickError.
    """
    touching = TimeRange(wanted.start_us - bars.interval_us + 1, wanted.end_us)
    chosen = bars.between(touching)
    columns = (chosen if len(chosen) else bars).to_columns(tick_size or bars.fitting_tick())
    return cut_to_range(columns, wanted, max(DEFAULT_GAP_US, bars.interval_us))


def cut_to_range(
    columns: TickColumns, wanted: TimeRange, gap_us: int = DEFAULT_GAP_US
) -> TickColumns:
    """Return the ticks in `wanted`; ends missing for longer than `gap_us` are gaps.

    Raises NoDataError that says which range exists.
    """
    cut = columns
    if not (
        len(columns)
        and wanted.start_us <= columns.first_ts_us
        and columns.last_ts_us < wanted.end_us
    ):
        cut = columns.between(wanted.start_us, wanted.end_us)
    if not len(cut):
        exists = (
            f"there is {utc_text(columns.first_ts_us)} to {utc_text(columns.last_ts_us)}"
            if len(columns)
            else "there is none at all"
        )
        raise NoDataError(f"{columns.symbol}: no data from {wanted}; {exists}")
    gaps = list(cut.quality.gaps)
    before = Gap(wanted.start_us, cut.first_ts_us)
    after = Gap(cut.last_ts_us, wanted.end_us)
    if wanted.start_us != FIRST_US and before.to_us - before.from_us > gap_us:
        gaps = [gap for gap in gaps if gap.to_us > cut.first_ts_us]
        gaps.insert(0, before)
    if wanted.end_us != LAST_US and after.to_us - after.from_us > gap_us:
        gaps = [gap for gap in gaps if gap.from_us < cut.last_ts_us]
        gaps.append(after)
    if gaps == list(cut.quality.gaps):
        return cut
    return cut.with_quality(cut.quality.with_gaps(gaps))
