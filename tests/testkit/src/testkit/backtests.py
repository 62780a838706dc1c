"""Small simulations with everything chosen by the test."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from backtest.fill_simulator import (
    FillModel,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
)
from backtest.funding import FundingSimulator
from backtest.runner import BacktestRunner
from backtest.simulated_account import FeeRates, SimulatedAccount
from backtest.simulation import Simulation
from backtest.ticks import TickColumns
from backtest.timeline import Timeline
from gridcore import (
    AmountSpec,
    GridConfig,
    InstrumentInfo,
    MMTier,
    MMTiers,
    RiskConfig,
    StrategyConfig,
)

TIERS = MMTiers((MMTier(Decimal(2_000_000), Decimal("0.005"), Decimal("0.01"), Decimal(0)),))
QTY_STEP = Decimal("0.001")


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


def fill_model(name: str) -> FillModel:
    """Return a fill model by its name."""
    models: dict[str, FillModel] = {
        "strict_cross": TradeThroughFillSimulator(),
        "touch": TouchFillSimulator(),
        "queue": QueueFillSimulator(Decimal(20_000), QTY_STEP),
    }
    return models[name]


def simulate(
    columns: TickColumns,
    configs: Sequence[StrategyConfig],
    *,
    exact: bool,
    model: str = "strict_cross",
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
