"""A former path leads to the very module."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

MOVED = {
    "backtest.ticks": "market_data.columns.ticks",
    "backtest.quality": "market_data.basics.quality",
    "backtest.instrument_info": "market_data.rules.instrument_info",
    "backtest.fill_simulator": "exchange_model.fills.fill_simulator",
    "backtest.engine": "backtest.run.engine",
    "backtest.contract": "backtest.run.contract",
    "backtest.config": "backtest.settings.config",
}


@pytest.mark.parametrize(("former", "now"), MOVED.items())
def test_a_former_path_is_the_module_itself(former: str, now: str) -> None:
    module = importlib.import_module(former)
    assert module is importlib.import_module(now)
    assert module.__name__ == now
    assert module.__spec__ is not None
    assert module.__spec__.name == now


def test_a_path_that_never_was_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"backtest\.never"):
        importlib.import_module("backtest.never")


def test_both_ways_of_writing_it_work_in_a_fresh_process() -> None:
    code = (
        "import backtest.ticks\n"
        "from backtest.config import BacktestConfig\n"
        "from backtest import BacktestEngine, fill_simulator\n"
        "print(backtest.ticks.TickColumns.__module__, fill_simulator.__name__)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == [
        "market_data.columns.ticks",
        "exchange_model.fills.fill_simulator",
    ]
