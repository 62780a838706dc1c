"""The grid engine: from a market price and the resting orders to what should change.

One step per ticker and direction, as in the older bot: update the grid, then place what a level
lacks, cancel what lies on the wrong side or on no level. The comparison of orders with levels is
kept between ticks; a tick that changes neither only moves the two prices between which nothing is
placed. Everything in the loop is integer ticks.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import compress
from operator import is_not
from typing import NamedTuple

from gridcore.config import GridConfig
from gridcore.errors import ConfigError, GridError, InvalidEventError
from gridcore.events import Event, ExecutionEvent, OrderUpdateEvent, TickerEvent
from gridcore.exact import ceil_div
from gridcore.grid import BUY, SELL, UNBOUNDED, WAIT, Grid, GridSideType
from gridcore.intents import (
    CancelIntent,
    CancelReason,
    Intent,
    PlaceLimitIntent,
    client_order_id_for,
    extract_client_order_prefix,
)
from gridcore.orders import LimitOrder, RestingOrder, RestingSide
from gridcore.sides import BUY as BUY_ORDER
from gridcore.sides import LONG, SHORT, DirectionType, SideType
from gridcore.sides import SELL as SELL_ORDER

log = logging.getLogger(__name__)

SPARE_ORDERS = 10  # orders beyond the number of levels before everything is rebuilt
REMEMBERED_IDS = 20_000
DIRECTIONS = (LONG, SHORT)

_WANTED = {BUY: BUY_ORDER, SELL: SELL_ORDER, WAIT: None}

LimitOrders = Mapping[str, Sequence[LimitOrder | Mapping[str, object]]]


class WantCancel(NamedTuple):
    """The engine wants this order gone."""

    order: RestingOrder
    reason: CancelReason


class WantPlace(NamedTuple):
    """The engine wants an order at this level."""

    direction: DirectionType
    side: SideType
    price_ticks: int
    level: int
    closing: bool


Want = WantCancel | WantPlace


Work = tuple[WantPlace, WantCancel | None]


@dataclass(slots=True)
class _Comparison:
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


class GridEngine:
    """Decides for one symbol which limit orders should rest; quantities are decided elsewhere."""

    def __init__(
        self,
        symbol: str,
        tick_size: Decimal,
        config: GridConfig,
        strat_id: str | None,
        anchor_price: Decimal | None = None,
        levels: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """`levels` restores an exact grid; `anchor_price` (USDT) rebuilds one around the same
        centre, as long as the market is inside it. Raises GridError for levels that no grid has.
        """
        if not symbol:
            raise ConfigError("the engine needs a symbol, for example BTCUSDT")
        self.symbol = symbol
        self.tick_size = tick_size
        self.config = config
        self.strat_id = strat_id
        self.grid = Grid(tick_size, config.grid_count, config.grid_step, config.rebalance_threshold)
        self.last_close: Decimal | None = None
        self.last_filled_price: Decimal | None = None
        self.pending_orders: dict[str, str] = {}
        self._anchor_price = anchor_price
        if levels is not None:
            self.grid.restore(levels, anchor_price)
        step = config.step_fraction
        # half a step, as a ratio: no order is placed closer to the market
        self._half_num, self._half_den = step.numerator, 2 * step.denominator
        self._compared: dict[DirectionType, _Comparison] = {}
        self._seen_version = self._seen_before = -1  # versions of the grid
        self._seen_ticks: list[int] = []
        self._seen_sides: list[GridSideType] = []
        self._changed_levels: list[int] | None = None  # in between; None for all of them
        self._levels: dict[int, int] = {}
        self._centre = 0  # level that is visited first
        self._placing_close: Decimal | None = None  # the market that `_placing` was computed for
        self._placing = 0, 0
        self._ids: dict[tuple[DirectionType, SideType, int], str] = {}

    def get_anchor_price(self) -> Decimal | None:
        """Return the centre (USDT) at the last build or restore; None before that."""
        return self.grid.anchor_price

    # events

    def on_event(self, event: Event, limit_orders: LimitOrders | None = None) -> list[Intent]:
        """Apply one fact; return what to do about it, in submission order, quantities 0.

        `limit_orders` is {'long': [...], 'short': [...]}, LimitOrders or mappings in Bybit's form.
        Raises InvalidEventError for another symbol's event, GridError when no grid fits.
        """
        if event.symbol != self.symbol:
            raise InvalidEventError(f"{self.symbol}: given an event of {event.symbol}")
        if isinstance(event, TickerEvent):
            wants = self.step(event.last_price, self.resting_sides(limit_orders or {}))
            return [self._intent(want) for want in wants]
        if isinstance(event, ExecutionEvent):
            self.apply_fill(event.price)
        elif isinstance(event, OrderUpdateEvent):
            self._track(event)
        return []

    def apply_fill(self, price: Decimal) -> None:
        """Note the price (USDT) of the newest fill and update the grid around it."""
        self.last_filled_price = price
        self.grid.update_grid(price, self.last_close)

    def _track(self, event: OrderUpdateEvent) -> None:
        prefix = extract_client_order_prefix(event.order_link_id)
        if prefix is None:
            return
        if event.status.is_live:
            self.pending_orders[prefix] = event.order_id
        elif self.pending_orders.get(prefix) == event.order_id:
            del self.pending_orders[prefix]

    def resting_sides(self, limit_orders: LimitOrders) -> dict[DirectionType, RestingSide]:
        """Index orders by price; the border where mappings in Bybit's form are parsed."""
        sides = {}
        for direction in DIRECTIONS:
            parsed = (
                row
                if isinstance(row, LimitOrder)
                else LimitOrder.from_bybit(row, self.tick_size, rank)
                for rank, row in enumerate(limit_orders.get(direction.value, ()))
            )
            sides[direction] = RestingSide(parsed)
        return sides

    # one tick

    def step(self, last_close: Decimal, resting: Mapping[DirectionType, RestingSide]) -> list[Want]:
        """Take one market price (USDT); return what should change, long leg first."""
        self.last_close = last_close
        if not self.grid.ticks:
            self._build(last_close)
        most = len(self.grid) + SPARE_ORDERS
        counts = len(resting[LONG]), len(resting[SHORT])
        if counts[0] > most or counts[1] > most:
            log.warning(
                "%s: %s long and %s short orders for %s levels; rebuilding",
                self.symbol,
                *counts,
                len(self.grid),
            )
            self.grid.build_grid(last_close)
            return [
                WantCancel(order, CancelReason.REBUILD)
                for direction in DIRECTIONS
                for order in resting[direction]
            ]
        wants: list[Want] = []
        bounds = self._placing_bounds(last_close)
        for direction, count in zip(DIRECTIONS, counts, strict=True):
            if 0 < count < self.config.grid_count:
                self.grid.update_grid(self.last_filled_price, last_close)
            wants.extend(self._wants(direction, resting[direction], bounds))
        return wants

    def _wants(
        self, direction: DirectionType, resting: RestingSide, bounds: tuple[int, int]
    ) -> Sequence[Want]:
        """Return what the present levels want of one direction, in the order of visiting."""
        comparison = self._compare(direction, resting)
        if comparison.bounds == bounds:
            return comparison.wants
        highest_buy, lowest_sell = bounds
        wants: list[Want] = []
        differing = comparison.differing
        order = sorted(differing, key=self._rank) if len(differing) > 1 else differing
        for index in order:
            place, mismatch = differing[index]
            if mismatch is not None:
                wants.append(mismatch)
            ticks = place.price_ticks
            if ticks <= highest_buy if place.side is BUY_ORDER else ticks >= lowest_sell:
                wants.append(place)
        wants.extend(comparison.cancels)
        comparison.bounds, comparison.wants = bounds, wants
        return wants

    def _placing_bounds(self, last_close: Decimal) -> tuple[int, int]:
        """Return the highest Buy and the lowest Sell tick that may be placed at this market.

        More than half a step away from it: |close - level| / close > step / 2.
        """
        if last_close is self._placing_close:
            return self._placing
        self._placing = self._placing_bounds_at(last_close)
        self._placing_close = last_close
        return self._placing

    def _placing_bounds_at(self, last_close: Decimal) -> tuple[int, int]:
        num, den = self._half_num, self._half_den
        low, high = self.grid.tick_bounds.of(last_close)
        if low == high:
            return ceil_div(low * (den - num), den) - 1, low * (den + num) // den + 1
        price_num, price_den = last_close.as_integer_ratio()
        tick_num, tick_den = self.tick_size.as_integer_ratio()
        price_num, price_den = price_num * tick_den, price_den * tick_num * den
        below, above = price_num * (den - num), price_num * (den + num)
        return ceil_div(below, price_den) - 1, above // price_den + 1

    def _build(self, last_close: Decimal) -> None:
        anchor = self._anchor_price
        if anchor is not None and self.grid.would_contain(anchor, last_close):
            self.grid.build_grid(anchor)
            return
        if anchor is not None:
            log.info("%s: market %s is outside a grid around %s", self.symbol, last_close, anchor)
        self.grid.build_grid(last_close)

    # orders against levels

    def _compare(self, direction: DirectionType, resting: RestingSide) -> _Comparison:
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

    def _compare_all(self, direction: DirectionType, resting: RestingSide) -> _Comparison:
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
        return _Comparison(resting, self.grid.version, resting.version, differing, outside, cancels)

    def _catch_up(self, direction: DirectionType, known: _Comparison, resting: RestingSide) -> bool:
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
        closing = direction.is_closing(side)
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

    def _rank(self, level: int) -> int:
        """Return the place of a level in the order of visiting."""
        away = level - self._centre
        return 2 * away if away >= 0 else -2 * away - 1

    # where nothing changes

    def quiet_band(self, limit_orders: LimitOrders | None = None) -> tuple[Decimal, Decimal]:
        """Return the widest open price interval (USDT) around last_close in which nothing happens.

        A further ticker at any tick strictly inside returns no intent and changes nothing but
        last_close; at an edge, something does happen. Both edges equal last_close when there is no
        such interval; 0 and Infinity stand for no edge at all. Raises GridError before the first
        ticker.
        """
        if self.last_close is None:
            raise GridError(
                f"{self.symbol}: no ticker yet, so there is no market to be quiet around"
            )
        resting = self.resting_sides(limit_orders or {})
        band = self.stable_range(resting)
        if band is None or self.wants_unchanged(resting):
            return self.last_close, self.last_close
        lowest, highest = band
        return (
            self.tick_size * (lowest - 1) if lowest > 0 else Decimal(0),
            self.tick_size * (highest + 1) if highest < UNBOUNDED else Decimal("Infinity"),
        )

    def wants_unchanged(self, resting: Mapping[DirectionType, RestingSide]) -> list[Want]:
        """Return what another ticker at the present price would want, the grid staying as it is.

        Changes nothing. Meaningful where `stable_range` is not None.
        """
        if self.last_close is None:
            return []
        bounds = self._placing_bounds(self.last_close)
        return [
            *self._wants(LONG, resting[LONG], bounds),
            *self._wants(SHORT, resting[SHORT], bounds),
        ]

    def highest_closing(
        self, resting: Mapping[DirectionType, RestingSide]
    ) -> dict[DirectionType, int]:
        """Return the highest price, in ticks, at which each leg lacks a closing order.

        Legs that lack none are left out. What is wanted at any market is among what lacks.
        """
        highest = {}
        for direction in DIRECTIONS:
            ticks = self._compare(direction, resting[direction]).highest_closing
            if ticks:
                highest[direction] = ticks
        return highest

    def stable_range(
        self,
        resting: Mapping[DirectionType, RestingSide],
        not_closing: Collection[DirectionType] = (),
    ) -> tuple[int, int] | None:
        """Return the closed range of market prices, in ticks, with the same wants as now.

        None when another tick at the present price would change the grid. What is wanted now
        (possibly nothing) is wanted, in the same order, everywhere in the range; closing orders
        of the legs in `not_closing` are not looked at.
        """
        if self.last_close is None or not self.grid.ticks:
            return None
        close, ceiling = self.grid.tick_bounds.of(self.last_close)
        if close != ceiling:
            return None
        low, high = 1, UNBOUNDED
        for direction in DIRECTIONS:
            count = len(resting[direction])
            if count > len(self.grid) + SPARE_ORDERS:
                return None
            if 0 < count < self.config.grid_count:
                settled_low, settled_high = self.grid.settled_range(self.last_filled_price, close)
                low, high = max(low, settled_low), min(high, settled_high)
        if not low <= close <= high:
            return None
        first, last = self._same_wishes_range(self.last_close, resting, not_closing)
        return max(low, first), min(high, last)

    def _same_wishes_range(
        self,
        last_close: Decimal,
        resting: Mapping[DirectionType, RestingSide],
        not_closing: Collection[DirectionType],
    ) -> tuple[int, int]:
        """Return the closed range of markets, in ticks, at which the same orders are wanted.

        Levels come to be wanted in the order of their prices, so that the nearest ones decide.
        """
        buys: list[int] = []
        sells: list[int] = []
        for direction in DIRECTIONS:
            opening_only = direction in not_closing
            for place, _ in self._compare(direction, resting[direction]).differing.values():
                if opening_only and place.closing:
                    continue
                (buys if place.side is BUY_ORDER else sells).append(place.price_ticks)
        buys.sort()
        sells.sort()
        highest_buy, lowest_sell = self._placing_bounds(last_close)
        low, high = 1, UNBOUNDED
        at = bisect_right(buys, highest_buy)
        if at:
            low = self._buy_wanted_from(buys[at - 1])
        if at < len(buys):
            high = self._buy_wanted_from(buys[at]) - 1
        at = bisect_left(sells, lowest_sell)
        if at:
            low = max(low, self._sell_wanted_to(sells[at - 1]) + 1)
        if at < len(sells):
            high = min(high, self._sell_wanted_to(sells[at]))
        return low, high

    def _buy_wanted_from(self, level: int) -> int:
        """Return the lowest market, in ticks, that lies more than half a step above a level."""
        return level * self._half_den // (self._half_den - self._half_num) + 1

    def _sell_wanted_to(self, level: int) -> int:
        """Return the highest market, in ticks, that lies more than half a step below a level."""
        return ceil_div(level * self._half_den, self._half_den + self._half_num) - 1

    # wishes as intents

    def client_order_id(self, direction: DirectionType, side: SideType, price_ticks: int) -> str:
        """Return the identity of an order of this strategy at a price."""
        key = (direction, side, price_ticks)
        known = self._ids.get(key)
        if known is None:
            if len(self._ids) > REMEMBERED_IDS:
                self._ids.clear()
            price = self.tick_size * price_ticks
            known = client_order_id_for(self.symbol, side, price, direction, self.strat_id)
            self._ids[key] = known
        return known

    def is_own(self, order: LimitOrder) -> bool:
        """Tell whether an order's link id carries an identity of this strategy.

        The exchange may move a price to its limit, so identities of the present levels count too.
        """
        prefix = order.client_order_id
        if not prefix:
            return False
        if order.price is not None:
            return prefix == client_order_id_for(
                self.symbol, order.side, order.price, order.direction, self.strat_id
            )
        if prefix == self.client_order_id(order.direction, order.side, order.price_ticks):
            return True
        return any(
            prefix == self.client_order_id(order.direction, order.side, ticks)
            for ticks in self.grid.ticks
        )

    def cancel_intent(self, want: WantCancel) -> CancelIntent:
        """Turn a wish to cancel into an intent; an order without an id yet has id ""."""
        order = want.order
        return CancelIntent(
            symbol=self.symbol,
            order_id=order.order_id or "",
            reason=want.reason,
            price=order.price or self.tick_size * order.price_ticks,
            side=order.side,
            client_order_id=order.client_order_id,
        )

    def place_intent(self, want: WantPlace, qty: Decimal, post_only: bool) -> PlaceLimitIntent:
        """Turn a wish to place into an intent of this quantity (base coin)."""
        return PlaceLimitIntent(
            symbol=self.symbol,
            side=want.side,
            price=self.tick_size * want.price_ticks,
            qty=qty,
            reduce_only=want.closing,
            client_order_id=self.client_order_id(want.direction, want.side, want.price_ticks),
            grid_level=want.level,
            direction=want.direction,
            post_only=post_only,
        )

    def _intent(self, want: Want) -> Intent:
        if isinstance(want, WantCancel):
            return self.cancel_intent(want)
        return self.place_intent(want, Decimal(0), post_only=False)


def _outside_grid(kept: Mapping[int, RestingOrder], outside: set[int]) -> list[WantCancel]:
    if not outside:
        return []
    return [
        WantCancel(order, CancelReason.OUTSIDE_GRID)
        for price, order in kept.items()
        if price in outside
    ]


def orders_by_direction(orders: Iterable[LimitOrder]) -> dict[str, list[LimitOrder]]:
    """Sort orders into {'long': [...], 'short': [...]}."""
    sorted_orders: dict[str, list[LimitOrder]] = {d.value: [] for d in DIRECTIONS}
    for order in orders:
        sorted_orders[order.direction.value].append(order)
    return sorted_orders


__all__ = [
    "DIRECTIONS",
    "GridEngine",
    "GridSideType",
    "LimitOrders",
    "Want",
    "WantCancel",
    "WantPlace",
    "orders_by_direction",
]
