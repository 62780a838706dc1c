"""Files of any kind into the store, several at a time; one bad file does not stop the others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from market_data.basics.data_errors import DataError
from market_data.basics.paths import Paths, paths_of
from market_data.files.archive import read_archive
from market_data.files.bar_files import read_bars
from market_data.files.file_kind import FileKind, file_kind
from market_data.files.funding_files import read_funding
from market_data.rules.market_rules import read_answer, read_instruments, read_risk_limits
from market_data.store.rules_store import RulesStore
from market_data.store.series_store import BarKind, SeriesStore
from market_data.store.store import TradeStore


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of one file: `summary` in words, `faults` of its data, or an `error`."""

    file: str
    summary: str = ""
    faults: tuple[str, ...] = ()
    error: str = ""


class Importer:
    """Imports files into the store at `root`.

    `symbol` names the symbol of kline files that do not say theirs. With `strict`, files with
    corrupt, duplicate or out-of-order rows are refused.
    """

    def __init__(
        self, root: str | Path, symbol: str | None = None, *, strict: bool = False
    ) -> None:
        self.root = Path(root)
        self.symbol = symbol
        self.strict = strict

    def add_all(
        self,
        paths: Paths,
        *,
        workers: int = 2,
        done: Callable[[ImportResult], None] = lambda _: None,
    ) -> list[ImportResult]:
        """Import files on `workers` threads; `done` hears of each. Faults become results."""

        def one(path: Path) -> ImportResult:
            try:
                result = self.add(path)
            except DataError as error:
                result = ImportResult(path.name, error=str(error))
            done(result)
            return result

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(one, paths_of(paths)))

    def add(self, path: str | Path) -> ImportResult:
        """Import one file. Raises DataError."""
        path = Path(path)
        readers: dict[FileKind, Callable[[Path], ImportResult]] = {
            FileKind.TRADES: self._trades,
            FileKind.KLINES: partial(self._bars, BarKind.KLINES),
            FileKind.MARK: partial(self._bars, BarKind.MARK),
            FileKind.FUNDING: self._funding,
            FileKind.INSTRUMENTS: self._instruments,
            FileKind.RISK_LIMITS: self._risk_limits,
        }
        return readers[file_kind(path)](path)

    def _trades(self, path: Path) -> ImportResult:
        rows = read_archive(path)
        if self.strict:
            rows.quality.with_gaps(()).require_clean(path.name)
        changed = TradeStore(self.root).add(rows)
        days = f"into {', '.join(changed)}" if changed else "already there"
        text = f"{rows.symbol}: {len(rows):,} trades {days}"
        return ImportResult(path.name, text, tuple(rows.quality.faults()))

    def _bars(self, kind: BarKind, path: Path) -> ImportResult:
        bars = read_bars(path, symbol=self.symbol)
        if self.strict:
            bars.quality.require_clean(path.name)
        changed = SeriesStore(self.root).add_bars(kind, bars)
        text = f"{bars.symbol}: {len(bars):,} {kind} bars{'' if changed else ' already there'}"
        return ImportResult(path.name, text, tuple(bars.quality.faults()))

    def _funding(self, path: Path) -> ImportResult:
        store = SeriesStore(self.root)
        found = read_funding(path)
        for symbol, funding in found.items():
            store.add_funding(symbol, funding)
        rows = sum(len(funding) for funding in found.values())
        return ImportResult(path.name, f"{', '.join(found)}: {rows:,} funding settlements")

    def _instruments(self, path: Path) -> ImportResult:
        rules = read_instruments(path)
        RulesStore(self.root).put_instruments(read_answer(path))
        return ImportResult(path.name, f"rules of {len(rules):,} instruments")

    def _risk_limits(self, path: Path) -> ImportResult:
        tiers = read_risk_limits(path)
        RulesStore(self.root).put_risk_limits(read_answer(path))
        return ImportResult(path.name, f"risk limits of {', '.join(tiers)}")
