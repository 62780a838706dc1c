"""Any files of market data as one source of ticks: sorted by what they contain."""

from decimal import Decimal
from pathlib import Path

from market_data.basics.data_errors import DataError
from market_data.basics.paths import Paths, paths_of
from market_data.columns.bars import Bars, join_bars
from market_data.columns.ticks import FundingColumns, MarkPriceColumns
from market_data.files.bar_files import read_bars
from market_data.files.file_kind import FileKind, file_kind
from market_data.files.funding_files import join_funding, read_funding
from market_data.providers.data_provider import (
    ArchiveDataProvider,
    HistoricalDataProvider,
    KlineDataProvider,
    RatedDataProvider,
    TickSizes,
)
from market_data.rules.market_rules import read_instruments


def file_provider(
    paths: Paths,
    *,
    symbol: str | None = None,
    tick_sizes: TickSizes = None,
    strict: bool = False,
) -> HistoricalDataProvider:
    """Return a provider over trade archives or klines, with any mark and funding files.

    Instruments files give tick sizes where `tick_sizes` does not; `symbol` names the symbol of
    kline and mark files that do not say theirs. Raises DataError if there are neither trades nor
    klines, or both (which of them should drive the run is the caller's decision).
    """
    sorted_paths: dict[FileKind, list[Path]] = {kind: [] for kind in FileKind}
    for path in paths_of(paths):
        sorted_paths[file_kind(path)].append(path)
    trades, klines = sorted_paths[FileKind.TRADES], sorted_paths[FileKind.KLINES]
    if bool(trades) == bool(klines):
        found = "both trades and klines" if trades else "neither trades nor klines"
        raise DataError(f"the files hold {found}; pass one of the two")
    sizes = _tick_sizes(sorted_paths[FileKind.INSTRUMENTS], tick_sizes)
    ticks: HistoricalDataProvider = (
        ArchiveDataProvider(trades, tick_sizes=sizes, strict=strict)
        if trades
        else KlineDataProvider(klines, symbol=symbol, tick_sizes=sizes, strict=strict)
    )
    return RatedDataProvider(
        ticks,
        mark=_mark(sorted_paths[FileKind.MARK], symbol),
        funding=_funding(sorted_paths[FileKind.FUNDING]),
    )


def _tick_sizes(paths: list[Path], given: TickSizes) -> TickSizes:
    if isinstance(given, Decimal) or not paths:
        return given
    listed = {
        symbol: rules.instrument.tick_size
        for path in paths
        for symbol, rules in read_instruments(path).items()
    }
    return {**listed, **(given or {})}


def _mark(paths: list[Path], symbol: str | None) -> dict[str, MarkPriceColumns]:
    parts: dict[str, list[Bars]] = {}
    for path in paths:
        bars = read_bars(path, symbol=symbol)
        parts.setdefault(bars.symbol, []).append(bars)
    return {name: join_bars(bars).to_mark() for name, bars in parts.items()}


def _funding(paths: list[Path]) -> dict[str, FundingColumns]:
    joined: dict[str, FundingColumns] = {}
    for path in paths:
        for symbol, funding in read_funding(path).items():
            known = joined.get(symbol)
            where = f"{path.name} {symbol}"
            joined[symbol] = join_funding(known, funding, where) if known else funding
    return joined
