"""The whole decision of one strategy on one symbol of one account.

`GridStrategy` composes the engine, the position rules, the tracked orders and the guards. It learns
everything through events and answers with final intents: quantity set, guards passed, nothing
doubled. Live bot, shadow mode, paper trading and backtest run this same object.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, assert_never

from gridcore.account import AccountMirror
from gridcore.admission import TIMED, Admission, Refusal
from gridcore.config import GridConfig
from gridcore.engine import DIRECTIONS, GridEngine, Want, WantCancel, WantPlace
from gridcore.errors import ConfigError, GridError, InvalidEventError, SnapshotError
from gridcore.events import (
    AccountEvent,
    CancelOutcome,
    CancelResultEvent,
    Event,
    ExchangeOrderStatus,
    ExecutionEvent,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    TickerEvent,
)
from gridcore.grid import UNBOUNDED
from gridcore.guards import SafetyCaps
from gridcore.instrument import InstrumentInfo, floor_ceil_ticks
from gridcore.intents import CancelIntent, CancelReason, Intent, extract_client_order_prefix
from gridcore.orders import LimitOrder, OrderBook, OrderStatus, TrackedOrder
from gridcore.position import Position, RiskConfig
from gridcore.qty import AmountSpec
from gridcore.sides import DirectionType, SideType

log = logging.getLogger(__name__)

SNAPSHOT_VERSION = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
REMEMBERED_EXECUTIONS = 20_000
STORED_IDS = 2_000
# an order is judged missing only when it was confirmed this long before the list was made:
# lists may lag behind the matching engine
LIST_LAG = timedelta(seconds=5)


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


class QuietBand(NamedTuple):
    """Where and until when further tickers change nothing but the last price.

    low_ticks and high_ticks are the lowest and highest quiet price, both included. `until` is the
    first event time at which a ticker must be looked at whatever its price; None when there is no
    such time. Whoever skips tickers feeds the newest skipped one before any other event, because a
    fill is judged against the last price. `check_matters` tells whether a position check alone
    could let a refused order through; while it is False, checks inside the band may be skipped but
    for the last one.
    """

    low_ticks: int
    high_ticks: int
    until: datetime | None
    check_matters: bool


@dataclass(frozen=True, slots=True)
class OrdersReport:
    """What comparing the exchange's open orders with the tracked ones brought."""

    adopted: tuple[str, ...]
    closed: tuple[str, ...]
    foreign: tuple[str, ...]


