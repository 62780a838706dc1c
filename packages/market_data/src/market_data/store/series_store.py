"""Bars, mark prices and funding in the store: one set of columns for each series of a symbol.

STORE/SYMBOL/klines/5.json   bars of 5 minutes        STORE/SYMBOL/mark/60.json   mark-price bars
STORE/SYMBOL/funding/settled.json
"""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from market_data.basics.quality import quality_from_json, quality_to_json
from market_data.columns.bars import PRICE_FIELDS, Bars, join_bars
from market_data.columns.ticks import FundingColumns
from market_data.files.column_folder import locked, map_columns, names, open_folder, publish
from market_data.files.funding_files import join_funding

_US_PER_MIN = 60_000_000
_BAR_COLUMNS = ("start_us", *PRICE_FIELDS, "volume")
_FUNDING = "settled"


class BarKind(StrEnum):
    """What a bar's prices are."""

    KLINES = "klines"  # last trades
    MARK = "mark"


class SeriesStore:
    """Series on disk beside the trades. Safe for any number of readers and writers."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def symbols(self, kind: BarKind) -> list[str]:
        """Return the symbols with bars of `kind`, sorted."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{kind}") if names(path))

    def funding_symbols(self) -> list[str]:
        """Return the symbols with settled funding, sorted."""
        return sorted(path.parent.name for path in self.root.glob("*/funding") if names(path))

    def intervals_min(self, kind: BarKind, symbol: str) -> list[int]:
        """Return the bar lengths in minutes that exist, shortest first."""
        return sorted(int(name) for name in names(self.root / symbol / kind))

    def add_bars(self, kind: BarKind, bars: Bars) -> bool:
        """Merge bars into their series; return False if it has this very file already."""
        directory = self.root / bars.symbol / kind
        name = str(bars.interval_us // _US_PER_MIN)
        with locked(directory, name):
            kept = self.bars(kind, bars.symbol, int(name)) if name in names(directory) else None
            if kept is not None:
                present = {source.sha256 for source in kept.quality.sources}
                if {source.sha256 for source in bars.quality.sources} <= present:
                    return False
            merged = join_bars([kept, bars] if kept is not None else [bars])
            facts = {
                "interval_us": merged.interval_us,
                "price_step": format(merged.price_step, "f"),
                "volume_step": format(merged.volume_step, "f"),
                "quality": quality_to_json(merged.quality),
            }
            columns = {column: getattr(merged, column) for column in _BAR_COLUMNS}
            publish(directory, name, columns, facts)
        return True

    def bars(self, kind: BarKind, symbol: str, interval_min: int) -> Bars:
        """Return one series as memory maps. Raises UnreadableFileError."""
        folder, columns = map_columns(self.root / symbol / kind, str(interval_min), _BAR_COLUMNS)
        return Bars(
            symbol=symbol,
            interval_us=folder.facts["interval_us"],
            price_step=Decimal(folder.facts["price_step"]),
            volume_step=Decimal(folder.facts["volume_step"]),
            quality=quality_from_json(folder.facts["quality"]),
            **columns,
        )

    def finest(self, kind: BarKind, symbol: str) -> Bars | None:
        """Return the series with the shortest bars, if any."""
        intervals = self.intervals_min(kind, symbol)
        return self.bars(kind, symbol, intervals[0]) if intervals else None

    def add_funding(self, symbol: str, funding: FundingColumns) -> bool:
        """Merge settlements; return False if nothing is new.

        Raises UnreadableFileError where a settlement is stored with another rate.
        """
        directory = self.root / symbol / "funding"
        with locked(directory, _FUNDING):
            kept = self.funding(symbol)
            where = f"{symbol} funding"
            merged = funding if kept is None else join_funding(kept, funding, where)
            if kept is not None and len(merged) == len(kept):
                return False
            columns = {"ts_us": merged.ts_us, "rate": merged.rate}
            publish(directory, _FUNDING, columns, {"step": format(merged.step, "f")})
        return True

    def funding(self, symbol: str) -> FundingColumns | None:
        """Return the settled funding of a symbol, if any. Raises UnreadableFileError."""
        directory = self.root / symbol / "funding"
        if open_folder(directory, _FUNDING) is None:
            return None
        folder, columns = map_columns(directory, _FUNDING, ("ts_us", "rate"))
        return FundingColumns(step=Decimal(folder.facts["step"]), **columns)
