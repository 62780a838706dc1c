"""The grid engine: from a market price and the resting orders to what should change.

One step per ticker and direction, as in the older bot: update the grid, then place what a level
lacks, cancel what lies on the wrong side or on no level. The comparison of orders with levels is
kept between ticks; a tick that changes neither only moves the two prices between which nothing is
placed. Everything in the loop is integer ticks.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from gridcore.config import GridConfig
from gridcore.errors import ConfigError, GridError, InvalidEventError
from gridcore.events import Event, ExecutionEvent, OrderUpdateEvent, TickerEvent
from gridcore.grid import UNBOUNDED, Grid, GridSideType
from gridcore.intents import (
    CancelReason,
    Intent,
    extract_client_order_prefix,
)
from gridcore.level_orders import LevelOrders
from gridcore.order_names import OrderNames
from gridcore.orders import LimitOrder, RestingSide
from gridcore.placing import PlacingDistance
from gridcore.sides import BUY as BUY_ORDER
from gridcore.sides import DIRECTIONS, LONG, SHORT, DirectionType
from gridcore.wants import Want, WantCancel, WantPlace

log = logging.getLogger(__name__)

SPARE_ORDERS = 10  # orders beyond the number of levels before everything is rebuilt


LimitOrders = Mapping[str, Sequence[LimitOrder | Mapping[str, object]]]


class GridEngine:
    """Decides for one symbol which limit orders should rest; quantities are decided elsewhere."""

    def __init__(
        self,
        symbol: str,
        tick_size: Decimal,
        config: GridConfig,
        strat_id: str | None,
        anchor_price: Decimal | float | str | None = None,
        levels: Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """`levels` restores an exact grid; `anchor_price` (USDT) rebuilds one around the same
        centre, as long as the market is inside it. Both as `GridAnchorStore` gives them, or newly
        made. Raises ConfigError for an anchor that is no price, GridError for levels that no grid
        has.
        """
        if not symbol:
            raise ConfigError("the engine needs a symbol, for example BTCUSDT")
        self.symbol = symbol
        self.tick_size = tick_size
        self.config = config
        self.grid = Grid(tick_size, config.grid_count, config.grid_step, config.rebalance_threshold)
        self.last_close: Decimal | None = None
        self.last_filled_price: Decimal | None = None
        self.pending_orders: dict[str, str] = {}
        self._anchor_price = None if anchor_price is None else _price("anchor_price", anchor_price)
        if levels is not None:
            self.grid.restore(levels, self._anchor_price)
        self.names = OrderNames(symbol, strat_id, self.grid)
        self._levels = LevelOrders(self.grid)
        self._placing = PlacingDistance(config, self.grid.tick_bounds)

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
            return [self.names.intent(want) for want in wants]
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
        bounds = self._placing.bounds(last_close)
        for direction, count in zip(DIRECTIONS, counts, strict=True):
            if 0 < count < self.config.grid_count:
                self.grid.update_grid(self.last_filled_price, last_close)
            wants.extend(self._wants(direction, resting[direction], bounds))
        return wants

    def _wants(
        self, direction: DirectionType, resting: RestingSide, bounds: tuple[int, int]
    ) -> Sequence[Want]:
        """Return what the present levels want of one direction, in the order of visiting."""
        comparison = self._levels.compare(direction, resting)
        if comparison.bounds == bounds:
            return comparison.wants
        highest_buy, lowest_sell = bounds
        wants: list[Want] = []
        differing = comparison.differing
        for index in self._levels.in_order(differing):
            place, mismatch = differing[index]
            if mismatch is not None:
                wants.append(mismatch)
            ticks = place.price_ticks
            if ticks <= highest_buy if place.side is BUY_ORDER else ticks >= lowest_sell:
                wants.append(place)
        wants.extend(comparison.cancels)
        comparison.bounds, comparison.wants = bounds, wants
        return wants

    def _build(self, last_close: Decimal) -> None:
        anchor = self._anchor_price
        if anchor is not None and self.grid.would_contain(anchor, last_close):
            self.grid.build_grid(anchor)
            return
        if anchor is not None:
            log.info("%s: market %s is outside a grid around %s", self.symbol, last_close, anchor)
        self.grid.build_grid(last_close)

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
        bounds = self._placing.bounds(self.last_close)
        return [
            *self._wants(LONG, resting[LONG], bounds),
            *self._wants(SHORT, resting[SHORT], bounds),
        ]

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
        first, last = self._same_wants_range(self.last_close, resting, not_closing)
        return max(low, first), min(high, last)

    def highest_closing(
        self, resting: Mapping[DirectionType, RestingSide]
    ) -> dict[DirectionType, int]:
        """Return the highest price, in ticks, at which each leg lacks a closing order.

        Legs that lack none are left out. What is wanted at any market is among what lacks.
        """
        return self._levels.highest_closing(resting)

    def _same_wants_range(
        self,
        last_close: Decimal,
        resting: Mapping[DirectionType, RestingSide],
        not_closing: Collection[DirectionType],
    ) -> tuple[int, int]:
        """Return the closed range of markets, in ticks, at which the same orders are wanted."""
        buys: list[int] = []
        sells: list[int] = []
        for direction in DIRECTIONS:
            opening_only = direction in not_closing
            lacking = self._levels.compare(direction, resting[direction]).differing
            for place, _ in lacking.values():
                if opening_only and place.closing:
                    continue
                (buys if place.side is BUY_ORDER else sells).append(place.price_ticks)
        return self._placing.same_range(last_close, buys, sells)


def _price(name: str, value: Decimal | float | str) -> Decimal:
    """Return a price (USDT) as an exact Decimal. Raises ConfigError for what is none."""
    try:
        price = Decimal(str(value))
    except ArithmeticError as error:
        raise ConfigError(f"{name} is {value!r}; it is a price in USDT") from error
    if not price.is_finite() or price <= 0:
        raise ConfigError(f"{name} is {value!r}; it is a price in USDT above zero")
    return price


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
