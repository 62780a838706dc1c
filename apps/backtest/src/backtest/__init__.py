"""Historical simulation on real data, with reports."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from grid_config.former_paths import keep_former_paths

if TYPE_CHECKING:
    from backtest.run.engine import BacktestEngine
    from backtest.settings.config import BacktestConfig, BacktestStrategyConfig

__all__ = ["BacktestConfig", "BacktestEngine", "BacktestStrategyConfig"]

_HOMES = {
    "BacktestConfig": "backtest.settings.config",
    "BacktestEngine": "backtest.run.engine",
    "BacktestStrategyConfig": "backtest.settings.config",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


keep_former_paths(
    __name__,
    {
        "config": "backtest.settings.config",
        "contract": "backtest.run.contract",
        "engine": "backtest.run.engine",
        "fill_simulator": "exchange_model.fills.fill_simulator",
        "instrument_info": "market_data.rules.instrument_info",
        "quality": "market_data.basics.quality",
        "simulated_account": "exchange_model.account.simulated_account",
        "ticks": "market_data.columns.ticks",
    },
)
