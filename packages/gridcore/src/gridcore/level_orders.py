"""How the resting orders differ from the levels of the grid.

A comparison is kept between ticks and only looks again at what has changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import is_not

from gridcore.grid import BUY, SELL, WAIT, Grid, GridSideType
from gridcore.intents import CancelReason
from gridcore.order_records import RestingOrder
from gridcore.resting_side import RestingSide
from gridcore.sides import BUY as BUY_ORDER
from gridcore.sides import DIRECTIONS, DirectionType
from gridcore.sides import SELL as SELL_ORDER
from gridcore.wants import Want, WantCancel, WantPlace

_WANTED = {BUY: BUY_ORDER, SELL: SELL_ORDER, WAIT: None}

Work = tuple[WantPlace, WantCancel | None]


@dataclass(slots=True)
class LevelComparison:
    """How the orders of one direction differ from the levels."""

    resting: RestingSide
    grid_version: int
    resting_version: int
    differing: dict[int, Work]  # by level
    outside: set[int]  # prices of orders on no level
    cancels: list[WantCancel]  # orders on no level, and all but one at a level
    highest_closing: int = 0  # price of the highest level that lacks a closing order
    bounds: tuple[int, int] | None = None  # of the market that `wants` are for
    wants: Sequence[Want] = ()


class LevelOrders:
    """The comparison of both directions' orders with one grid."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._compared: dict[DirectionType, LevelComparison] = {}
        self._seen_version = self._seen_before = -1  # versions of the grid
        self._seen_ticks: list[int] = []
        self._seen_sides: list[GridSideType] = []
        self._changed_levels: list[int] | None = None  # in between; None for all of them
        self._levels: dict[int, int] = {}
        self._centre = 0  # level that is visited first

    def compare(self, direction: DirectionType, resting: RestingSide) -> LevelComparison:
        """Return how the orders differ from the levels, looking again only at what changed."""
        known = self._compared.get(direction)
        if (
            known is not None
            and known.resting is resting
            and known.resting_version == resting.version
            and known.grid_version == self.grid.version
        ):
            return known
        self._look_at_grid()
        if known is None or not self._catch_up(direction, known, resting):
            known = self._compare_all(direction, resting)
            self._compared[direction] = known
        known.bounds = None
        highest = 0
        for place, _ in known.differing.values():
            if place.closing and place.price_ticks > highest:
                highest = place.price_ticks
        known.highest_closing = highest
        return known

    def _compare_all(self, direction: DirectionType, resting: RestingSide) -> LevelComparison:
        cancels: list[WantCancel] = []
        kept = self._keep_one(resting, cancels) if resting.extras else resting.by_ticks
        differing: dict[int, Work] = {}
        for index, (ticks, side) in enumerate(zip(self.grid.ticks, self.grid.sides, strict=True)):
            order = kept.get(ticks)
            if order is not None and order.side is _WANTED[side]:
                continue  # most levels have the order they want
            work = self._difference(direction, index, order)
            if work is not None:
                differing[index] = work
        outside = kept.keys() - self._levels.keys()
        cancels.extend(_outside_grid(kept, outside))
        return LevelComparison(
            resting, self.grid.version, resting.version, differing, outside, cancels
        )

    def _catch_up(
        self, direction: DirectionType, known: LevelComparison, resting: RestingSide
    ) -> bool:
        """Bring a comparison up to date; False when it has to be made anew."""
        if known.resting is not resting or resting.extras:
            return False
        levels: Iterable[int] = ()
        if known.grid_version != self._seen_version:
            if known.grid_version != self._seen_before or self._changed_levels is None:
                return False
            levels = self._changed_levels
        prices = resting.changed_since(known.resting_version)
        if prices is None:
            return False
        kept, ticks, differing = resting.by_ticks, self.grid.ticks, known.differing
        changed, levels_of = set(levels), self._levels
        for price in prices:
            level = levels_of.get(price)
            if level is not None:
                changed.add(level)
            elif price in kept:
                known.outside.add(price)
            else:
                known.outside.discard(price)
        for index in changed:
            work = self._difference(direction, index, kept.get(ticks[index]))
            if work is not None:
                differing[index] = work
            elif index in differing:
                del differing[index]
        known.cancels = _outside_grid(kept, known.outside) if known.outside else []
        known.grid_version, known.resting_version = self.grid.version, resting.version
        return True

    def _difference(
        self, direction: DirectionType, index: int, order: RestingOrder | None
    ) -> Work | None:
        """Return what a level lacks and which order is in its way; None when all is well."""
        side = _WANTED[self._seen_sides[index]]
        if side is None or (order is not None and order.side is side):
            return None
        mismatch = None if order is None else WantCancel(order, CancelReason.SIDE_MISMATCH)
        closing = side is direction.closing_side
        return WantPlace(direction, side, self.grid.ticks[index], index, closing), mismatch

    def _keep_one(self, resting: RestingSide, cancels: list[WantCancel]) -> dict[int, RestingOrder]:
        """Choose which of several orders at a price stays; the others join `cancels`.

        Kept is the one whose side the grid wants, then a partly filled one, then the oldest.
        """
        by_ticks: dict[int, list[RestingOrder]] = {}
        for order in resting:
            by_ticks.setdefault(order.price_ticks, []).append(order)
        kept = {}
        for price, orders in by_ticks.items():
            level = self._levels.get(price)
            wanted = None if level is None else self.grid.sides[level].value
            best = min(
                orders,
                key=lambda o: (o.side.value != wanted, not o.is_partially_filled, o.age_rank),
            )
            kept[price] = best
            cancels.extend(
                WantCancel(order, CancelReason.DUPLICATE) for order in orders if order is not best
            )
        return kept

    def _look_at_grid(self) -> None:
        """Note which levels changed since the last look, and in which order they are visited.

        By distance from the centre, the lower one first. The grid replaces its lists, so the ones
        seen last stay as they were.
        """
        grid = self.grid
        if self._seen_version == grid.version:
            return
        if grid.ticks is self._seen_ticks:
            differ = map(is_not, self._seen_sides, grid.sides)
            self._changed_levels = list(compress(range(len(grid.sides)), differ))
        else:
            self._changed_levels = None
            self._levels = {ticks: index for index, ticks in enumerate(grid.ticks)}
        self._seen_before, self._seen_version = self._seen_version, grid.version
        self._seen_ticks, self._seen_sides = grid.ticks, grid.sides
        sides = grid.sides
        count = len(sides)
        if WAIT in sides:
            first = sides.index(WAIT)
            last = count - 1 - sides[::-1].index(WAIT)
            self._centre = (first + last) // 2
        else:
            self._centre = count // 2

    def in_order(self, levels: Collection[int]) -> Iterable[int]:
        """Return levels in the order of visiting."""
        if len(levels) < 2:
            return levels
        centre = self._centre
        away = [level - centre for level in levels]
        return [centre + one for one in sorted(away, key=_rank)]

    def highest_closing(
        self, resting: Mapping[DirectionType, RestingSide]
    ) -> dict[DirectionType, int]:
        """Return the highest price, in ticks, at which each leg lacks a closing order.

        Legs that lack none are left out. What is wanted at any market is among what lacks.
        """
        highest = {}
        for direction in DIRECTIONS:
            ticks = self.compare(direction, resting[direction]).highest_closing
            if ticks:
                highest[direction] = ticks
        return highest


def _rank(away: int) -> int:
    """Return the place of a level, so far from the centre, in the order of visiting."""
    return 2 * away if away >= 0 else -2 * away - 1


def _outside_grid(kept: Mapping[int, RestingOrder], outside: set[int]) -> list[WantCancel]:
    if not outside:
        return []
    return [
        WantCancel(order, CancelReason.OUTSIDE_GRID)
        for price, order in kept.items()
        if price in outside
    ]
