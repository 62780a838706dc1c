"""What a store holds: ranges, rows and gaps of every series."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from market_data.basics.quality import DEFAULT_GAP_US, Gap
from market_data.store.rules_store import RulesStore
from market_data.store.series_store import BarKind, SeriesStore
from market_data.store.store import TradeStore


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """One series of one symbol. Times are microseconds UTC of its first and last entry."""

    symbol: str
    what: str
    rows: int
    first_us: int
    last_us: int
    gaps: tuple[Gap, ...] = ()
    faults: tuple[str, ...] = ()


def describe_store(root: str | Path) -> list[SeriesInfo]:
    """Return all series by symbol. Raises UnreadableFileError for a damaged manifest."""
    root = Path(root)
    series = [*_trades(root), *_bars(root), *_funding(root)]
    return sorted(series, key=lambda info: (info.symbol, info.what))


def describe_rules(root: str | Path) -> tuple[list[str], list[str]]:
    """Return the symbols with instrument rules and those with risk limits."""
    rules = RulesStore(root)
    return rules.symbols(), rules.risk_limit_symbols()


def damaged_columns(root: str | Path) -> list[str]:
    """Return every trade column on disk that no longer has its checksum (reads everything)."""
    store = TradeStore(root)
    return [f"{symbol}/{column}" for symbol in store.symbols() for column in store.damaged(symbol)]


def _trades(root: Path) -> Iterator[SeriesInfo]:
    store = TradeStore(root)
    for symbol in store.symbols():
        days = store.days(symbol)
        gaps = [gap for day in days for gap in day.quality.gaps]
        gaps += [
            Gap(before.last_ts_us, after.first_ts_us)
            for before, after in pairwise(days)
            if after.first_ts_us - before.last_ts_us > DEFAULT_GAP_US
        ]
        faults = [
            f"{day.day}: {fault}" for day in days for fault in day.quality.with_gaps(()).faults()
        ]
        yield SeriesInfo(
            symbol,
            f"trades, {len(days)} day{'' if len(days) == 1 else 's'}",
            sum(day.rows for day in days),
            days[0].first_ts_us,
            days[-1].last_ts_us,
            tuple(sorted(gaps)),
            tuple(faults),
        )


def _bars(root: Path) -> Iterator[SeriesInfo]:
    store = SeriesStore(root)
    for kind in BarKind:
        for symbol in store.symbols(kind):
            for minutes in store.intervals_min(kind, symbol):
                bars = store.bars(kind, symbol, minutes)
                yield SeriesInfo(
                    symbol,
                    f"{kind}, {minutes} min",
                    len(bars),
                    int(bars.start_us[0]),
                    int(bars.start_us[-1]),
                    bars.quality.gaps,
                    tuple(bars.quality.with_gaps(()).faults()),
                )


def _funding(root: Path) -> Iterator[SeriesInfo]:
    store = SeriesStore(root)
    for symbol in store.funding_symbols():
        funding = store.funding(symbol)
        if funding is not None and len(funding):
            first, last = int(funding.ts_us[0]), int(funding.ts_us[-1])
            yield SeriesInfo(symbol, "funding", len(funding), first, last)
