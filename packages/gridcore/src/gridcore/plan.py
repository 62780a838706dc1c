"""What a fresh grid would place, before anything is placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from gridcore.exact import exact_fraction
from gridcore.grid import Grid, GridSideType
from gridcore.pnl import calc_order_margin
from gridcore.qty import OrderSize, order_size
from gridcore.sides import LONG, SHORT, DirectionType
from gridcore.strategy_config import StrategyConfig

MAX_AMOUNT_FACTOR = Decimal(2)  # unless the configuration says otherwise
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One opening order of a fresh grid, without what later multiplies it."""

    direction: DirectionType
    size: OrderSize


@dataclass(frozen=True, slots=True)
class GridPlan:
    """The grid around one price with all its opening orders. Prices and money are USDT."""

    lowest: Decimal
    highest: Decimal
    orders: tuple[PlannedOrder, ...]
    margin: Decimal  # if all of them were filled, at the configured leverage

    @property
    def asked_usdt(self) -> tuple[Decimal, Decimal]:
        """The smallest and the largest order that the settings ask for; needs an order."""
        return _ends([one.size.asked_usdt for one in self.orders])

    @property
    def placed_usdt(self) -> tuple[Decimal, Decimal]:
        """The smallest and the largest order that is placed; needs an order."""
        return _ends([one.size.placed_usdt for one in self.orders])

    @property
    def quantities(self) -> tuple[Decimal, Decimal]:
        """The smallest and the largest quantity (base coin); needs an order."""
        return _ends([one.size.qty for one in self.orders])

    @property
    def factor(self) -> Fraction:
        """How many times what is asked for is placed, at most; needs an order."""
        return max(one.size.factor for one in self.orders)

    def is_enlarged(self, most: Decimal) -> bool:
        """Tell whether some order is placed more than `most` times as large as asked for."""
        return bool(self.orders) and self.factor > exact_fraction(most)

    def sizes_text(self) -> str:
        """Return in words what is asked for and what is placed."""
        if not self.orders:
            return "nothing would be placed: the wallet that the amount is a share of is not known"
        return (
            f"an order of {_span(self.asked_usdt)} USDT is placed as {_span(self.placed_usdt)} USDT"
            f" ({_times(self.factor)} times at most)"
        )

    def enlarged_text(self, most: Decimal) -> str:
        """Return in words what enlarges the orders, and what would be right."""
        first = max(self.orders, key=lambda one: one.size.factor).size
        return (
            f"amount asks for {_span(self.asked_usdt)} USDT an order, the contract's minimum and"
            f" step make it {_span(self.placed_usdt)} USDT, {_times(self.factor)} times as much;"
            f" ask for {first.placed_usdt:.2f} USDT or more, or set max_amount_factor"
            f" (now {most:f}) above that if such orders are meant"
        )


def plan_grid(config: StrategyConfig, price: Decimal, wallet: Decimal | None) -> GridPlan:
    """Return what a fresh grid around a price would place. `wallet` is the balance in USDT.

    Raises GridcoreError for a grid that does not fit.
    """
    shape, instrument = config.grid, config.instrument
    grid = Grid(instrument.tick_size, shape.grid_count, shape.grid_step, shape.rebalance_threshold)
    grid.build_grid(price)
    orders, margin = [], Decimal(0)
    for level in grid.grid:
        if level["side"] is GridSideType.WAIT:
            continue
        direction = LONG if level["side"] is GridSideType.BUY else SHORT
        size = order_size(
            config.amount,
            level["price"],
            instrument,
            opening=True,
            long_koef=config.long_koef if direction is LONG else ONE,
            wallet_balance=wallet,
        )
        if size is None:
            continue
        orders.append(PlannedOrder(direction, size))
        margin += calc_order_margin(direction, size.qty, size.price, config.leverage)
    lowest, highest = _ends([level["price"] for level in grid.grid])
    return GridPlan(lowest, highest, tuple(orders), margin)


def _ends(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    return min(values), max(values)


def _span(ends: tuple[Decimal, Decimal]) -> str:
    low, high = (format(value, ".2f") for value in ends)
    return low if low == high else f"{low} to {high}"


def _times(factor: Fraction) -> str:
    return format(Decimal(factor.numerator) / Decimal(factor.denominator), ".3g")
