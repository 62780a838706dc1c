"""Historical simulation on real data, with reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import keep_former_paths, names_of

if TYPE_CHECKING:
    from backtest.report.reporter import BacktestReporter
    from backtest.result.metrics import BacktestMetrics
    from backtest.result.session import BacktestSession
    from backtest.run.engine import BacktestEngine
    from backtest.settings.config import BacktestConfig, BacktestStrategyConfig, WindDownMode
    from exchange_model.trades import BacktestTrade
    from market_data.providers.data_provider import (
        ArchiveDataProvider,
        HistoricalDataProvider,
        InMemoryDataProvider,
    )

__all__ = [
    "ArchiveDataProvider",
    "BacktestConfig",
    "BacktestEngine",
    "BacktestMetrics",
    "BacktestReporter",
    "BacktestSession",
    "BacktestStrategyConfig",
    "BacktestTrade",
    "HistoricalDataProvider",
    "InMemoryDataProvider",
    "WindDownMode",
]

__getattr__ = names_of(
    __name__,
    {
        "ArchiveDataProvider": "market_data.providers.data_provider",
        "BacktestConfig": "backtest.settings.config",
        "BacktestEngine": "backtest.run.engine",
        "BacktestMetrics": "backtest.result.metrics",
        "BacktestReporter": "backtest.report.reporter",
        "BacktestSession": "backtest.result.session",
        "BacktestStrategyConfig": "backtest.settings.config",
        "BacktestTrade": "exchange_model.trades",
        "HistoricalDataProvider": "market_data.providers.data_provider",
        "InMemoryDataProvider": "market_data.providers.data_provider",
        "WindDownMode": "backtest.settings.config",
    },
)

keep_former_paths(
    __name__,
    {
        "config": "backtest.settings.config",
        "contract": "backtest.run.contract",
        "data_provider": "market_data.providers.data_provider",
        "engine": "backtest.run.engine",
        "executor": "exchange_model.gateway.executor",
        "fill_simulator": "exchange_model.fills.fill_simulator",
        "instrument_info": "market_data.rules.instrument_info",
        "order_manager": "exchange_model.orders.order_manager",
        "position_tracker": "exchange_model.account.position_tracker",
        "quality": "market_data.basics.quality",
        "reporter": "backtest.report.reporter",
        "runner": "exchange_model.gateway.runner",
        "session": "backtest.result.session",
        "simulated_account": "exchange_model.account.simulated_account",
        "ticks": "market_data.columns.ticks",
    },
)