class GridStrategy:
    """One strategy: events in, final intents out. Not thread-safe; one actor feeds it."""

    def __init__(
        self,
        config: StrategyConfig,
        *,
        anchor_price: Decimal | None = None,
        levels: list[Mapping[str, object]] | None = None,
    ) -> None:
        """`anchor_price` (USDT) and `levels` restore a grid, as in GridEngine."""
        self.config = config
        self.engine = GridEngine(
            config.symbol,
            config.instrument.tick_size,
            config.grid,
            config.strat_id,
            anchor_price,
            levels,
        )
        long, short = Position.create_linked_pair(config.risk, config.short_risk)
        self.positions = {DirectionType.LONG: long, DirectionType.SHORT: short}
        self.book = OrderBook()
        self.account = AccountMirror(config.leverage, config.wallet_max_age)
        self.admission = Admission(config, self.account, self.book, self.positions)
        self.foreign_orders: dict[str, LimitOrder] = {}
        self._foreign_cancels: set[str] = set()
        self._executions: OrderedDict[str, None] = OrderedDict()
        self._next_check = EPOCH
        self._now = EPOCH
        self._grid_error: str | None = None
        self._band: QuietBand | None = None
        self._band_low = self._band_high = Decimal(0)
        self._band_until = EPOCH
        self.duplicate_executions = 0

    # events

    def on_event(self, event: Event) -> list[Intent]:
        """Apply one fact; return the intents that follow, in submission order.

        Only tickers lead to intents. Raises InvalidEventError for another symbol's event.
        """
        if type(event) is TickerEvent:
            return self._on_ticker(event)
        if event.symbol != self.config.symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given an event of {event.symbol}")
        self._band = None
        match event:
            case PublicTradeEvent():
                pass
            case ExecutionEvent():
                self._on_execution(event)
            case OrderUpdateEvent():
                self._on_order_update(event)
            case PlaceResultEvent():
                self._on_place_result(event)
            case CancelResultEvent():
                self._on_cancel_result(event)
            case AccountEvent():
                if self.account.apply(event):
                    self.admission.wallet_changed()
            case OpenOrdersEvent():
                self.adopt_orders(event.orders, event.exchange_ts)
            case _:
                raise InvalidEventError(f"{type(event).__name__} is no event of a strategy")
        return []

    def _on_ticker(self, event: TickerEvent) -> list[Intent]:
        price, now = event.last_price, event.exchange_ts
        if (
            self._band is not None
            and self._band_low <= price <= self._band_high
            and now < self._band_until
            and event.symbol == self.config.symbol
        ):
            self.engine.last_close, self._now = price, now
            return []
        if event.symbol != self.config.symbol:
            raise InvalidEventError(f"{self.config.strat_id}: given a ticker of {event.symbol}")
        self._band = None
        self._now = now
        if not self.account.is_known:
            return []
        loss = self.admission.loss
        if loss.limit is not None and loss.check(self.account.unrealised_pnl(price), now):
            log.error("%s: session loss limit reached: %s", self.config.strat_id, self._loss_text())
        if now >= self._next_check:
            self._check_positions(price, now)
        if loss.is_tripped:
            self.engine.last_close = price
            return self.cancel_all(CancelReason.LOSS_BREAKER)
        intents = self._decide(price, now)
        if not intents:
            self.quiet_band()
        return intents

    def _decide(self, price: Decimal, now: datetime) -> list[Intent]:
        try:
            wants = self.engine.step(price, self.book.sides)
        except GridError as error:
            self._note_grid_error(error)
            return []
        self._grid_error = None
        intents: list[Intent] = []
        refused = self.admission.refused
        refused.clear()
        for want in wants:
            if isinstance(want, WantCancel):
                intent = self._cancel(want, now)
                if intent is not None:
                    intents.append(intent)
                continue
            verdict = self.admission.judge(want, now)
            if isinstance(verdict, Refusal):
                refused[verdict] += 1
            else:
                intents.append(self._place(want, verdict, now))
        if self.config.cancel_foreign_orders:
            intents.extend(self._cancel_foreign())
        return intents

    def _place(self, want: WantPlace, qty: Decimal, now: datetime) -> Intent:
        intent = self.engine.place_intent(want, qty, self.config.post_only)
        order = self.book.add_pending(
            client_order_id=intent.client_order_id,
            direction=want.direction,
            side=want.side,
            price_ticks=want.price_ticks,
            price=intent.price,
            qty=qty,
            reduce_only=intent.reduce_only,
            created_ts=now,
        )
        if not intent.reduce_only:
            self.account.free_margin.reserve(order)
        self.admission.rate.add(now)
        return intent

    def _cancel(self, want: WantCancel, now: datetime) -> CancelIntent | None:
        order = want.order
        if not isinstance(order, TrackedOrder) or not self._can_cancel(order, now):
            return None
        order.cancel_in_flight = True
        return self.engine.cancel_intent(want)

    def _can_cancel(self, order: TrackedOrder, now: datetime) -> bool:
        """An order without an id, or with a cancel on its way, waits for the answer first."""
        if order.order_id is None or order.cancel_in_flight:
            return False
        return self.admission.retry.held_until(order.order_id, now) is None

    def cancel_all(self, reason: CancelReason) -> list[Intent]:
        """Return cancels for every live order that has none on its way."""
        intents = []
        for order in list(self.book):
            intent = self._cancel(WantCancel(order, reason), self._now)
            if intent is not None:
                intents.append(intent)
        if intents:
            self._band = None
        return list[Intent](intents)

    def _cancel_foreign(self) -> list[Intent]:
        intents: list[Intent] = []
        for order_id, order in self.foreign_orders.items():
            if order_id not in self._foreign_cancels:
                self._foreign_cancels.add(order_id)
                want = WantCancel(order, CancelReason.OUTSIDE_GRID)
                intents.append(self.engine.cancel_intent(want))
        return intents

    # what the exchange tells about orders

    def _on_execution(self, event: ExecutionEvent) -> None:
        if event.exec_id in self._executions:
            self.duplicate_executions += 1
            return
        self._remember_execution(event.exec_id)
        order = self.book.find(event.order_id, event.order_link_id, event.exchange_ts)
        realised = self.account.fill(event)
        self.admission.loss.add_realised(realised, event.fee)
        if order is not None:
            self.admission.retry.clear((order.direction, order.price_ticks))
            order.confirmed_ts = max(order.confirmed_ts or event.exchange_ts, event.exchange_ts)
            # an earlier fill of the same order may still be on its way
            unseen = order.leaves_qty - event.leaves_qty - event.qty
            self._await_fills(order, unseen, event.exchange_ts)
            if event.leaves_qty:
                self.book.reduce(order, event.leaves_qty)
            else:
                self.book.end(order, OrderStatus.FILLED, event.exchange_ts)
        if order is not None or extract_client_order_prefix(event.order_link_id):
            self.admission.same_order.add(event)
            try:
                self.engine.apply_fill(event.price)
            except GridError as error:
                self._note_grid_error(error)

    def _on_order_update(self, event: OrderUpdateEvent) -> None:
        self.engine.on_event(event)
        order = self.book.find(event.order_id, event.order_link_id, event.exchange_ts)
        if order is None:
            self._on_unknown_order(event)
        elif event.status.is_live:
            self.admission.retry.clear((order.direction, order.price_ticks))
            self._check_price(order, event)
        else:
            self._end_order(order, event)

    def _end_order(self, order: TrackedOrder, event: OrderUpdateEvent) -> None:
        if event.status is ExchangeOrderStatus.FILLED:
            self._await_fills(order, order.leaves_qty, event.exchange_ts)
            self.book.end(order, OrderStatus.FILLED, event.exchange_ts)
            return
        seen = order.qty - order.leaves_qty
        # a cancelled order may report nothing left, and then its fills cannot be told from that
        filled = event.qty - event.leaves_qty if event.leaves_qty else order.qty
        self._await_fills(order, filled - seen, event.exchange_ts)
        untouched = not seen and not order.cancel_in_flight
        if untouched or event.status is ExchangeOrderStatus.REJECTED:
            key = (order.direction, order.price_ticks)
            self.admission.retry.add_failure(key, event.exchange_ts)
        rejected = event.status is ExchangeOrderStatus.REJECTED
        self.book.end(
            order,
            OrderStatus.REJECTED if rejected else OrderStatus.CANCELLED,
            event.exchange_ts,
        )
        if rejected or event.leaves_qty == event.qty:
            self.account.free_margin.release(order)
        else:
            # a part of it may have become position, so its margin is freed by the next report
            order.confirmed_ts = event.exchange_ts

    def _await_fills(self, order: TrackedOrder, qty: Decimal, ts: datetime) -> None:
        """Let the guards count a quantity that filled, but whose executions are not here yet."""
        if order.order_id is not None:
            leg = self.account.legs[order.direction]
            leg.await_fill(order.order_id, qty, order.price, ts, closing=order.reduce_only)

    def _on_unknown_order(self, event: OrderUpdateEvent) -> None:
        ended = self.book.ended_ts(event.order_id)
        if ended is not None and event.exchange_ts <= ended:
            return  # old news of an order that has ended since
        if not event.status.is_live:
            self._drop_foreign(event.order_id)
            return
        low, high = floor_ceil_ticks(event.price, self.config.instrument.tick_size)
        if low != high or not low:
            return
        self._adopt_or_report(
            LimitOrder(
                order_id=event.order_id,
                order_link_id=event.order_link_id,
                direction=event.direction,
                side=event.side,
                price_ticks=low,
                qty=event.qty,
                leaves_qty=event.leaves_qty,
                age_rank=int(event.exchange_ts.timestamp() * 1000),
            ),
            event.exchange_ts,
        )

    def _check_price(self, order: TrackedOrder, event: OrderUpdateEvent) -> None:
        """Follow an order whose price the exchange moved to its limit."""
        if event.price == order.price:
            return
        low, high = floor_ceil_ticks(event.price, self.config.instrument.tick_size)
        if low == high and low:
            log.warning(
                "%s: the exchange moved order %s from %s to %s",
                self.config.strat_id,
                event.order_id,
                order.price,
                event.price,
            )
            self.book.reprice(order, low, event.price)

    def _on_place_result(self, event: PlaceResultEvent) -> None:
        ts = event.exchange_ts
        order = self.book.unacknowledged(event.client_order_id)
        if event.outcome is PlaceOutcome.ACCEPTED:
            if order is not None and event.order_id and not self.book.knows(event.order_id):
                self.book.acknowledge(order, event.order_id, event.order_link_id, ts)
            return
        if order is None:
            log.info(
                "%s: a late %s for %s", self.config.strat_id, event.outcome, event.client_order_id
            )
            return
        rejected = event.outcome is PlaceOutcome.REJECTED
        self.book.end(order, OrderStatus.REJECTED if rejected else OrderStatus.FAILED, ts)
        self.account.free_margin.release(order)
        self.admission.retry.add_failure((order.direction, order.price_ticks), ts)
        match event.reject_reason if rejected else None:
            case RejectReason.REDUCE_ONLY:
                self.account.block_closing(order.direction, ts)
                if self.admission.reduce_only[order.direction].add(ts):
                    log.error(
                        "%s: closing orders of the %s leg were refused three times; they stop",
                        self.config.strat_id,
                        order.direction,
                    )
            case RejectReason.INSUFFICIENT_BALANCE:
                self.account.free_margin.forget()
            case RejectReason.OTHER | None:
                pass
            case unknown:
                assert_never(unknown)

    def _on_cancel_result(self, event: CancelResultEvent) -> None:
        if event.order_id in self._foreign_cancels:
            self._on_foreign_cancel_result(event)
        order = self.book.get(event.order_id)
        if order is None:
            return
        match event.outcome:
            case CancelOutcome.ACCEPTED:
                order.cancel_accepted_ts = event.exchange_ts
                self.admission.retry.clear(event.order_id)
            case CancelOutcome.GONE:
                self._await_fills(order, order.leaves_qty, event.exchange_ts)
                self.book.end(order, OrderStatus.CANCELLED, event.exchange_ts)
            case CancelOutcome.FAILED:
                order.cancel_in_flight = False
                self.admission.retry.add_failure(event.order_id, event.exchange_ts)
            case unknown:
                assert_never(unknown)

    def _on_foreign_cancel_result(self, event: CancelResultEvent) -> None:
        if event.outcome is CancelOutcome.GONE:
            self._drop_foreign(event.order_id)

    def _remember_execution(self, exec_id: str) -> None:
        self._executions[exec_id] = None
        if len(self._executions) > REMEMBERED_EXECUTIONS:
            self._executions.popitem(last=False)

    # the exchange's list of open orders

    def adopt_orders(self, orders: Iterable[LimitOrder], ts: datetime) -> OrdersReport:
        """Compare all open orders of the symbol, confirmed as of `ts`, with the tracked ones.

        Ours that are not tracked are adopted; tracked ones that were confirmed well before `ts`
        and are missing are closed; orders in flight are left alone; all others are foreign.
        From here on the open orders count as confirmed.
        """
        self._band = None
        listed = {order.order_id: order for order in orders}
        closed = []
        for order in list(self.book):
            if order.order_id is None or order.confirmed_ts is None:
                continue
            found = listed.get(order.order_id)
            settled = order.confirmed_ts + LIST_LAG <= ts
            if found is not None:
                self.book.reduce(order, found.leaves_qty)
                accepted = order.cancel_accepted_ts
                if accepted is not None and accepted + LIST_LAG <= ts:
                    order.cancel_in_flight, order.cancel_accepted_ts = False, None
            elif settled:
                self._await_fills(order, order.leaves_qty, ts)
                self.book.end(order, OrderStatus.CANCELLED, ts)
                closed.append(order.order_id)
        self.foreign_orders = {k: v for k, v in self.foreign_orders.items() if k in listed}
        self._foreign_cancels.clear()
        adopted = [
            order_id
            for order_id, order in listed.items()
            if self.book.get(order_id) is None
            and self._is_news(order_id, ts)
            and self._adopt_or_report(order, ts)
        ]
        self.account.orders_confirmed = True
        report = OrdersReport(tuple(adopted), tuple(closed), tuple(self.foreign_orders))
        if adopted or closed:
            log.info("%s: open orders compared: %s", self.config.strat_id, report)
        return report

    def _is_news(self, order_id: str, ts: datetime) -> bool:
        """Tell whether a list made at `ts` may show an order that has ended here."""
        ended = self.book.ended_ts(order_id)
        return ended is None or ended + LIST_LAG < ts

    def _adopt_or_report(self, order: LimitOrder, ts: datetime) -> bool:
        if self.engine.is_own(order):
            prefix = order.client_order_id
            waiting = self.book.unacknowledged(prefix)
            if waiting is not None:
                self.book.acknowledge(waiting, order.order_id, order.order_link_id, ts)
            else:
                price = self.config.instrument.to_price(order.price_ticks)
                self.book.adopt(order, price, ts)
            return True
        if order.order_id not in self.foreign_orders:
            log.warning(
                "%s: order %s (%s %s at tick %s) is not of this strategy",
                self.config.strat_id,
                order.order_id,
                order.side,
                order.leaves_qty,
                order.price_ticks,
            )
        self.foreign_orders[order.order_id] = order
        return False

    def _drop_foreign(self, order_id: str) -> None:
        self.foreign_orders.pop(order_id, None)
        self._foreign_cancels.discard(order_id)

    # periodic

    def _check_positions(self, price: Decimal, now: datetime) -> None:
        interval = self.config.position_check_interval
        self._next_check = EPOCH + ((now - EPOCH) // interval + 1) * interval
        long, short = (self.positions[direction] for direction in DIRECTIONS)
        before = long.get_amount_multiplier(), short.get_amount_multiplier()
        long.reset_amount_multiplier()
        short.reset_amount_multiplier()
        states = self.account.states(price)
        if states is not None:
            long_state, short_state = states
            long.calculate_amount_multiplier(long_state, short_state, price)
            short.calculate_amount_multiplier(short_state, long_state, price)
        if before != (long.get_amount_multiplier(), short.get_amount_multiplier()):
            self.admission.forget_quantities()

    @property
    def next_position_check(self) -> datetime:
        """Event time from which the next ticker runs the position check."""
        return self._next_check

    # quiet

    def quiet_band(self) -> QuietBand | None:
        """Return where further tickers change nothing but the last price; None when nowhere.

        Valid until the next event that is no ticker. Exact: at a price beyond an edge or at a time
        from `until` on, a ticker may have an effect.
        """
        if self._band is None:
            band = self._compute_band()
            if band is None:
                return None
            tick_size = self.config.instrument.tick_size
            self._band = band
            self._band_low = tick_size * band.low_ticks
            self._band_high = tick_size * band.high_ticks
            self._band_until = min(band.until or NEVER, self._next_check)
        return self._band

    def _compute_band(self) -> QuietBand | None:
        if not self.account.is_known:
            return None
        loss = self.admission.loss
        price = self.engine.last_close
        if price is None or self._grid_error is not None:
            return None
        if loss.is_tripped:
            return (
                None
                if any(self._can_cancel(o, self._now) for o in self.book)
                else (QuietBand(1, UNBOUNDED, self._earliest([loss.next_midnight]), False))
            )
        if self._has_foreign_to_cancel():
            return None
        stable = self.engine.stable_range(self.book.sides)
        if stable is None:
            return None
        waits = self._refused_until(self.engine.wants_unchanged(self.book.sides))
        if waits is None:
            return None
        times, any_refused = waits
        low, high = stable
        if loss.limit is not None:
            loss_low, loss_high = self._loss_range()
            low, high = max(low, loss_low), min(high, loss_high)
            times.append(loss.next_midnight)
        close, _ = floor_ceil_ticks(price, self.config.instrument.tick_size)
        if not low <= close <= high:
            return None
        return QuietBand(low, high, self._earliest(times), any_refused)

    def _refused_until(self, wants: list[Want]) -> tuple[list[datetime | None], bool] | None:
        """Return when refusals of these wants may end by time alone; None if one is admissible."""
        times: list[datetime | None] = []
        any_refused = False
        now, retry = self._now, self.admission.retry
        for want in wants:
            if isinstance(want, WantCancel):
                order = want.order
                if not isinstance(order, TrackedOrder) or self._can_cancel(order, now):
                    return None
                if order.order_id is not None:
                    times.append(retry.held_until(order.order_id, now))
                continue
            verdict = self.admission.judge(want, now)
            if not isinstance(verdict, Refusal):
                return None
            any_refused = True
            if verdict in TIMED:
                times.append(retry.held_until((want.direction, want.price_ticks), now))
                times.append(self.admission.rate.frees_at)
        return times, any_refused

    def _has_foreign_to_cancel(self) -> bool:
        return self.config.cancel_foreign_orders and any(
            order_id not in self._foreign_cancels for order_id in self.foreign_orders
        )

    def _loss_range(self) -> tuple[int, int]:
        """Return the closed range of prices, in ticks, at which the loss breaker holds still."""
        loss = self.admission.loss
        if loss.limit is None or loss.baseline is None:
            return 1, 0
        long, short = (self.account.legs[direction] for direction in DIRECTIONS)
        net = Fraction(long.size) - Fraction(short.size)
        at_zero = Fraction(loss.session_pnl(self.account.unrealised_pnl(Decimal(0))))
        margin = at_zero + Fraction(loss.limit)  # trips where net x price + margin <= 0
        tick = Fraction(self.config.instrument.tick_size)
        if not net:
            return (1, UNBOUNDED) if margin > 0 else (1, 0)
        edge = -margin / net / tick
        whole, rest = divmod(edge.numerator, edge.denominator)
        if net > 0:
            return max(1, whole + 1), UNBOUNDED
        return 1, whole if rest else whole - 1

    @staticmethod
    def _earliest(times: Iterable[datetime | None]) -> datetime | None:
        return min((ts for ts in times if ts is not None), default=None)

    # state as users see it

    @property
    def trips(self) -> dict[str, str]:
        """What keeps the strategy from trading freely, by name, each with its reason."""
        found = {name: f"held by {name}" for name in self.admission.holds}
        if not self.account.is_known:
            found["account_unknown"] = f"not confirmed: {', '.join(self.account.missing)}"
        if self.admission.same_order.is_set:
            found["same_order_error"] = "two full fills in a row at one price and side"
        if self.admission.loss.is_tripped:
            found["loss_breaker"] = self._loss_text()
        for direction, breaker in self.admission.reduce_only.items():
            if breaker.is_tripped:
                found[f"reduce_only_{direction}"] = "closing orders were refused three times"
        if self._grid_error is not None:
            found["grid"] = self._grid_error
        for refusal, count in self.admission.refused.items():
            if refusal in (Refusal.NOTIONAL_CAP, Refusal.MAX_OPEN_ORDERS, Refusal.ORDER_RATE):
                found[refusal.value] = f"{count} wanted orders wait"
        return found

    def _loss_text(self) -> str:
        loss = self.admission.loss
        price = self.engine.last_close
        unrealised = self.account.unrealised_pnl(price) if price is not None else Decimal(0)
        return f"session profit {loss.session_pnl(unrealised)} USDT, limit -{loss.limit} USDT"

    def _note_grid_error(self, error: GridError) -> None:
        if self._grid_error != str(error):
            log.error("%s: %s", self.config.strat_id, error)
        self._grid_error = str(error)

    def hold(self, name: str) -> None:
        """Place nothing until `release(name)`; cancels go on."""
        self.admission.holds[name] = None
        self._band = None

    def release(self, name: str) -> None:
        """End one hold; others stay."""
        self.admission.holds.pop(name, None)
        self._band = None

    def reset_same_order(self) -> None:
        """End the same-order error by hand."""
        self.admission.same_order.reset()
        self._band = None

    def reset_loss_breaker(self) -> None:
        """Begin a new loss session by hand, from the next ticker on."""
        self.admission.loss.baseline = None
        self.admission.loss.is_tripped = False
        self._band = None

    def reset_reduce_only(self) -> None:
        """Let closing orders through again after repeated refusals."""
        for breaker in self.admission.reduce_only.values():
            breaker.reset()
        self._band = None

    def require_confirmation(self) -> None:
        """Decide nothing until orders, legs and wallet are confirmed again."""
        self.account.forget()
        self._band = None

    # snapshot

    def snapshot(self) -> dict[str, Any]:
        """Return what a later process needs to go on as if nothing had happened, for JSON.

        Orders, positions and wallet are not in it: they are confirmed from the exchange.
        """
        config, engine = self.config, self.engine
        anchor = engine.get_anchor_price()
        return {
            "version": SNAPSHOT_VERSION,
            "strat_id": config.strat_id,
            "symbol": config.symbol,
            "tick_size": str(config.instrument.tick_size),
            "grid_count": config.grid.grid_count,
            "grid_step": str(config.grid.grid_step),
            "anchor_price": _text(anchor),
            "levels": engine.grid.snapshot(),
            "last_close": _text(engine.last_close),
            "last_filled_price": _text(engine.last_filled_price),
            "next_check": self._next_check.isoformat(),
            "multipliers": {
                leg.value: {
                    side.value: mult for side, mult in position.get_amount_multiplier().items()
                }
                for leg, position in self.positions.items()
            },
            "same_order": self.admission.same_order.snapshot(),
            "loss": self.admission.loss.snapshot(),
            "rate": self.admission.rate.snapshot(),
            "executions": list(self._executions)[-STORED_IDS:],
            "ended_orders": {
                order_id: ts.isoformat()
                for order_id, ts in self.book.newest_ended(STORED_IDS).items()
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot, before the first event.

        Raises SnapshotError, with nothing changed, when it is of another version, strategy,
        symbol, tick size, step or count: then the caller starts afresh.
        """
        self._refuse_other(state)
        try:
            # on a strategy of no consequence first, so that a damaged state leaves this one alone
            GridStrategy(self.config)._take_over(state)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise SnapshotError(
                f"{self.config.strat_id}: the snapshot is damaged: {error!r}"
            ) from error
        self._take_over(state)
        self._band = None

    def _take_over(self, state: Mapping[str, Any]) -> None:
        levels = state["levels"]
        if levels:
            self.engine.grid.restore(levels, _decimal(state["anchor_price"]))
        self.engine.last_close = _decimal(state["last_close"])
        self.engine.last_filled_price = _decimal(state["last_filled_price"])
        self._next_check = datetime.fromisoformat(state["next_check"])
        for leg, position in self.positions.items():
            for side, mult in state["multipliers"][leg.value].items():
                position.set_amount_multiplier(SideType(side), float(mult))
        self.admission.same_order.restore(state["same_order"])
        self.admission.loss.restore(state["loss"])
        self.admission.rate.restore(state["rate"])
        for exec_id in state["executions"]:
            self._remember_execution(exec_id)
        self.book.restore_ended(
            {k: datetime.fromisoformat(ts) for k, ts in state["ended_orders"].items()}
        )
        self.admission.forget_quantities()

    def _refuse_other(self, state: Mapping[str, Any]) -> None:
        config = self.config
        expected = {
            "version": SNAPSHOT_VERSION,
            "strat_id": config.strat_id,
            "symbol": config.symbol,
            "tick_size": str(config.instrument.tick_size),
            "grid_count": config.grid.grid_count,
            "grid_step": str(config.grid.grid_step),
        }
        for name, value in expected.items():
            if state.get(name) != value:
                raise SnapshotError(
                    f"{config.strat_id}: the snapshot has {name} {state.get(name)!r},"
                    f" the configuration {value!r}; start afresh"
                )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
