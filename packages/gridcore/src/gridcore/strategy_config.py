"""Everything that one strategy needs to decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from gridcore.config import GridConfig
from gridcore.errors import ConfigError
from gridcore.guards import SafetyCaps
from gridcore.instrument import InstrumentInfo
from gridcore.position import RiskConfig
from gridcore.qty import AmountSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyConfig:
    """Everything that one strategy needs to decide.

    leverage is used until the exchange reports a leg's own. long_koef enlarges every order of the
    long leg. position_check_interval is event time; checks happen at the first ticker at or after
    each multiple of it since 1970, so they do not depend on when a process was started.
    wallet_max_age is how long a reported balance counts.
    """

    strat_id: str
    instrument: InstrumentInfo
    amount: AmountSpec
    risk: RiskConfig
    short_risk: RiskConfig | None = None
    grid: GridConfig = field(default_factory=GridConfig)
    leverage: Decimal = Decimal(10)
    long_koef: Decimal = Decimal(1)
    post_only: bool = False
    cancel_foreign_orders: bool = False
    safety_caps: SafetyCaps = field(default_factory=SafetyCaps)
    position_check_interval: timedelta = timedelta(seconds=63)
    wallet_max_age: timedelta = timedelta(minutes=15)

    def __post_init__(self) -> None:
        if not self.strat_id:
            raise ConfigError("strat_id is empty; every strategy needs a name of its own")
        for name in ("leverage", "long_koef"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
                raise ConfigError(f"{name} is {value!r}; it is a Decimal above zero")
        for name in ("position_check_interval", "wallet_max_age"):
            if getattr(self, name) <= timedelta(0):
                raise ConfigError(f"{name} is {getattr(self, name)}; it is longer than nothing")

    @property
    def symbol(self) -> str:
        """Symbol of the contract, for example BTCUSDT."""
        return self.instrument.symbol
