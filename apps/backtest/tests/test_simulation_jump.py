"""Jumping over quiet rows and walking every row make the same session, to the last digit."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.result.timeline import Timeline
from backtest.result.track import TrackedValues
from backtest.run.simulation import Simulation
from backtest.run.sources import provider_of
from backtest.settings.config import DataSettings
from exchange_model.account.simulated_account import SimulatedAccount
from exchange_model.fills.registry import FILL_MODELS, FillModelName, FillModelSettings
from exchange_model.funding import FundingSimulator
from exchange_model.gateway.runner import BacktestRunner
from gridcore import (
    AmountSpec,
    GridConfig,
    GridStrategy,
    RiskConfig,
    SafetyCaps,
    StrategyConfig,
)
from market_data.columns.ticks import FundingColumns, TickColumns, TickerColumns
from market_data.providers.data_provider import ArchiveDataProvider
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import TIERS, fill_model, instrument, simulate, strategy_config

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "real"
pytestmark = pytest.mark.untraced
MODELS = tuple(FILL_MODELS)


def assert_same(columns: TickColumns, configs: list[StrategyConfig], **world: object) -> Simulation:
    exact = simulate(columns, configs, exact=True, **world)  # type: ignore[arg-type]
    jumping = simulate(columns, configs, exact=False, **world)  # type: ignore[arg-type]
    for walked, jumped in zip(exact.runners, jumping.runners, strict=True):
        assert walked.trades == jumped.trades
        assert walked.funding == jumped.funding
        assert walked.strategy.snapshot() == jumped.strategy.snapshot()
        assert walked.executor.placed == jumped.executor.placed
    assert exact.account.wallet == jumping.account.wallet
    assert exact.liquidation == jumping.liquidation
    assert exact.track.states == jumping.track.states
    values = [
        TrackedValues(s.track.states, s.timeline, columns.tick_size) for s in (exact, jumping)
    ]
    assert values[0].drawdown() == values[1].drawdown()
    assert values[0].sample(60_000_000) == values[1].sample(60_000_000)
    assert jumping.visits <= exact.visits
    account = jumping.account
    booked = account.realised_pnl - account.fees_paid - account.funding_paid
    assert account.wallet == account.deposits + booked
    trades = [trade for runner in jumping.runners for trade in runner.trades]
    assert account.realised_pnl == sum(trade.realised_pnl for trade in trades)
    assert account.fees_paid == sum(trade.fee for trade in trades)
    payments = [payment for runner in jumping.runners for payment in runner.funding]
    assert account.funding_paid == sum(payment.paid for payment in payments)
    return jumping


def trade_count(simulation: Simulation) -> int:
    return sum(len(runner.trades) for runner in simulation.runners)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(6))
def test_random_walks(seed: int, model: str) -> None:
    walk = RandomWalk(trades_per_s=(0.2, 2.0)[seed % 2], volatility=1.0)
    columns = walk.generate(8_000, seed)
    caps = SafetyCaps(
        max_orders_per_minute=(None, 3)[seed % 2],
        session_loss_limit=(None, Decimal(5))[seed // 4],
    )
    config = strategy_config(columns, safety_caps=caps)
    deposit = (130, 10_000)[seed % 2]
    assert trade_count(assert_same(columns, [config], model=model, deposit=deposit))


def by_chance(chance: str, seed: int = 1) -> FillModelSettings:
    return FillModelSettings(
        fill_model=FillModelName.CHANCE, fill_chance=Decimal(chance), fill_seed=seed
    )


@pytest.mark.parametrize(("chance", "same_as"), [("0", "strict_cross"), ("1", "touch")])
def test_a_chance_of_nothing_and_of_certainty(chance: str, same_as: str) -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.0).generate(6_000, 11)
    config = strategy_config(columns)
    drawn = simulate(columns, [config], exact=False, model=by_chance(chance))
    certain = simulate(columns, [config], exact=False, model=same_as)
    assert trade_count(certain) > 10
    assert drawn.runners[0].trades == certain.runners[0].trades
    assert drawn.account.wallet == certain.account.wallet


def test_a_seed_decides_what_fills_at_the_limit() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.0).generate(6_000, 11)
    config = strategy_config(columns)
    runs = [
        assert_same(columns, [config], model=by_chance("0.3", seed)).runners[0].trades
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    model=st.sampled_from(MODELS),
    latency_us=st.sampled_from([0, 50_000, 5_000_000]),
    deposit=st.sampled_from([40, 130, 10_000]),
    amount=st.sampled_from(["x0.02", "x0.2", "b0.002", "30"]),
    count=st.sampled_from([6, 20, 50]),
    two=st.booleans(),
)
def test_random_settings(
    seed: int, model: str, latency_us: int, deposit: int, amount: str, count: int, two: bool
) -> None:
    columns = RandomWalk(trades_per_s=1.0, volatility=1.5).generate(2_500, seed)
    first = strategy_config(
        columns, "one", grid=GridConfig(count, 0.1), amount=AmountSpec.parse(amount)
    )
    configs = [first]
    if two:
        configs.append(replace(first, strat_id="two", grid=GridConfig(10, 0.15)))
    assert_same(columns, configs, model=model, latency_us=latency_us, deposit=deposit)


class Attentive(GridStrategy):
    """Looks at every ticker as if it knew of no quiet band."""

    def pass_quiet(self, price: Decimal, now: datetime) -> bool:
        return False


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    deposit=st.sampled_from([60, 130, 10_000]),
    amount=st.sampled_from(["x0.02", "x0.002", "b0.002", "8"]),
    count=st.sampled_from([6, 20, 50]),
    risk=st.sampled_from([RiskConfig(0.8, 1.2, 3, 0.15), RiskConfig(0.5, 2.0, 3, 20.0)]),
    most_orders=st.sampled_from([None, 12]),
)
def test_whoever_looks_at_every_tick_decides_the_same(
    seed: int, deposit: int, amount: str, count: int, risk: RiskConfig, most_orders: int | None
) -> None:
    """Walking every tick relies on the quiet band too, so this is the test of the band itself."""
    columns = RandomWalk(trades_per_s=0.2, volatility=1.5).generate(1_500, seed)
    config = strategy_config(
        columns,
        grid=GridConfig(count, 0.08),
        amount=AmountSpec.parse(amount),
        risk=risk,
        safety_caps=SafetyCaps(max_open_orders=most_orders),
    )
    jumping = simulate(columns, [config], exact=False, deposit=deposit)
    attentive = walk_attentively(columns, config, deposit)
    for theirs, ours in zip(attentive.runners, jumping.runners, strict=True):
        assert theirs.trades == ours.trades
        assert theirs.strategy.snapshot() == ours.strategy.snapshot()
        assert theirs.executor.placed == ours.executor.placed
    assert attentive.track.states == jumping.track.states


def walk_attentively(columns: TickColumns, config: StrategyConfig, deposit: int) -> Simulation:
    account = SimulatedAccount(Decimal(deposit))
    pair = account.add_pair(config.strat_id, config.symbol, config.leverage, TIERS)
    runner = BacktestRunner(config, account, pair, fill_model("strict_cross"))
    runner.strategy = Attentive(config)
    simulation = Simulation(account, [runner], Timeline(columns), FundingSimulator(None))
    simulation.run_exact()
    return simulation


def test_tickers_decide_while_trades_fill() -> None:
    columns = RandomWalk(trades_per_s=1.0, volatility=1.5).generate(6_000, 5)
    every = slice(3, None, 4)
    tickers = TickerColumns(
        ts_us=columns.ts_us[every] + 1, price_ticks=columns.price_ticks[every].copy()
    )
    both = replace(columns, tickers=tickers)
    assert trade_count(assert_same(both, [strategy_config(both)])) > 10
    assert trade_count(assert_same(both, [strategy_config(both)], latency_us=100_000)) > 10


def test_funding_is_settled_once_and_counted() -> None:
    columns = RandomWalk(trades_per_s=0.2, volatility=1.0).generate(12_000, 3)
    span = (int(columns.ts_us[-1]) - int(columns.ts_us[0])) // 5
    due = int(columns.ts_us[0]) + span * np.arange(1, 5, dtype=np.int64)
    rates = np.array([100, -50, 25, 10], dtype=np.int64)
    funding = FundingColumns(ts_us=due, rate=rates, step=Decimal("0.000001"))
    with_funding = columns.with_rates(funding=funding)
    simulation = assert_same(with_funding, [strategy_config(with_funding)])
    assert simulation.account.funding_paid != 0


@pytest.mark.skipif(not REAL.is_dir(), reason="no real market data beside the project")
def test_two_hours_of_real_trades() -> None:
    path = next((REAL / "trades").glob("BINANCE-USDM_BTCUSDT_2020*"))
    columns = ArchiveDataProvider([path]).load("BTCUSDT")
    for model in MODELS:
        assert trade_count(assert_same(columns, [strategy_config(columns)], model=model)) > 10


REAL_FILES = (
    sorted([*(REAL / "trades").iterdir(), *(REAL / "klines").iterdir()]) if REAL.is_dir() else []
)


@pytest.mark.skipif(not REAL_FILES, reason="no real market data beside the project")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.name.split(".")[0])
def test_every_real_file(path: Path) -> None:
    """With real funding and marks; of long files the days around the crash of 2025-10-10."""
    rates = [REAL / "funding", REAL / "mark"]
    provider = provider_of(DataSettings(files=(path, *rates)))
    symbol = provider.symbols()[0]
    start, end = ("2025-10-08", "2025-10-13") if "_5m_" in path.name else (None, None)
    columns = provider.load(symbol, start, end)
    if len(columns) > 30_000:
        columns = columns.between(columns.first_ts_us, int(columns.ts_us[30_000]))
    bars = "klines" in path.parts
    config = strategy_config(
        columns,
        grid=GridConfig(50, 0.5 if bars else 0.1),
        amount=AmountSpec.parse("x0.05"),
        instrument=instrument(columns, columns.size_step),
    )
    model = MODELS[len(path.name) % 3]
    assert_same(columns, [config], model=model, latency_us=(0, 250_000)[len(path.name) % 2])
