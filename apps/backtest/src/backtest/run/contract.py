"""The rules of the contract that a run trades under, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from backtest.settings.config import BacktestStrategyConfig
from exchange_model.rules.contract import ContractLimits
from gridcore import InstrumentInfo, MMTiers
from market_data.basics.data_errors import PriceOffTickError
from market_data.columns.ticks import TickColumns


@dataclass(frozen=True, slots=True)
class Contract:
    """Trading rules, margin tiers and funding interval of one symbol.

    `source` says in words where they come from; `warnings` are sentences for the report; what of
    `limits` nobody knows is not checked.
    """

    instrument: InstrumentInfo
    tiers: MMTiers
    funding_interval_min: int
    source: str
    warnings: tuple[str, ...] = ()
    limits: ContractLimits = field(default_factory=ContractLimits)


class ContractSource(Protocol):
    """Whoever knows the rules of symbols."""

    def contract(self, symbol: str, columns: TickColumns) -> Contract:
        """Return the rules of a symbol; `columns` help where nothing is known of it."""


def fit(
    columns: TickColumns, contract: Contract, strategies: Sequence[BacktestStrategyConfig]
) -> tuple[TickColumns, Contract]:
    """Return both in one tick size: the strategies' own where given, else the contract's.

    A contract whose tick does not fit the prices (data of another exchange, or from before a
    change of rules) yields to the data, with a warning. Raises PriceOffTickError for a tick size
    that was given and does not fit.
    """
    given = {one.tick_size for one in strategies if one.tick_size is not None}
    if len(given) > 1:
        sizes = ", ".join(str(size) for size in sorted(given))
        raise ValueError(f"{columns.symbol}: the strategies give tick sizes {sizes}; give one")
    if given:
        return _in_ticks(columns, contract, given.pop())
    try:
        return _in_ticks(columns, contract, contract.instrument.tick_size)
    except PriceOffTickError as error:
        warning = (
            f"{columns.symbol}: prices do not fit the contract's tick size"
            f" {contract.instrument.tick_size} ({contract.source}), for example {error.price};"
            f" {columns.tick_size} was used instead"
        )
        warned = replace(contract, warnings=(*contract.warnings, warning))
        return _in_ticks(columns, warned, columns.tick_size)


def _in_ticks(
    columns: TickColumns, contract: Contract, tick_size: Decimal
) -> tuple[TickColumns, Contract]:
    instrument = replace(contract.instrument, tick_size=tick_size)
    return columns.with_tick_size(tick_size), replace(contract, instrument=instrument)
