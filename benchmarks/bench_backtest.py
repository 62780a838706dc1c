"""Backtest speed: jumping and walking every tick, one core, data loaded, result complete.

The result counts trades, equity curve and metrics. 51 levels, both legs, risk rules on, strict
fills. BENCH_TICKS chooses the number of ticks (10,000,000 for the figures of the documentation).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from decimal import Decimal

from backtest.run.contract import Contract
from backtest.run.engine import run_columns
from backtest.run.sweep import run_many
from backtest.settings.config import BacktestConfig
from gridcore import InstrumentInfo
from market_data.providers.synthetic import RandomWalk
from market_data.rules.instrument_info import default_tiers

TICKS = int(os.environ.get("BENCH_TICKS", "2_000_000"))
EXACT_TICKS = 300_000
SWEEP_TICKS = 1_000_000
SWEEP_RUNS = int(os.environ.get("BENCH_SWEEP", "10"))

Row = tuple[str, float, str, str]


def config(step: str = "0.092", **changes: object) -> BacktestConfig:
    """Return the benchmark's grid: about one fill in 500 ticks of the walk."""
    strategy = {"grid_count": 50, "grid_step": step, "amount": "x0.001"}
    values: dict[str, object] = {"strategies": [strategy], "initial_balance": 100_000}
    return BacktestConfig.model_validate(values | changes)


def rows() -> Iterator[Row]:
    """Yield name, value, unit, input."""
    logging.disable(logging.ERROR)
    step = Decimal("0.001")
    instrument = InstrumentInfo("BTCUSDT", Decimal("0.1"), step, step, Decimal(5), Decimal(1500))
    contract = Contract(instrument, default_tiers("BTCUSDT"), 480, "benchmark")
    columns = RandomWalk().generate(TICKS, 7)
    for step_pct in ("0.092", "0.2"):
        session = run_columns(config(step_pct), columns, contract)
        fills = session.metrics.fills
        every = f"grid step {step_pct} %, a fill every {TICKS / max(fills, 1):.0f}"
        what = f"{TICKS:,} synthetic ticks, {every}"
        yield "backtest, jumping", session.ticks_per_s, "ticks/s", what
        yield "backtest, per fill", session.elapsed_s / max(fills, 1) * 1e6, "us", what
        yield "backtest, rows visited", session.visits, "rows", what
    few = RandomWalk().generate(EXACT_TICKS, 7)
    exact = run_columns(config(exact_ticks=True), few, contract)
    yield "backtest, every tick", exact.ticks_per_s, "ticks/s", f"{EXACT_TICKS:,} ticks"
    data = RandomWalk().generate(SWEEP_TICKS, 7)
    configs = [config(f"0.{100 + 2 * n}") for n in range(SWEEP_RUNS)]
    started = time.perf_counter()
    run_many(configs, data, contract)
    took = time.perf_counter() - started
    yield (
        "sweep, all cores",
        SWEEP_RUNS / took,
        "runs/s",
        f"{SWEEP_RUNS} grid steps over {SWEEP_TICKS:,} ticks",
    )
    logging.disable(logging.NOTSET)
