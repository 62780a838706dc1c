"""What an exchange is told: markets, accounts, matching, faults."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from exchange_model.fills.registry import FillModelSettings
from grid_config.base import SYMBOL, Positive, Settings
from paper_exchange.basics.loopback import is_loopback
from paper_exchange.basics.settings import TakerModel
from paper_exchange.feeds import SyntheticSettings

Fee = Annotated[Decimal, Field(ge=Decimal("-0.01"), le=Decimal("0.01"))]


class SyntheticFeedSettings(Settings):
    """A market made up from a seed."""

    kind: Literal["synthetic"] = "synthetic"
    walk: str = Field(
        default="mean_reversion",
        description="gbm, mean_reversion, jumps, sine, or several joined by +",
    )
    start_price: Positive = Field(default=Decimal(65_000), description="USDT")
    volatility: Annotated[float, Field(ge=0)] = Field(
        default=0.6, description="of the log price, per year"
    )
    trades_per_s: Annotated[float, Field(gt=0, le=10_000)] = 5.0
    qty_mean_usdt: Annotated[float, Field(gt=0)] = Field(
        default=500.0, description="of one trade, USDT"
    )
    spread_ticks: Annotated[int, Field(ge=1)] = 1
    funding_rate: Decimal = Field(default=Decimal("0.0001"), description="per interval")
    reversion_half_life_s: Annotated[float, Field(gt=0)] = 600.0
    reversion_band_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    jumps_per_day: Annotated[float, Field(ge=0)] = 24.0
    jump_ratio: Annotated[float, Field(ge=0)] = 0.01
    sine_amplitude_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.02
    sine_period_s: Annotated[float, Field(gt=0)] = 3_600.0

    def to_settings(self, seed: int) -> SyntheticSettings:
        """Return what the generator needs. Raises ValueError for an unknown walk."""
        values = self.model_dump(exclude={"kind", "walk"})
        return SyntheticSettings(kind=self.walk, seed=seed, **values)

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.to_settings(0)
        return self


class ArchiveFeedSettings(Settings):
    """Trade archives or klines of files, with mark prices and funding where there are files."""

    kind: Literal["archive"]
    files: Annotated[tuple[Path, ...], Field(min_length=1)]
    loop: bool = Field(default=False, description="begin again at the end")


class DatabaseFeedSettings(Settings):
    """Trades and tickers that event_saver recorded."""

    kind: Literal["database"]
    url: SecretStr = Field(description="SQLAlchemy URL")
    start: str | None = Field(default=None, description="2025-01-01 or 2025-01-01T12:00:00, UTC")
    end: str | None = None


class LiveFeedSettings(Settings):
    """Bybit's own public stream, through the adapter that is installed."""

    kind: Literal["live"]
    environment: Literal["mainnet", "testnet"] = "mainnet"


FeedSettings = Annotated[
    SyntheticFeedSettings | ArchiveFeedSettings | DatabaseFeedSettings | LiveFeedSettings,
    Field(discriminator="kind"),
]


class SymbolSettings(Settings):
    """One market."""

    symbol: Annotated[str, Field(pattern=SYMBOL)]
    feed: FeedSettings = SyntheticFeedSettings()
    tick_size: Positive | None = Field(default=None, description="USDT; the contract's own")
    status: Literal["Trading", "PreLaunch"] = Field(
        default="Trading", description="PreLaunch: waits for the action list_contract"
    )
    level_usdt: Positive = Field(
        default=Decimal(20_000), description="visible size of a level of the book, USDT"
    )
    spread_ticks: Annotated[int, Field(ge=1)] = Field(
        default=1, description="between bid and ask, where the feed has only trades"
    )


class KeySettings(Settings):
    """One API key."""

    key: Annotated[str, Field(min_length=1, max_length=100)]
    secret: SecretStr
    read_only: bool = False
    ips: tuple[str, ...] = Field(default=(), description="addresses it works from; all when empty")
    expires: AwareDatetime | None = None


