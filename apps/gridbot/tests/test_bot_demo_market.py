"""The made-up market of conf/demo.yaml fills orders of both demo grids within seconds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridbot.settings.config import StrategySettings
from gridbot.settings.config_file import load_gridbot_config
from paper_exchange.builder import build
from paper_exchange.market.market import FeedTrade
from testkit.backtests import simulate, ticks

DEMO = load_gridbot_config(Path(__file__).resolve().parents[3] / "conf" / "demo.yaml", {})
START_MS = 1_785_000_000_000
SECONDS = 120


def market() -> dict[str, list[FeedTrade]]:
    """Return the first trades of each symbol, by symbol."""
    assert DEMO.paper is not None
    _, events = build(DEMO.paper, _no_database, start_ms=START_MS)
    found: dict[str, list[FeedTrade]] = {}
    until = START_MS + SECONDS * 1_000
    for event in itertools.takewhile(lambda one: one.ts_ms < until, events):
        if isinstance(event, FeedTrade):
            found.setdefault(event.symbol, []).append(event)
    return found


def _no_database(url: str) -> object:
    raise AssertionError(url)


@pytest.mark.parametrize("strategy", DEMO.strategies, ids=lambda one: one.strat_id)
def test_the_demo_trades_within_seconds(strategy: StrategySettings) -> None:
    trades = market()[strategy.symbol]
    assert DEMO.paper is not None
    listed, _ = build(DEMO.paper, _no_database, start_ms=START_MS)
    instrument = listed.exchange.markets[strategy.symbol].listing.instrument
    columns = ticks(
        [instrument.to_ticks(trade.price) for trade in trades],
        symbol=strategy.symbol,
        tick_size=str(instrument.tick_size),
    )
    times = np.array([trade.ts_ms * 1_000 for trade in trades], dtype=np.int64)
    columns = replace(columns, ts_us=times)
    config = DEMO.strategy_config(strategy, instrument)
    simulation = simulate(columns, [config], exact=True)
    (runner,) = simulation.runners
    seconds = [(trade.ts_us / 1_000 - START_MS) / 1_000 for trade in runner.trades]
    assert min(seconds) < 10
    assert len(seconds) > 10
