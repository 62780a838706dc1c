"""The settings of one strategy, which live and backtest share."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field, field_validator

from grid_config.base import Positive, Ratio, Settings
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


class GridStrategySettings(Settings):
    """One grid, live and in a backtest alike."""

    strat_id: str = Field(default="grid", min_length=1, max_length=64)
    symbol: str | None = Field(default=None, description="every symbol of the run when left out")
    tick_size: Positive | None = Field(
        default=None, description="USDT; the contract's own when left out"
    )
    grid_count: Annotated[int, Field(ge=4, le=1000)] = 50
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
