"""Jumping over quiet ticks and walking every tick make the same session, to the last digit."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from backtest.data_provider import ArchiveDataProvider
from backtest.fill_simulator import FillModel, TouchFillSimulator, TradeThroughFillSimulator
from backtest.runner import BacktestRunner
from backtest.simulated_account import SimulatedAccount
from backtest.simulation import Simulation
from backtest.synthetic import RandomWalk
from backtest.ticks import FundingColumns, TickColumns
from gridcore import (
    AmountSpec,
    GridConfig,
    InstrumentInfo,
    MMTier,
    MMTiers,
    RiskConfig,
    SafetyCaps,
    StrategyConfig,
)

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
TIERS = MMTiers((MMTier(Decimal(2_000_000), Decimal("0.005"), Decimal("0.01"), Decimal(0)),))


def session(
    columns: TickColumns, model: FillModel, *, exact: bool, deposit: int, **config: object
) -> BacktestRunner:
    instrument = InstrumentInfo(
        columns.symbol,
        columns.tick_size,
        Decimal("0.001"),
        Decimal("0.001"),
        Decimal(5),
        Decimal(1190),
    )
    parts = {"grid": GridConfig(20, 0.1), "amount": AmountSpec.parse("x0.02")} | config
    strategy = StrategyConfig(
        strat_id="test",
        instrument=instrument,
        risk=RiskConfig(0.8, 1.2, 3, 0.15),
        **parts,  # type: ignore[arg-type]
    )
    account = SimulatedAccount(Decimal(deposit), Decimal(10), TIERS)
    runner = BacktestRunner(strategy, account, model)
    simulation = Simulation(runner, columns)
    if exact:
        simulation.run_exact()
    else:
        simulation.run_jumping()
    return runner


def assert_same(columns: TickColumns, model: FillModel, deposit: int, **config: object) -> int:
    exact = session(columns, model, exact=True, deposit=deposit, **config)
    jumping = session(columns, model, exact=False, deposit=deposit, **config)
    assert exact.trades == jumping.trades
    assert exact.account.wallet == jumping.account.wallet
    assert exact.strategy.snapshot() == jumping.strategy.snapshot()
    account = exact.account
    booked = account.realised_pnl - account.fees_paid - account.funding_paid
    assert account.wallet == account.deposit + booked
    assert account.realised_pnl == sum(trade.realised_pnl for trade in exact.trades)
    assert account.fees_paid == sum(trade.fee for trade in exact.trades)
    return len(exact.trades)


@pytest.mark.parametrize("seed", range(8))
def test_random_walks(seed: int) -> None:
    walk = RandomWalk(trades_per_s=(0.2, 2.0)[seed % 2], volatility=1.0)
    columns = walk.generate(12_000, seed)
    model = (TradeThroughFillSimulator(), TouchFillSimulator())[seed // 2 % 2]
    caps = SafetyCaps(
        max_orders_per_minute=(None, 3)[seed % 2],
        session_loss_limit=(None, Decimal(5))[seed // 4],
    )
    fills = assert_same(columns, model, (130, 10_000)[seed % 2], safety_caps=caps)
    assert fills


def test_funding_is_settled_once_and_counted() -> None:
    columns = RandomWalk(trades_per_s=0.2, volatility=1.0).generate(12_000, 3)
    span = (int(columns.ts_us[-1]) - int(columns.ts_us[0])) // 5
    due = int(columns.ts_us[0]) + span * np.arange(1, 5, dtype=np.int64)
    rates = np.array([100, -50, 25, 10], dtype=np.int64)
    funding = FundingColumns(ts_us=due, rate=rates, step=Decimal("0.000001"))
    with_funding = columns.with_rates(funding=funding)
    assert_same(with_funding, TradeThroughFillSimulator(), 10_000)
    runner = session(with_funding, TradeThroughFillSimulator(), exact=False, deposit=10_000)
    assert runner.account.funding_paid != 0


@pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the project")
def test_two_hours_of_real_trades() -> None:
    path = next((REAL / "trades").glob("BINANCE-USDM_BTCUSDT_2020*"))
    provider = ArchiveDataProvider([path])
    columns = provider.load("BTCUSDT")
    assert assert_same(columns, TradeThroughFillSimulator(), 10_000) > 10
