"""Who knows the rules of a contract: saved answers, the store, the exchange, or nobody."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from backtest.contract import Contract
from backtest.market_rules import MarketRules, read_instruments, read_risk_limits
from backtest.rules_store import RulesStore
from backtest.ticks import TickColumns
from gridcore import InstrumentInfo, MMTier, MMTiers

GENERAL_TIERS = MMTiers(
    (
        MMTier(Decimal(200_000), Decimal("0.01"), Decimal("0.02"), Decimal(0)),
        MMTier(Decimal(1_000_000), Decimal("0.025"), Decimal("0.05"), Decimal(3_000)),
        MMTier(Decimal(100_000_000), Decimal("0.05"), Decimal("0.1"), Decimal(28_000)),
    )
)
FUNDING_INTERVAL_MIN = 480


class KnownContracts:
    """Rules from saved answers first, then from the store; else from the data, with a warning."""

    def __init__(
        self,
        instruments: Iterable[Path] = (),
        risk_limits: Iterable[Path] = (),
        store: Path | None = None,
    ) -> None:
        self._rules: dict[str, tuple[MarketRules, str]] = {}
        self._tiers: dict[str, tuple[MMTiers, str]] = {}
        for path in instruments:
            for symbol, rules in read_instruments(path).items():
                self._rules[symbol] = rules, path.name
        for path in risk_limits:
            for symbol, tiers in read_risk_limits(path).items():
                self._tiers[symbol] = tiers, path.name
        self._store = RulesStore(store) if store is not None and store.is_dir() else None

    def contract(self, symbol: str, columns: TickColumns) -> Contract:
        """Return the rules of a symbol; what nobody knows is assumed, and said so."""
        warnings = []
        found = self._rules.get(symbol)
        if found is None and self._store is not None:
            stored = self._store.rules(symbol)
            found = (stored, "the store") if stored is not None else None
        if found is None:
            rules, source = _from_data(columns), "assumed from the data"
            warnings.append(
                f"{symbol}: no contract rules; tick {columns.tick_size} and quantity step"
                f" {rules.instrument.qty_step} were read off the data"
            )
        else:
            rules, source = found
        tiers = self._tiers.get(symbol)
        if tiers is None and self._store is not None:
            limits = self._store.risk_limits(symbol)
            tiers = (limits, "the store") if limits is not None else None
        if tiers is None:
            tiers = GENERAL_TIERS, "general, assumed"
            warnings.append(
                f"{symbol}: no risk tiers; maintenance margin of 1 % and more was assumed, so"
                " liquidation prices are rough"
            )
        return Contract(
            rules.instrument,
            tiers[0],
            rules.funding_interval_min,
            f"rules: {source}; risk tiers: {tiers[1]}",
            tuple(warnings),
        )


def _from_data(columns: TickColumns) -> MarketRules:
    step = columns.size_step
    instrument = InstrumentInfo(
        columns.symbol, columns.tick_size, step, step, Decimal(5), step * 10**9
    )
    return MarketRules(instrument, FUNDING_INTERVAL_MIN)
