"""What the bot is told: accounts, strategies, intervals, notification, files."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from grid_config.base import SYMBOL
from grid_config.strategy import GridStrategySettings
from grid_db import DatabaseSettings
from grid_db.errors import DatabaseConfigError
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config_checks import problems_of
from gridbot.settings.paper_section import PaperSection
from gridbot.settings.sections import (
    LogSettings,
    NotificationSettings,
    Port,
    Seconds,
    SecondsOrOff,
    SecretSettings,
    TelegramSettings,
    WatchdogSettings,
)
from gridcore import InstrumentInfo, StrategyConfig
from gridcore.errors import ConfigError

__all__ = ["AccountConfig", "GridbotConfig", "StrategySettings", "TelegramSettings"]


class StrategySettings(GridStrategySettings):
    """One grid on one symbol of one account; the same settings as in a backtest, and more."""

    strat_id: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    ]
    account: str = Field(description="name of one of the accounts")
    symbol: Annotated[str, Field(pattern=SYMBOL)] = Field(description="for example BTCUSDT")
    shadow_mode: bool = Field(default=False, description="decide and log, send nothing")
    post_only: bool = Field(default=False, description="orders that would take are refused")
    cancel_foreign_orders: bool = Field(
        default=False, description="cancel orders of the symbol that are not the bot's"
    )

    def to_strategy(self, instrument: InstrumentInfo) -> StrategyConfig:
        """Return what `GridStrategy` needs, with gridcore's own intervals.

        Raises ConfigError for values that it refuses, for an instrument of another symbol and
        for a tick_size that is not the exchange's.
        """
        if instrument.symbol != self.symbol:
            raise ConfigError(f"{self.strat_id}: trades {self.symbol}, not {instrument.symbol}")
        if self.tick_size is not None and self.tick_size != instrument.tick_size:
            raise ConfigError(
                f"{self.strat_id}: tick_size is {self.tick_size}, the exchange's is"
                f" {instrument.tick_size}; correct it, or leave it out to use the exchange's"
            )
        return dataclasses.replace(
            super().to_strategy(instrument),
            post_only=self.post_only,
            cancel_foreign_orders=self.cancel_foreign_orders,
        )


class GridbotConfig(SecretSettings):
    """The whole bot. Intervals are seconds."""

    accounts: Annotated[tuple[AccountConfig, ...], Field(min_length=1)]
    strategies: Annotated[tuple[StrategySettings, ...], Field(min_length=1)]
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///gridbot.db"), description="sqlite:/// or postgresql://"
    )
    user: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        default="default", description="whose rows the database holds"
    )
    notification: NotificationSettings = NotificationSettings()
    position_check_interval: Seconds = Field(
        default=63.0, description="between comparisons of executions and positions with REST"
    )
    order_sync_interval: SecondsOrOff = Field(
        default=61.0,
        description="between comparisons of the orders with REST; 0 disables, but for the start and"
        " after a gap of the stream",
    )
    wallet_cache_interval: SecondsOrOff = Field(
        default=300.0, description="between reads of the wallet over REST; 0 disables"
    )
    health_check_interval: Seconds = Field(default=10.0, description="between looks at the sockets")
    clock_check_interval: Seconds = Field(
        default=300.0, description="between comparisons of the clock with the exchange's"
    )
    max_clock_drift: Seconds = Field(
        default=1.0, description="difference of the clocks from which there is an alert"
    )
    funding_alert_rate: Annotated[Decimal, Field(ge=0, le=1)] = Field(
        default=Decimal("0.001"),
        description="funding rate of one settlement, to either side, beyond which there is an alert"
        " while a leg of the contract is held; 0.001 is 0.1 %; 0 disables",
    )
    dcp_window: Annotated[int, Field(ge=0, le=300)] = Field(
        default=0,
        description="disconnect-cancel-all of institutional accounts, 3 to 300 s; 0 leaves it",
    )
    cancel_on_shutdown: bool = Field(
        default=False, description="cancel the bot's orders when it is stopped"
    )
    save_events: bool = Field(
        default=False, description="store tickers and public trades too, as --save-events does"
    )
    status_path: Path = Field(
        default=Path("var/gridbot/status.json"), description="state and heartbeat"
    )
    status_interval: Seconds = Field(default=10.0, description="between heartbeats")
    state_path: Path = Field(
        default=Path("var/gridbot/state"),
        description="folder of what strategies remember between two starts",
    )
    metrics_port: Port | None = Field(
        default=None, description="of /metrics and /healthz; 0: any free one; left out: none"
    )
    metrics_host: str = Field(default="127.0.0.1", description="address of /metrics and /healthz")
    watchdog: WatchdogSettings = WatchdogSettings()
    log: LogSettings = LogSettings()
    paper: PaperSection = Field(
        default=None, description="an exchange that the bot brings along, for environment paper"
    )

    @field_validator("database_url")
    @classmethod
    def _usable_url(cls, value: SecretStr) -> SecretStr:
        try:
            DatabaseSettings(database_url=value).url()
        except DatabaseConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("dcp_window")
    @classmethod
    def _usable_window(cls, value: int) -> int:
        if 0 < value < 3:
            raise ValueError(f"{value} s is too short for Bybit; give 3 to 300, or 0 for none")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [
            InitErrorDetails(
                # braces of a name would be read as a template
                type=PydanticCustomError("reference", "{text}", {"text": text}),
                loc=location,
                input=None,
            )
            for location, text in problems_of(self)
        ]
        if faults:
            raise ValidationError.from_exception_data(type(self).__name__, faults, hide_input=True)
        return self

    def account(self, name: str) -> AccountConfig:
        """Return the account of that name. Raises KeyError."""
        for account in self.accounts:
            if account.name == name:
                return account
        raise KeyError(name)

    def strategies_of(self, account: str) -> list[StrategySettings]:
        """Return the strategies of an account."""
        return [one for one in self.strategies if one.account == account]

    def strategy_config(self, one: StrategySettings, instrument: InstrumentInfo) -> StrategyConfig:
        """Return what `GridStrategy` needs, with the intervals of this file.

        A balance counts for three reads over REST. Raises ConfigError as `to_strategy` does.
        """
        changes: dict[str, Any] = {
            "position_check_interval": timedelta(seconds=self.position_check_interval)
        }
        if self.wallet_cache_interval:
            changes["wallet_max_age"] = timedelta(seconds=3 * self.wallet_cache_interval)
        return dataclasses.replace(one.to_strategy(instrument), **changes)

    def database_settings(self) -> DatabaseSettings:
        """Return where the database is."""
        return DatabaseSettings(database_url=self.database_url)
