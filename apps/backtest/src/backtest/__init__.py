"""Historical simulation on real data, with reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from backtest.run.engine import BacktestEngine
    from backtest.settings.config import BacktestConfig, BacktestStrategyConfig

__all__ = ["BacktestConfig", "BacktestEngine", "BacktestStrategyConfig"]

__getattr__ = names_of(
    __name__,
    {
        "BacktestConfig": "backtest.settings.config",
        "BacktestEngine": "backtest.run.engine",
        "BacktestStrategyConfig": "backtest.settings.config",
    },
)

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