class AccountSettings(Settings):
    """One unified account."""

    name: Annotated[str, Field(min_length=1, max_length=50)]
    deposit: Annotated[Decimal, Field(ge=0)] = Field(default=Decimal(10_000), description="USDT")
    leverage: Positive = Decimal(10)
    hedge_mode: bool = Field(default=True, description="no: begins in one-way mode")
    maker_fee: Fee = Decimal("0.0002")
    taker_fee: Fee = Decimal("0.00055")
    fee_coin: Literal["USDT", "MNT"] = Field(
        default="USDT", description="MNT: fees of fills are paid of it, as far as it goes"
    )
    mnt_price: Positive = Field(default=Decimal("0.8"), description="USDT of one MNT")
    mnt_deposit: Annotated[Decimal, Field(ge=0, allow_inf_nan=False)] = Field(
        default=Decimal(0), description="MNT"
    )
    keys: tuple[KeySettings, ...] = Field(
        default=(), description="without any: <name>-key with the secret <name>-secret"
    )

    def all_keys(self) -> tuple[KeySettings, ...]:
        """Return the keys, or the one that stands for none."""
        default = KeySettings(key=f"{self.name}-key", secret=SecretStr(f"{self.name}-secret"))
        return self.keys or (default,)


class MatchingConfig(FillModelSettings):
    """When orders fill."""

    taker_model: TakerModel = Field(
        default=TakerModel.QUOTE,
        description="quote: all at the opposite quote; book: what the visible levels hold",
    )
    match_delay_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        default=2, description="from the acknowledgement of a command to its effect"
    )
    max_open_orders: Annotated[int, Field(ge=1)] = Field(
        default=500, description="per symbol and account"
    )
    funding: bool = True


class LimitSettings(Settings):
    """Rate limits."""

    factor: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="of Bybit's limits; 0 lifts them all"
    )
    per_ip: Annotated[int, Field(ge=0)] = Field(
        default=600, description="calls in 5 s from one address; 0 lifts it"
    )


class PaperConfig(Settings):
    """The whole exchange."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8899, description="0: any free one"
    )
    allow_remote: bool = Field(
        default=False, description="needed for a host that other machines reach"
    )
    seed: int = Field(default=1, description="of the feeds, the ids and the faults")
    speed: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="of the market; 0: as fast as the clients keep up"
    )
    symbols: Annotated[tuple[SymbolSettings, ...], Field(min_length=1)] = (
        SymbolSettings(symbol="BTCUSDT"),
    )
    instruments: tuple[Path, ...] = Field(
        default=(), description="saved answers of instruments-info and risk-limit"
    )
    accounts: Annotated[tuple[AccountSettings, ...], Field(min_length=1)] = (
        AccountSettings(name="demo"),
    )
    matching: MatchingConfig = MatchingConfig()
    limits: LimitSettings = LimitSettings()
    ack_delay_ms: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=20, description="of stream commands; pybit loses streams below 20"
    )
    state_path: Path | None = Field(
        default=None, description="accounts are kept here between starts"
    )
    state_interval_s: Annotated[float, Field(gt=0)] = 10.0
    control: bool = Field(default=False, description="/control/... for loopback addresses")
    scenario: Path | None = Field(default=None, description="faults and actions by time")

    @field_validator("symbols")
    @classmethod
    def _symbols_once(cls, value: tuple[SymbolSettings, ...]) -> tuple[SymbolSettings, ...]:
        names = [one.symbol for one in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice")
        return value

    @field_validator("accounts")
    @classmethod
    def _accounts_once(cls, value: tuple[AccountSettings, ...]) -> tuple[AccountSettings, ...]:
        names = [one.name for one in value]
        keys = [key.key for one in value for key in one.all_keys()]
        for what, texts in (("account", names), ("key", keys)):
            twice = sorted({text for text in texts if texts.count(text) > 1})
            if twice:
                raise ValueError(f"{what} {', '.join(twice)} is given twice")
        return value

    @model_validator(mode="after")
    def _remote(self) -> Self:
        if not is_loopback(self.host) and not self.allow_remote:
            raise ValueError(
                f"host {self.host} can be reached by other machines; set allow_remote: true"
                " if that is meant, with keys of your own"
            )
        if not is_loopback(self.host) and not all(one.keys for one in self.accounts):
            raise ValueError("an exchange that other machines reach needs keys of your own")
        return self


def expires_ms(moment: datetime | None) -> int | None:
    """Return a time in ms, None for none."""
    return None if moment is None else int(moment.timestamp() * 1000)
