"""One poll of one symbol ("check pair"): what to cancel and what to place, in order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bbu_reference.grid import Grid, Level
from bbu_reference.orders import (
    PRICE_DECIMALS,
    AccountSeen,
    Direction,
    LimitOrder,
    Multipliers,
    NewOrder,
    Side,
    Sizing,
    at_price,
    identical_rests,
    is_covered,
    order_qty,
)
from bbu_reference.switches import LegacySwitches

TOO_MANY_ORDERS_MARGIN = 10  # orders of one leg above the number of levels


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel this order."""

    order: LimitOrder


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Cancel every order of the symbol, both legs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Place this order."""

    order: NewOrder


Action = Cancel | CancelAll | Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a poll sees of the symbol."""

    limits: Sequence[LimitOrder]  # open limit orders of both legs
    last_filled_price: float | None  # USDT; None before the first fill
    last_price: float  # USDT
    position_sizes: Mapping[Direction, float]  # base coin, never negative
    account: AccountSeen


def check_pair(
    grid: Grid,
    seen: Snapshot,
    *,
    sizing: Sizing,
    multipliers: Multipliers,
    same_order_error: bool = False,
    check_positions: Callable[[], object] | None = None,
    switches: LegacySwitches | None = None,
) -> list[Action]:
    """Run one poll; change `grid` in place and return the actions in the order of sending.

    `check_positions` runs at its place in the poll, before any order, and may change
    `multipliers` in place. Raises ZeroDivisionError for a grid with a level at price 0.
    """
    if same_order_error:
        return []
    while len(grid.levels) <= 1:
        grid.build(seen.last_price)
    if check_positions is not None:
        check_positions()
    poll = _Poll(grid, seen, sizing, multipliers, switches or LegacySwitches())
    poll.check_direction("long")
    poll.check_direction("short")
    return poll.actions


def placement_order(levels: Sequence[Level]) -> list[Level]:
    """Return the non-wait levels from the middle of the wait zone outwards, then by price."""
    waiting = [index for index, level in enumerate(levels) if level.side == "wait"]
    centre = (waiting[0] + waiting[-1]) // 2 if waiting else len(levels) // 2
    ranked = sorted(enumerate(levels), key=lambda pair: (abs(pair[0] - centre), pair[1].price))
    return [level for _, level in ranked if level.side != "wait"]


def far_enough(side: Side, level_price: float, last_price: float, step_pct: float) -> bool:
    """Return whether a level is on its own side of the market, over half a step away."""
    distance_pct = (last_price - level_price) / last_price * 100
    own_side = distance_pct > 0 if side == "Buy" else distance_pct < 0
    return own_side and abs(distance_pct) > step_pct / 2


class _Poll:
    """One poll under way: the actions so far and the orders that rest after them."""

    def __init__(
        self,
        grid: Grid,
        seen: Snapshot,
        sizing: Sizing,
        multipliers: Multipliers,
        switches: LegacySwitches,
    ) -> None:
        self.actions: list[Action] = []
        self._resting = list(seen.limits)
        self._grid = grid
        self._seen = seen
        self._sizing = sizing
        self._multipliers = multipliers
        self._switches = switches

    def check_direction(self, direction: Direction) -> None:
        limits = [order for order in self._resting if order.direction == direction]
        if len(limits) > len(self._grid.levels) + TOO_MANY_ORDERS_MARGIN:
            self.actions.append(CancelAll())
            self._resting.clear()
            limits = []
            self._grid.build(self._seen.last_price)
        if 0 < len(limits) < self._grid.count:
            self._grid.update(self._seen.last_filled_price, self._seen.last_price)
        self._place(direction, limits)
        self._cancel_outside_grid(limits)

    def _place(self, direction: Direction, limits: list[LimitOrder]) -> None:
        for level in placement_order(self._grid.levels):
            if level.side == "wait":
                continue
            at_level = at_price(limits, level.price, self._switches)
            if at_level and at_level[0].side == level.side:
                continue
            if at_level:
                self._cancel(at_level[0])
            self._try_to_place(direction, level.side, level.price)

    def _try_to_place(self, direction: Direction, side: Side, price: float) -> None:
        if not far_enough(side, price, self._seen.last_price, self._grid.step_pct):
            return
        qty = order_qty(
            direction,
            side,
            price,
            sizing=self._sizing,
            account=self._seen.account,
            multipliers=self._multipliers,
            switches=self._switches,
        )
        order = NewOrder(direction=direction, side=side, price=price, qty=qty)
        position_size = self._seen.position_sizes[direction]
        if identical_rests(order, self._resting, self._switches):
            return
        if not is_covered(order, self._resting, position_size):
            return
        self.actions.append(Place(order))
        if self._switches.placements_rest_within_poll:
            self._resting.append(_as_resting(order))

    def _cancel_outside_grid(self, limits: list[LimitOrder]) -> None:
        prices = {level.price for level in self._grid.levels}
        if not self._switches.prices_compared_as_floats:
            prices = {round(price, PRICE_DECIMALS) for price in prices}
        for order in limits:
            if round(order.price, PRICE_DECIMALS) not in prices:
                self._cancel(order)

    def _cancel(self, order: LimitOrder) -> None:
        # two levels can share a price when the step is finer than the tick
        if order in self._resting:
            self._resting.remove(order)
            self.actions.append(Cancel(order))


def _as_resting(order: NewOrder) -> LimitOrder:
    return LimitOrder(
        order_id="",  # not known before the exchange answers
        side=order.side,
        price=order.price,
        qty=order.qty,
        reduce_only=order.reduce_only,
    )
