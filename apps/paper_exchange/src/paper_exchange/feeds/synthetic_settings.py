"""What a made-up market is like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

HIGHEST_PRICE = Decimal("1E12")  # USDT; a walk that would lead higher stays there


class WalkKind(StrEnum):
    """The ways in which a price can move."""

    GBM = "gbm"  # geometric random walk
    MEAN_REVERSION = "mean_reversion"
    JUMPS = "jumps"
    SINE = "sine"


_RANGES = {  # lowest, whether it is allowed itself, what must stay above
    "volatility": (0.0, True, math.inf),
    "trades_per_s": (0.0, False, math.inf),
    "qty_mean_usdt": (0.0, False, math.inf),
    "reversion_half_life_s": (0.0, False, math.inf),
    "reversion_band_ratio": (0.0, True, 1.0),
    "jumps_per_day": (0.0, True, math.inf),
    "jump_ratio": (0.0, True, math.inf),
    "sine_amplitude_ratio": (0.0, True, 1.0),
    "sine_period_s": (0.0, False, math.inf),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """A made-up market. Raises ValueError for an unknown kind and for what lies out of range.

    `kind` is one of WalkKind or several joined by +, as in "sine+jumps", which add up; jumps on
    their own come on top of a random walk. Settings of the other kinds are left unused.
    """

    start_price: Decimal  # USDT
    kind: str = WalkKind.GBM
    volatility: float = 0.6  # of the log price, per year; gbm and mean_reversion
    trades_per_s: float = 5.0  # on average
    qty_mean_usdt: float = 500.0  # of one trade
    spread_ticks: int = 1
    seed: int = 0
    funding_rate: Decimal = Decimal("0.0001")  # per interval; positive: long pays
    reversion_half_life_s: float = 600.0
    reversion_band_ratio: float = 0.05  # of the start price; the walk never leaves it
    jumps_per_day: float = 24.0  # on average
    jump_ratio: float = 0.01  # of the price; a jump is 0.5 to 1.5 times this
    sine_amplitude_ratio: float = 0.02  # of the start price
    sine_period_s: float = 3_600.0

    def __post_init__(self) -> None:
        _check_decimal("start_price", self.start_price)
        if not 0 < self.start_price <= HIGHEST_PRICE:
            raise ValueError(
                f"start_price is {self.start_price}; it is above 0 and at most {HIGHEST_PRICE:f}"
            )
        _check_decimal("funding_rate", self.funding_rate)
        if self.spread_ticks < 1:
            raise ValueError(f"spread_ticks is {self.spread_ticks}; set at least 1")
        for name, (lowest, included, above) in _RANGES.items():
            value = getattr(self, name)
            if not (lowest < value < above or (included and value == lowest)):
                wanted = f"{'at least' if included else 'above'} {lowest:g}" + (
                    f" and below {above:g}" if math.isfinite(above) else " and finite"
                )
                raise ValueError(f"{name} is {value}; it is {wanted}")
        self.kinds()

    def kinds(self) -> tuple[WalkKind, ...]:
        """Return the kinds that add up. Raises ValueError for an unknown or repeated one."""
        names = [part.strip() for part in str(self.kind).split("+")]
        known = ", ".join(WalkKind)
        for name in names:
            if name not in list(WalkKind):
                raise ValueError(
                    f"kind is {self.kind!r}; use one of {known}, or several joined by +"
                )
            if names.count(name) > 1:
                raise ValueError(f"kind is {self.kind!r}; name {name} once")
        kinds = tuple(WalkKind(name) for name in names)
        return (WalkKind.GBM, *kinds) if kinds == (WalkKind.JUMPS,) else kinds


def _check_decimal(name: str, value: Decimal) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f'{name} is {value!r}; it is a Decimal, for example Decimal("1.5")')
