"""What a fresh grid would place: its ends, its orders, what enlarges them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gridcore import AmountSpec, GridConfig, RiskConfig, StrategyConfig
from gridcore.plan import GridPlan, plan_grid
from gridcore.sides import LONG
from testkit.builders import btcusdt


def plan(amount: str, wallet: str | None = "10000", **changes: Any) -> GridPlan:
    config = StrategyConfig(
        strat_id="s",
        instrument=btcusdt(),
        amount=AmountSpec.parse(amount),
        risk=RiskConfig(0.8, 1.2, 8, 0.15),
        grid=GridConfig(10, Decimal("0.2")),
    )
    balance = None if wallet is None else Decimal(wallet)
    return plan_grid(replace(config, **changes), Decimal(60_000), balance)


def test_every_level_but_the_middle_has_an_opening_order() -> None:
    found = plan("120")
    assert len(found.orders) == 10
    assert sum(one.direction is LONG for one in found.orders) == 5
    assert found.lowest < 60_000 < found.highest
    assert {one.size.price for one in found.orders} >= {found.lowest, found.highest}
    low, high = found.placed_usdt
    assert low < high
    assert found.asked_usdt == (120, 120)
    assert found.margin > sum(one.size.placed_usdt for one in found.orders) / 10


@pytest.mark.parametrize(
    ("amount", "most", "is_enlarged"),
    [("1", "2", True), ("1", "70", False), ("100", "2", False), ("59", "1.0001", True)],
)
def test_an_order_that_is_enlarged_too_much(amount: str, most: str, is_enlarged: bool) -> None:
    assert plan(amount).is_enlarged(Decimal(most)) is is_enlarged


def test_a_factor_of_one_leg_counts() -> None:
    assert plan("60", long_koef=Decimal("0.1")).is_enlarged(Decimal(5))
    assert not plan("60").is_enlarged(Decimal(5))


def test_the_words() -> None:
    found = plan("1")
    assert found.sizes_text().startswith("an order of 1.00 USDT is placed as 59.4")
    assert "(60.6 times at most)" in found.sizes_text()
    told = found.enlarged_text(Decimal(2))
    assert told.startswith("amount asks for 1.00 USDT an order, the contract's minimum and step")
    assert "ask for 60.60 USDT or more, or set max_amount_factor (now 2)" in told


def test_a_wallet_that_is_not_known_plans_no_order() -> None:
    found = plan("x0.1", None)
    assert found.orders == ()
    assert not found.is_enlarged(Decimal(2))
    assert "not known" in found.sizes_text()
