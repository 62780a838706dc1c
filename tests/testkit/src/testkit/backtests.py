"""Small simulations with everything chosen by the test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from backtest.result.timeline import Timeline
from backtest.run.contract import Contract
from backtest.run.simulation import Simulation
from exchange_model.account.simulated_account import FeeRates, SimulatedAccount
from exchange_model.fills.fill_simulator import FillModel
from exchange_model.fills.registry import FillModelName, FillModelSettings, FillPlace
from exchange_model.funding import FundingSimulator
from exchange_model.gateway.runner import BacktestRunner
from gridcore import (
    AmountSpec,
    GridConfig,
    InstrumentInfo,
    MMTier,
    MMTiers,
    RiskConfig,
    StrategyConfig,
)
from gridcore.sides import TAKER_SELL
from market_data.basics.quality import DataQuality
from market_data.basics.time_range import TimeLike, to_us
from market_data.columns.ticks import TickColumns
from market_data.providers.data_provider import InMemoryDataProvider

TIERS = MMTiers((MMTier(Decimal(2_000_000), Decimal("0.005"), Decimal("0.01"), Decimal(0)),))
QTY_STEP = Decimal("0.001")
START_US = to_us(datetime(2026, 1, 5, 12, tzinfo=UTC))


def instrument(columns: TickColumns, qty_step: Decimal = QTY_STEP) -> InstrumentInfo:
    """Return rules that fit the columns."""
    return InstrumentInfo(
        columns.symbol, columns.tick_size, qty_step, qty_step, Decimal(5), qty_step * 10_000_000
    )


def strategy_config(
    columns: TickColumns, strat_id: str = "test", **parts: object
) -> StrategyConfig:
    """Return a small grid; `parts` replace its settings."""
    settings: dict[str, object] = {
        "grid": GridConfig(20, 0.1),
        "amount": AmountSpec.parse("x0.02"),
        "risk": RiskConfig(0.8, 1.2, 3, 0.15),
        "instrument": instrument(columns),
    }
    return StrategyConfig(strat_id=strat_id, **(settings | parts))  # type: ignore[arg-type]


def fill_model(chosen: str | FillModelSettings) -> FillModel:
    """Return a fill model, with a queue that short runs get through."""
    settings = (
        FillModelSettings(fill_model=FillModelName(chosen)) if isinstance(chosen, str) else chosen
    )
    return settings.fill_model_at(FillPlace(qty_step=QTY_STEP, queue_ahead_usdt=Decimal(20_000)))


def simulate(
    columns: TickColumns,
    configs: Sequence[StrategyConfig],
    *,
    exact: bool,
    model: str | FillModelSettings = "strict_cross",
    deposit: int = 10_000,
    latency_us: int = 0,
    fees: FeeRates | None = None,
    tiers: MMTiers = TIERS,
    funding: FundingSimulator | None = None,
) -> Simulation:
    """Run strategies on one account over the columns and return what became of it."""
    account = SimulatedAccount(Decimal(deposit), fees)
    runners = [
        BacktestRunner(
            config,
            account,
            account.add_pair(config.strat_id, config.symbol, config.leverage, tiers),
            fill_model(model),
            latency_us,
        )
        for config in configs
    ]
    if funding is None:
        funding = FundingSimulator(columns.funding)
    simulation = Simulation(account, runners, Timeline(columns), funding)
    if exact:
        simulation.run_exact()
    else:
        simulation.run_jumping()
    return simulation


def ticks(
    prices: Sequence[int],
    *,
    symbol: str = "BTCUSDT",
    tick_size: str = "0.1",
    every_us: int = 1_000_000,
    sizes: Sequence[int] | None = None,
    sides: Sequence[int] | None = None,
) -> TickColumns:
    """Return trades at these prices (in ticks), one every second, of 0.001 base coin each."""
    count = len(prices)
    return TickColumns(
        symbol=symbol,
        tick_size=Decimal(tick_size),
        size_step=QTY_STEP,
        ts_us=START_US + np.arange(count, dtype=np.int64) * every_us,
        price_ticks=np.array(prices, dtype=np.int64),
        size=np.array(sizes if sizes is not None else [1] * count, dtype=np.int64),
        side=np.array(sides if sides is not None else [TAKER_SELL] * count, dtype=np.int8),
        quality=DataQuality(rows_read=count, rows_kept=count),
    )


def contract(columns: TickColumns, tiers: MMTiers = TIERS) -> Contract:
    """Return rules that fit the columns."""
    return Contract(instrument(columns), tiers, 480, "rules of the test")


class DeadlyElsewhere(InMemoryDataProvider):
    """Ends every process that asks it, as the system does for want of memory, but the tests'."""

    def __init__(self, tests_pid: int, *columns: TickColumns) -> None:
        super().__init__(*columns)
        self._tests_pid = tests_pid

    def load(self, symbol: str, start: TimeLike = None, end: TimeLike = None) -> TickColumns:
        if os.getpid() != self._tests_pid:
            os._exit(9)
        return super().load(symbol, start, end)
