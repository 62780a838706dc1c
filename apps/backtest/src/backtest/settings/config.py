"""What a backtest is told: strategies, money, fees, data, reports."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from exchange_model.account.simulated_account import FeeRates
from exchange_model.fills.fill_simulator import FillModel
from exchange_model.fills.registry import FillModelSettings, FillPlace
from grid_config.base import Positive, Settings
from grid_config.strategy import GridStrategySettings
from gridcore import InstrumentInfo
from market_data.basics.time_range import TimeRange

LARGEST_FEE = Decimal("0.01")


class WindDownMode(StrEnum):
    """What becomes of positions at the end of the data."""

    LEAVE_OPEN = "leave_open"
    CLOSE_ALL = "close_all"


class BacktestStrategyConfig(GridStrategySettings):
    """One grid of a backtest. Without a symbol it is used for every symbol of the run."""


class FundingSettings(Settings):
    """Which funding is paid: the history that comes with the data, else a constant rate."""

    use_history: bool = True
    rate: Annotated[Decimal, Field(ge=-1, le=1)] = Field(
        default=Decimal("0.0001"),
        description="per interval, where the data has no history; 0 for none",
    )
    interval_hours: Annotated[int, Field(ge=1, le=24)] | None = Field(
        default=None, description="of the constant rate; the contract's own when left out"
    )

    @field_validator("interval_hours")
    @classmethod
    def _divides_a_day(cls, value: int | None) -> int | None:
        if value is not None and 24 % value:
            raise ValueError(f"{value} hours do not divide a day; use 1, 2, 4, 8, 12 or 24")
        return value


class SyntheticDataSettings(Settings):
    """Ticks made on the spot, a seeded random walk: a demonstration, not a market."""

    symbol: str = "BTCUSDT"
    rows: Annotated[int, Field(ge=1, le=200_000_000)] = 200_000
    seed: int = 1
    start_price: Positive = Decimal(60_000)
    tick_size: Positive = Decimal("0.1")
    size_step: Positive = Decimal("0.001")
    volatility: Annotated[float, Field(gt=0, le=20)] = Field(
        default=0.6, description="of the log price, per year"
    )
    trades_per_s: Annotated[float, Field(gt=0, le=10_000)] = 1.0


class DataSettings(Settings):
    """Where the ticks come from; exactly one source, unless the command names files."""

    files: tuple[Path, ...] = Field(
        default=(), description="archives, klines, funding, marks, instruments; files or folders"
    )
    store: Path | None = Field(
        default=None, description="folder of python -m backtest.data; its default when left out"
    )
    database_url: str | None = Field(
        default=None, repr=False, description="of a recording made by event_saver"
    )
    synthetic: tuple[SyntheticDataSettings, ...] = Field(
        default=(), description="random walks made on the spot"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [
            name
            for name, value in (
                ("files", self.files),
                ("store", self.store),
                ("database_url", self.database_url),
                ("synthetic", self.synthetic),
            )
            if value
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; the ticks have one source")
        return self


class ReportSettings(Settings):
    """What is written at the end."""

    html: Path | None = Field(default=None, description="report, one file")
    export: Path | None = Field(default=None, description="folder for CSV and Parquet")


class BacktestConfig(FillModelSettings):
    """A whole backtest. Money is USDT."""

    strategies: tuple[BacktestStrategyConfig, ...]
    symbols: tuple[str, ...] = Field(default=(), description="all of the data when left out")
    start: str | None = Field(default=None, description="2025-01-01 or 2025-01-01T12:00:00, UTC")
    end: str | None = Field(default=None, description="a date alone means the whole day")
    initial_balance: Positive = Decimal(10_000)
    maker_fee: Decimal = Field(
        default=Decimal("0.0002"), description="share of the notional, 0 to 0.01"
    )
    taker_fee: Decimal = Field(
        default=Decimal("0.00055"), description="share of the notional, 0 to 0.01"
    )
    queue_ahead_usdt: Annotated[Decimal, Field(ge=0)] = Field(
        default=Decimal(50_000), description="what rests before an order at its price (queue only)"
    )
    latency_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=0, description="from a decision to the exchange"
    )
    funding: FundingSettings = FundingSettings()
    wind_down: WindDownMode = Field(
        default=WindDownMode.LEAVE_OPEN, description="what becomes of positions at the end"
    )
    exact_ticks: bool = Field(default=False, description="walk every tick: slower, the same result")
    equity_interval_s: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="between samples of the equity curve; by the length of the run when left out",
    )
    ratio_interval_s: Annotated[int, Field(ge=60)] = Field(
        default=3600, description="of the returns behind Sharpe and Sortino"
    )
    data: DataSettings = DataSettings()
    report: ReportSettings = ReportSettings()
    instruments: tuple[Path, ...] = Field(
        default=(), description="saved answers of instruments-info and risk-limit"
    )

    @field_validator("maker_fee", "taker_fee")
    @classmethod
    def _plausible_fee(cls, value: Decimal) -> Decimal:
        if not 0 <= value <= LARGEST_FEE:
            raise ValueError(f"{value} is outside [0, {LARGEST_FEE}]; 0.0002 stands for 0.02 %")
        return value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        # YAML reads a bare date as a date
        return value.isoformat() if hasattr(value, "isoformat") else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.strategies:
            raise ValueError("strategies is empty; give at least one")
        names = [strategy.strat_id for strategy in self.strategies]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"strat_id {', '.join(doubled)} is used twice; each has its own")
        TimeRange.parse(self.start, self.end)
        return self

    @property
    def fees(self) -> FeeRates:
        """Return the fee rates as the account takes them."""
        return FeeRates(self.maker_fee, self.taker_fee)

    def strategies_of(self, symbol: str) -> list[BacktestStrategyConfig]:
        """Return the strategies that run on a symbol."""
        return [one for one in self.strategies if one.symbol in (None, symbol)]

    def new_fill_model(self, instrument: InstrumentInfo) -> FillModel:
        """Return the fill model of one strategy's orders."""
        place = FillPlace(qty_step=instrument.qty_step, queue_ahead_usdt=self.queue_ahead_usdt)
        return self.fill_model_at(place)

    def for_report(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON, without the database's address."""
        settings = self.model_dump(mode="json", exclude_defaults=False)
        if settings["data"]["database_url"]:
            settings["data"]["database_url"] = "(given)"
        return settings
