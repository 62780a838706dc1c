"""Parameters of the grid: defaults, ranges, exact shares."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gridcore import ConfigError, GridConfig


def test_defaults() -> None:
    config = GridConfig()
    assert (config.grid_count, config.grid_step, config.rebalance_threshold) == (50, 0.2, 0.3)


@pytest.mark.parametrize("step", [0.2, Decimal("0.2"), Decimal("0.200")])
def test_the_step_is_a_percentage_and_exact(step: Decimal | float) -> None:
    assert GridConfig(grid_step=step).step_fraction == Fraction(1, 500)
    assert GridConfig(rebalance_threshold=0.3).threshold_fraction == Fraction(3, 10)


@pytest.mark.parametrize("count", [4, 10, 200, 1000])
def test_counts_in_range(count: int) -> None:
    assert GridConfig(count).grid_count == count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grid_count", 3),
        ("grid_count", 2),
        ("grid_count", 1),
        ("grid_count", 0),
        ("grid_count", -50),
        ("grid_count", 1001),
        ("grid_count", 50.0),
        ("grid_count", "50"),
        ("grid_count", True),
        ("grid_step", 0),
        ("grid_step", -0.2),
        ("grid_step", 100),
        ("grid_step", float("nan")),
        ("grid_step", float("inf")),
        ("grid_step", "a lot"),
        ("grid_step", None),
        ("rebalance_threshold", 0),
        ("rebalance_threshold", 1.01),
        ("rebalance_threshold", Decimal("NaN")),
    ],
)
def test_values_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        GridConfig(**{name: value})


def test_the_ends_of_the_ranges_are_allowed() -> None:
    assert GridConfig(grid_step=Decimal("99.99"), rebalance_threshold=1).threshold_fraction == 1


def test_fewer_than_four_levels_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="grid_count is 3; it lies between 4 and 1000"):
        GridConfig(3)
