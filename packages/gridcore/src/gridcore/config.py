"""Parameters of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gridcore.errors import ConfigError
from gridcore.exact import exact_fraction

# below four there is one level on each side, and one fill leaves none of them
LEAST_LEVELS, MOST_LEVELS = 4, 1000


@dataclass(frozen=True, slots=True)
class GridConfig:
    """Shape of the grid: `grid_count // 2` levels on each side of the centre.

    grid_step is the distance of two neighbouring levels in **percent** (0.2 means 0.2 %).
    rebalance_threshold is the share (0-1) by which one side may outnumber the other before the
    grid moves on by one level. Raises ConfigError for a value outside its range.
    """

    grid_count: int = 50
    grid_step: Decimal | float = 0.2
    rebalance_threshold: Decimal | float = 0.3

    def __post_init__(self) -> None:
        if isinstance(self.grid_count, bool) or not isinstance(self.grid_count, int):
            raise ConfigError(f"grid_count is {self.grid_count!r}; it is a whole number")
        if not LEAST_LEVELS <= self.grid_count <= MOST_LEVELS:
            raise ConfigError(
                f"grid_count is {self.grid_count}; it lies between {LEAST_LEVELS} and {MOST_LEVELS}"
            )
        step = _fraction("grid_step", self.grid_step)
        if not 0 < step < 100:
            raise ConfigError(
                f"grid_step is {self.grid_step}; it is a percentage above 0 and below 100,"
                " for example 0.2"
            )
        threshold = _fraction("rebalance_threshold", self.rebalance_threshold)
        if not 0 < threshold <= 1:
            raise ConfigError(
                f"rebalance_threshold is {self.rebalance_threshold};"
                " it is a share above 0, at most 1"
            )

    @property
    def step_fraction(self) -> Fraction:
        """grid_step as an exact share of the price: 0.2 % is 1/500."""
        return exact_fraction(self.grid_step) / 100

    @property
    def threshold_fraction(self) -> Fraction:
        """rebalance_threshold as an exact ratio."""
        return exact_fraction(self.rebalance_threshold)


def _fraction(name: str, value: Decimal | float) -> Fraction:
    try:
        return exact_fraction(value)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise ConfigError(f"{name} is {value!r}; it is a number") from error
