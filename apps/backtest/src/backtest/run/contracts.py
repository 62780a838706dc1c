"""Who knows the rules of a contract: saved answers, the store, then `InstrumentInfoProvider`.

What nobody knows is read off the data, with a warning.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from backtest.run.contract import Contract
from exchange_model.rules.contract import ContractLimits
from gridcore import InstrumentInfo, MMTiers
from market_data.basics.paths import Paths, paths_of
from market_data.columns.ticks import TickColumns
from market_data.rules.instrument_info import (
    FUNDING_INTERVAL_MIN,
    FoundRules,
    InstrumentInfoProvider,
    RulesSource,
    default_tiers,
)
from market_data.rules.market_rules import MarketRules, read_instruments, read_risk_limits
from market_data.store.rules_store import RulesStore

MIN_NOTIONAL = Decimal(5)  # USDT; what Bybit asks of every USDT contract


class KnownContracts:
    """Rules of contracts, and in words where each part comes from."""

    def __init__(
        self,
        instruments: Paths = (),
        risk_limits: Paths = (),
        store: str | Path | None = None,
        provider: InstrumentInfoProvider | None = None,
    ) -> None:
        self._rules: dict[str, tuple[MarketRules, str]] = {}
        self._tiers: dict[str, tuple[MMTiers, str]] = {}
        for path in paths_of(instruments):
            for symbol, rules in read_instruments(path).items():
                self._rules[symbol] = rules, path.name
        for path in paths_of(risk_limits):
            for symbol, tiers in read_risk_limits(path).items():
                self._tiers[symbol] = tiers, path.name
        self._store = RulesStore(store) if store is not None and Path(store).is_dir() else None
        self._provider = provider or InstrumentInfoProvider(None)

    def contract(self, symbol: str, columns: TickColumns) -> Contract:
        """Return the rules of a symbol; what nobody knows is assumed, and said so."""
        warnings: list[str] = []
        saved_rules, saved_tiers = self._saved_rules(symbol), self._saved_tiers(symbol)
        found = None
        if saved_rules is None or saved_tiers is None:
            found = self._provider.get(symbol)
        rules, source = saved_rules or _rules_of(found)
        if rules is None:
            rules, source = _from_data(columns), "read off the data"
            warnings.append(
                f"{symbol}: nobody knows its contract; tick {columns.tick_size:f} and quantity step"
                f" {columns.size_step:f} were read off the data"
            )
        tiers, tiers_source = saved_tiers or _tiers_of(symbol, found)
        if found is None or found.source is RulesSource.DEFAULTS:
            warnings += _assumed(symbol, source, tiers_source)
        return Contract(
            rules.instrument,
            tiers,
            rules.funding_interval_min,
            f"rules: {source}; risk tiers: {tiers_source}",
            tuple(warnings),
            ContractLimits.of(rules.limits),
        )

    def _saved_rules(self, symbol: str) -> tuple[MarketRules, str] | None:
        saved = self._rules.get(symbol)
        if saved is not None:
            return saved
        stored = self._store.rules(symbol) if self._store is not None else None
        return None if stored is None else (stored, "the store")

    def _saved_tiers(self, symbol: str) -> tuple[MMTiers, str] | None:
        saved = self._tiers.get(symbol)
        if saved is not None:
            return saved
        stored = self._store.risk_limits(symbol) if self._store is not None else None
        return None if stored is None else (stored, "the store")


def _rules_of(found: FoundRules | None) -> tuple[MarketRules | None, str]:
    if found is None:
        return None, ""
    rules = MarketRules(found.instrument, found.funding_interval_min, found.limits)
    return rules, found.describe()


def _tiers_of(symbol: str, found: FoundRules | None) -> tuple[MMTiers, str]:
    if found is None:
        return default_tiers(symbol), RulesSource.DEFAULTS.value
    return found.tiers, found.describe()


def _assumed(symbol: str, *sources: str) -> list[str]:
    names = [
        name
        for name, source in zip(("contract rules", "risk tiers"), sources, strict=True)
        if source == RulesSource.DEFAULTS.value
    ]
    if not names:
        return []
    return [
        (
            f"{symbol}: {' and '.join(names)} are built-in defaults, which may be old; import the"
            " exchange's answers with 'python -m backtest.data import'"
        )
    ]


def _from_data(columns: TickColumns) -> MarketRules:
    step = columns.size_step
    instrument = InstrumentInfo(
        columns.symbol, columns.tick_size, step, step, MIN_NOTIONAL, step * 10**9
    )
    return MarketRules(instrument, FUNDING_INTERVAL_MIN)
