"""What a backtest is told: strategies, money, fees, data, reports."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from backtest.fill_simulator import (
    FillModel,
    QueueFillSimulator,
    TouchFillSimulator,
    TradeThroughFillSimulator,
)
from backtest.simulated_account import FeeRates
from backtest.time_range import TimeRange
from gridcore import (
    AmountSpec,
    GridConfig,
    InstrumentInfo,
    RiskConfig,
    SafetyCaps,
    StrategyConfig,
)
from gridcore.errors import GridcoreError
from gridcore.plan import MAX_AMOUNT_FACTOR

LARGEST_FEE = Decimal("0.01")

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class WindDownMode(StrEnum):
    """What becomes of positions at the end of the data."""

    LEAVE_OPEN = "leave_open"
    CLOSE_ALL = "close_all"


class FillModelName(StrEnum):
    """When a resting order fills; see docs/backtest.md for what each over- and understates."""

    STRICT_CROSS = "strict_cross"
    TOUCH = "touch"
    QUEUE = "queue"


class Settings(BaseModel):
    """Frozen, and without settings that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SafetyCapsSettings(Settings):
    """Hard limits outside the strategy; see `gridcore.SafetyCaps`."""

    max_notional: Positive | None = Field(
        default=None, description="USDT of both legs and opening orders; stops opening"
    )
    max_open_orders: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="resting orders of the strategy; stops placing"
    )
    max_orders_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="placements within a minute of market time; stops placing"
    )
    session_loss_limit: Positive | None = Field(
        default=None, description="USDT lost since UTC midnight; cancels all and stops placing"
    )


class BacktestStrategyConfig(Settings):
    """One grid. Without a symbol it is used for every symbol of the run."""

    strat_id: str = Field(default="grid", min_length=1, max_length=64)
    symbol: str | None = Field(default=None, description="every symbol of the run when left out")
    tick_size: Positive | None = Field(
        default=None, description="USDT; the contract's own when left out"
    )
    grid_count: Annotated[int, Field(ge=2, le=1000)] = 50
    grid_step: Annotated[Decimal, Field(gt=0, lt=100)] = Field(
        default=Decimal("0.2"), description="distance of two levels in percent"
    )
    rebalance_threshold: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.3")
    amount: str = Field(
        default="x0.001", description='"100" USDT, "x0.001" of the wallet, "b0.001" base coin'
    )
    max_amount_factor: Annotated[Decimal, Field(ge=1, allow_inf_nan=False)] = Field(
        default=MAX_AMOUNT_FACTOR,
        description="how many times the amount an order may become by the contract's minimum and"
        " step; above it a bot does not start and a backtest warns",
    )
    max_margin: Ratio = Field(
        default=8.0, description="position value / wallet from which a leg opens nothing more"
    )
    leverage: Positive = Decimal(10)
    min_liq_ratio: Ratio = Field(
        default=0.8, description="liquidation / last price above which a long leg is in danger"
    )
    max_liq_ratio: Ratio = Field(
        default=1.2, description="liquidation / last price below which a short leg is in danger"
    )
    min_total_margin: Ratio = Field(
        default=0.15, description="of both legs together, below which equal legs are let grow"
    )
    increase_same_position_on_low_margin: bool = Field(
        default=False, description="grow by larger opening orders instead of smaller closing ones"
    )
    long_koef: Positive = Field(
        default=Decimal(1), description="factor on every order of the long leg"
    )
    safety_caps: SafetyCapsSettings = SafetyCapsSettings()

    @field_validator("amount", mode="before")
    @classmethod
    def _parse_amount(cls, value: object) -> str:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            value = str(value)
        try:
            AmountSpec.parse(value)  # type: ignore[arg-type]
        except GridcoreError as error:
            raise ValueError(str(error)) from error
        return str(value)

    def to_strategy(self, instrument: InstrumentInfo) -> StrategyConfig:
        """Return what `GridStrategy` needs. Raises ConfigError for values it refuses."""
        return StrategyConfig(
            strat_id=self.strat_id,
            instrument=instrument,
            amount=AmountSpec.parse(self.amount),
            risk=RiskConfig(
                min_liq_ratio=self.min_liq_ratio,
                max_liq_ratio=self.max_liq_ratio,
                max_margin=self.max_margin,
                min_total_margin=self.min_total_margin,
                increase_same_position_on_low_margin=self.increase_same_position_on_low_margin,
            ),
            grid=GridConfig(self.grid_count, self.grid_step, self.rebalance_threshold),
            leverage=self.leverage,
            long_koef=self.long_koef,
            safety_caps=SafetyCaps(**self.safety_caps.model_dump()),
        )


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


class SyntheticSettings(Settings):
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
    synthetic: tuple[SyntheticSettings, ...] = Field(
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


class BacktestConfig(Settings):
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
    fill_model: FillModelName = Field(
        default=FillModelName.STRICT_CROSS, description="see docs/backtest.md"
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
        match self.fill_model:
            case FillModelName.STRICT_CROSS:
                return TradeThroughFillSimulator()
            case FillModelName.TOUCH:
                return TouchFillSimulator()
            case FillModelName.QUEUE:
                return QueueFillSimulator(self.queue_ahead_usdt, instrument.qty_step)

    def for_report(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON, without the database's address."""
        settings = self.model_dump(mode="json", exclude_defaults=False)
        if settings["data"]["database_url"]:
            settings["data"]["database_url"] = "(given)"
        return settings
