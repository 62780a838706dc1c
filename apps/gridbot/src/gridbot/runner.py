"""The actor around one `GridStrategy`: one queue in, intents out, nobody else touches it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Protocol

from bybit_adapter import Execution, Order, Position, Wallet
from gridbot.alerts import AlertKey, Alerts
from gridbot.decisions import log_decision
from gridbot.ports import ExchangeClock
from gridbot.snapshot import Health
from gridbot.state_store import StateStore
from gridcore import (
    AccountEvent,
    CancelIntent,
    DirectionType,
    Event,
    ExecutionEvent,
    GridStrategy,
    Intent,
    LimitOrder,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    SnapshotError,
    TickerEvent,
    extract_client_order_prefix,
)
from gridcore.intents import CancelReason

log = logging.getLogger(__name__)
ZERO = Decimal(0)
BUSY_EVENTS = 200  # handled before others get a turn
QUIET_BEFORE_COMPARING = timedelta(seconds=5)
TRIP_ALERTS = {
    "same_order_error": AlertKey.SAME_ORDER_ERROR,
    "loss_breaker": AlertKey.LOSS_BREAKER,
    "reduce_only_long": AlertKey.REDUCE_ONLY_BREAKER,
    "reduce_only_short": AlertKey.REDUCE_ONLY_BREAKER,
}
SHUTDOWN = "shutdown"
# told by others, or wanted
QUIET_TRIPS = ("account_unknown", SHUTDOWN, "starting", "paused", "stream_lost")
LAST_WORDS_S = 2.0
ONE_BATCH = 10  # orders: what one request, and one second of the account's limit, takes


class Executor(Protocol):
    """Carries intents out and tells the outcomes."""

    def submit(self, intents: list[Intent], /) -> None: ...
    def sweep(self, cancels: list[CancelIntent], /) -> None: ...
    def on_ticker(self, ticker: TickerEvent, /) -> None: ...
    def on_trade(self, trade: PublicTradeEvent, /) -> None: ...
    def close(self) -> None: ...
    async def settle(self, timeout_s: float, /) -> bool: ...
    def abandon(self) -> None: ...


class RunnerObserver(Protocol):
    """Learns what a runner does, for records and metrics. Quick, and never raises."""

    def decided(self, runner: StrategyRunner, event: Event, intents: list[Intent]) -> None: ...
    def ended(self, runner: StrategyRunner, reason: str) -> None: ...


class NobodyObserves:
    """The observer of who needs none."""

    def decided(self, runner: StrategyRunner, event: Event, intents: list[Intent]) -> None:
        """Ignore it."""

    def ended(self, runner: StrategyRunner, reason: str) -> None:
        """Ignore it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What REST says of one symbol, as one message: first the fills that may have been missed.

    `orders_as_of` and the positions' own times are the exchange's.
    """

    executions: tuple[Execution, ...]
    orders: tuple[Order, ...]
    orders_as_of: datetime
    positions: tuple[Position, ...]
    wallet: Wallet | None


@dataclass(slots=True)
class Tally:
    """What a strategy brought since the start of the run, USDT.

    other_fees are those that were paid in other coins and have no known price in USDT: coin to
    amount of that coin. They are in no other figure.
    """

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    fills: int = 0
    rejected: int = 0
    other_fees: dict[str, Decimal] = field(default_factory=dict)

    def add_fee(self, fill: ExecutionEvent) -> None:
        """Count the fee of one fill in the coin that it was paid in."""
        if fill.fee is not None:
            self.fees += fill.fee
            return
        coin, paid = fill.fee_currency, fill.fee_amount or ZERO
        self.other_fees[coin] = self.other_fees.get(coin, ZERO) + paid


Message = Event | Confirmation | Callable[[], None]


def _is_ticker(message: Message) -> bool:
    return isinstance(message, TickerEvent)


def _is_wallet(message: Message) -> bool:
    """Tell whether a message speaks of the wallet only; a leg's news is not to be lost."""
    return isinstance(message, AccountEvent) and message.long is None and message.short is None


class StrategyRunner:
    """Feeds one strategy in order. `tell` may be called on the event loop's thread only."""

    def __init__(
        self,
        strategy: GridStrategy,
        account: str,
        clock: ExchangeClock,
        alerts: Alerts,
        observer: RunnerObserver | None = None,
        store: StateStore | None = None,
        *,
        is_shadow: bool = False,
    ) -> None:
        self.strategy = strategy
        self.account = account
        self.strat_id = strategy.config.strat_id
        self.symbol = strategy.config.symbol
        self.is_shadow = is_shadow
        self.started_at = clock.local()
        self.tally = Tally()
        self.stopped_because: str | None = None
        self.last_ticker: TickerEvent | None = None
        self.last_execution_at: datetime | None = None
        self.conflated = 0
        self.doubts: dict[str, str] = {}  # degraded, by kind
        self._sizes_doubted_at: datetime | None = None
        self._clock = clock
        self._alerts = alerts
        self._observer = observer or NobodyObserves()
        self._store = store
        self._kept: tuple[int, int] | None = None
        self._executor: Executor | None = None
        self._inbox: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._known_trips: set[str] = set()

    def use(self, executor: Executor) -> None:
        """Set who carries the intents out, before the first event."""
        self._executor = executor

    # in

    def tell(self, message: Message) -> None:
        """Put a message into the queue; a ticker, or a wallet, replaces one that is still last."""
        inbox = self._inbox
        if inbox and (
            (_is_ticker(message) and _is_ticker(inbox[-1]))
            or (_is_wallet(message) and _is_wallet(inbox[-1]))
        ):
            inbox[-1] = message
            self.conflated += 1
            return
        inbox.append(message)
        self._filled.set()

    def hold(self, name: str) -> None:
        """Let the strategy place nothing until `release(name)`; takes its turn in the queue."""
        self.tell(partial(self.strategy.hold, name))

    def release(self, name: str) -> None:
        """End one hold."""
        self.tell(partial(self.strategy.release, name))

    def now(self) -> datetime:
        """Return the time of this machine."""
        return self._clock.local()

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._inbox)

    def next_message(self) -> Message:
        """Take the oldest message out of the queue. Raises IndexError for an empty one."""
        return self._inbox.popleft()

    async def run(self) -> None:
        """Handle messages for ever. A strategy that raises is stopped; this returns."""
        while self.stopped_because is None:
            handled = 0
            while self._inbox and self.stopped_because is None:
                self.handle(self._inbox.popleft())
                handled += 1
                if handled >= BUSY_EVENTS:
                    await asyncio.sleep(0)
                    handled = 0
            self._filled.clear()
            if not self._inbox and self.stopped_because is None:
                await self._filled.wait()

    def handle(self, message: Message) -> None:
        """Handle one message now."""
        try:
            if isinstance(message, Event):
                self._on_event(message)
            elif isinstance(message, Confirmation):
                self._confirm(message)
            else:
                message()
        except Exception as error:
            log.exception("%s: failed", self.strat_id)
            self.stop(f"{type(error).__name__}: {error}")

    def stop(self, reason: str) -> None:
        """Stop this strategy for good; its orders stay as they are."""
        if self.stopped_because is not None:
            return
        self.stopped_because = reason
        if self._executor is not None:
            self._executor.close()
        self._filled.set()
        self._alerts.alert(
            AlertKey.STRATEGY_STOPPED, f"{self.strat_id} is stopped: {reason}", about=self.strat_id
        )
        self._observer.ended(self, reason)

    async def finish(self, timeout_s: float, *, cancel_orders: bool) -> None:
        """Decide nothing more, settle what is on its way, cancel the orders if that is wanted."""
        self.strategy.hold(SHUTDOWN)
        executor = self._executor
        if executor is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        if cancel_orders and self.stopped_because is None:
            # an order whose answer is still on its way cannot be cancelled before it comes
            await executor.settle(timeout_s / 2)
            self._handle_waiting()
            self._cancel_all(executor)
        executor.close()
        await executor.settle(max(0.0, end - loop.time()))
        executor.abandon()
        if cancel_orders:
            # accepted is not yet cancelled: the stream tells, and a fill may have been faster
            await self._empty_book(LAST_WORDS_S)
        # outcomes that came while settling still belong to the books
        self._handle_waiting()
        if cancel_orders:
            self._tell_of_orders_left()

    def _cancel_all(self, executor: Executor) -> None:
        intents = self.strategy.cancel_all(CancelReason.SHUTDOWN)
        cancels = [one for one in intents if isinstance(one, CancelIntent)]
        # while the stream is away others may place what nobody tells of
        is_blind = "stream_lost" in self.strategy.trips
        if len(cancels) <= ONE_BATCH or self.strategy.foreign_orders or is_blind:
            self._submit(intents)
            return
        for intent in intents:
            log_decision(self.strat_id, intent, shadow=self.is_shadow)
        executor.sweep(cancels)

    def _tell_of_orders_left(self) -> None:
        left = len(self.strategy.book)
        if left:
            self._alerts.alert(
                AlertKey.ORDERS_LEFT,
                f"{self.strat_id}: {left} orders may still rest on the exchange: nothing says that"
                " they are cancelled; look there and cancel them, or start the bot again",
                about=self.strat_id,
            )

    def _handle_waiting(self) -> None:
        while self._inbox and self.stopped_because is None:
            self.handle(self._inbox.popleft())

    async def _empty_book(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while len(self.strategy.book) and loop.time() < end:  # noqa: ASYNC110 - a book has no event
            await asyncio.sleep(0.05)

    # one event

    def _on_event(self, event: Event) -> None:
        if isinstance(event, TickerEvent):
            self.last_ticker = event
            if self._executor is not None:
                self._executor.on_ticker(event)
        elif isinstance(event, ExecutionEvent):
            self._on_fill(event)
            return
        elif isinstance(event, PlaceResultEvent):
            self._note_result(event)
        elif isinstance(event, PublicTradeEvent):
            if self._executor is not None:
                self._executor.on_trade(event)
            return
        intents = self.strategy.on_event(event)
        if isinstance(event, OrderUpdateEvent):
            self._report_foreign(tuple(self.strategy.foreign_orders))
        # what the intents rest on is kept before they leave: a later start must know the same grid
        self._keep_if_changed()
        self._observer.decided(self, event, intents)
        if intents:
            self._submit(intents)

    def _keep_if_changed(self) -> None:
        state = self.strategy.engine.grid.version, self.tally.fills
        if state != self._kept:
            self._kept = state
            self.keep()

    def keep(self) -> None:
        """Keep what a later start needs. A store that fails is told of, and trading goes on."""
        if self._store is None:
            return
        try:
            self._store.save(self.strat_id, self._clock.now(), self.strategy.snapshot())
            self.doubts.pop("state", None)
        except OSError as error:
            self.doubts["state"] = f"the state cannot be kept: {error}"
            log.error("%s: the state cannot be kept: %s", self.strat_id, error)

    def restore(self) -> bool:
        """Take over what an earlier start kept; False when there is none that fits."""
        kept = None if self._store is None else self._store.load(self.strat_id)
        if kept is None:
            return False
        saved_at, snapshot = kept
        try:
            self.strategy.restore(snapshot)
        except SnapshotError as error:
            log.warning("%s: begins afresh: %s", self.strat_id, error)
            return False
        self.started_at = min(self.started_at, saved_at)
        return True

    def _submit(self, intents: list[Intent]) -> None:
        for intent in intents:
            log_decision(self.strat_id, intent, shadow=self.is_shadow)
        if self._executor is not None and intents:
            self._executor.submit(intents)

    def _on_fill(self, event: ExecutionEvent) -> None:
        strategy = self.strategy
        entry = strategy.account.legs[event.direction].entry_price
        duplicates = strategy.duplicate_executions
        intents = strategy.on_event(event)
        self._observer.decided(self, event, intents)
        if strategy.duplicate_executions == duplicates:
            self._count_fill(event, entry)
            self._keep_if_changed()
            if extract_client_order_prefix(event.order_link_id) is None:
                self._alerts.alert(
                    AlertKey.POSITION_MISMATCH,
                    f"{self.strat_id}: {event.side.value} {event.qty} at {event.price} filled on"
                    f" the {event.direction} leg by an order that is not the bot's",
                    about=self.strat_id,
                )

    def _count_fill(self, event: ExecutionEvent, entry: Decimal | None) -> None:
        if self.last_execution_at is None or event.exchange_ts > self.last_execution_at:
            self.last_execution_at = event.exchange_ts
        self.tally.fills += 1
        self.tally.add_fee(event)
        if event.closed_pnl is not None:
            self.tally.realised += event.closed_pnl
        elif event.closed_size and entry is not None:
            # REST does not tell the profit of an execution
            move = event.price - entry
            is_long = event.direction is DirectionType.LONG
            self.tally.realised += event.closed_size * (move if is_long else -move)
        log.info(
            "%s: filled %s %s at %s (%s)", self.strat_id, event.side.value, event.qty, event.price,
            event.direction,
        )  # fmt: skip

    def _note_result(self, event: PlaceResultEvent) -> None:
        if event.outcome is PlaceOutcome.ACCEPTED:
            return
        self.tally.rejected += 1
        log.warning(
            "%s: %s %s: %s", self.strat_id, event.client_order_id, event.outcome.value,
            event.message,
        )  # fmt: skip
        if event.reject_reason is RejectReason.INSUFFICIENT_BALANCE:
            self._alerts.alert(
                AlertKey.BALANCE_INSUFFICIENT,
                f"{self.strat_id}: the balance does not carry further opening orders",
                about=self.strat_id,
            )

    def still_wants(self, intent: PlaceLimitIntent) -> bool:
        """Tell whether an order that has not reached the exchange is still wished for."""
        if self.stopped_because is not None or self.strategy.admission.holds:
            return False
        if not self.strategy.account.is_known:
            return False
        if self.strategy.book.unacknowledged(intent.client_order_id) is None:
            return False
        return any(
            level["price"] == intent.price and level["side"].value == intent.side.value
            for level in self.strategy.engine.grid.grid
        )

    # confirmation over REST

    def _confirm(self, found: Confirmation) -> None:
        """Take over what REST says, and tell of what it says differently than the books."""
        local = self._clock.local()
        strategy = self.strategy
        was_known = strategy.account.is_known
        for execution in found.executions:
            event = execution.to_event(local)
            if event is not None:
                self._on_event(event)
        if was_known:
            self._compare_legs(found)
        report = strategy.adopt_orders(self._limit_orders(found.orders), found.orders_as_of)
        for account_event in self._account_events(found, local):
            self._on_event(account_event)
        self._end_doubt_of_sizes(found)
        if was_known and (report.closed or report.adopted):
            self._alerts.alert(
                AlertKey.RECONCILE_DIFFERENCE,
                f"{self.strat_id}: {len(report.closed)} orders were gone and"
                f" {len(report.adopted)} unknown ones were there",
                about=self.strat_id,
            )
        self._report_foreign(report.foreign)

    def _limit_orders(self, orders: tuple[Order, ...]) -> list[LimitOrder]:
        tick = self.strategy.config.instrument.tick_size
        return [one.to_limit_order(tick) for one in orders if one.is_resting_limit]

    def _account_events(self, found: Confirmation, local: datetime) -> list[AccountEvent]:
        events = [event for one in found.positions if (event := one.to_event(local)) is not None]
        snapshot = None if found.wallet is None else found.wallet.snapshot
        if found.wallet is not None and snapshot is not None:
            events.append(
                AccountEvent(
                    symbol=self.symbol,
                    exchange_ts=found.wallet.as_of,
                    local_ts=local,
                    wallet=snapshot,
                )
            )
        return events

    def _compare_legs(self, found: Confirmation) -> None:
        """Tell of a leg that the mirror shows otherwise, unless fills explain it in a moment."""
        for position in found.positions:
            if position.direction is None:
                continue
            mirror = self.strategy.account.legs[position.direction]
            last = self.last_execution_at
            busy = last is not None and position.as_of - last < QUIET_BEFORE_COMPARING
            if busy or not mirror.is_known or mirror.unsettled_closing_qty:
                continue
            if position.size != mirror.size:
                self._alerts.alert(
                    AlertKey.POSITION_MISMATCH,
                    f"{self.strat_id}: the {position.direction} leg holds {position.size} on the"
                    f" exchange, {mirror.size} here; the exchange's size counts",
                    about=self.strat_id,
                )
                mirror.accept_unexplained()

    def doubt_sizes(self, reason: str, at: datetime) -> None:
        """Count as degraded until REST shows, later than `at`, the sizes that are known here."""
        self.doubts["sizes"] = reason
        self._sizes_doubted_at = at

    def _end_doubt_of_sizes(self, found: Confirmation) -> None:
        since = self._sizes_doubted_at
        if since is None or not found.positions:
            return
        legs = self.strategy.account.legs
        if all(
            one.direction is not None and one.as_of > since and one.size == legs[one.direction].size
            for one in found.positions
        ):
            del self.doubts["sizes"]
            self._sizes_doubted_at = None

    def _report_foreign(self, foreign: tuple[str, ...]) -> None:
        if not foreign:
            self.doubts.pop("foreign_orders", None)
            return
        text = f"{len(foreign)} orders on {self.symbol} are not of this strategy"
        if self.doubts.get("foreign_orders") == text:
            return
        self.doubts["foreign_orders"] = text
        self._alerts.alert(AlertKey.FOREIGN_ORDERS, f"{self.strat_id}: {text}", about=self.strat_id)

    # how it is

    @property
    def executor(self) -> Executor | None:
        """Who carries the intents out."""
        return self._executor

    @property
    def health(self) -> tuple[Health, tuple[str, ...]]:
        """How the strategy is, and why."""
        if self.stopped_because is not None:
            return Health.STOPPED, (self.stopped_because,)
        if SHUTDOWN in self.strategy.admission.holds:
            return Health.STOPPED, ()
        trips = self.strategy.trips
        if trips:
            return Health.BLOCKED, tuple(trips.values())
        if self.doubts:
            return Health.DEGRADED, tuple(self.doubts.values())
        return Health.HEALTHY, ()

    def look_at_trips(self) -> None:
        """Alert what blocks the strategy since the last look."""
        if self.stopped_because is not None:
            return
        trips = self.strategy.trips
        for name in trips.keys() - self._known_trips - set(QUIET_TRIPS):
            key = TRIP_ALERTS.get(name, AlertKey.STRATEGY_BLOCKED)
            self._alerts.alert(key, f"{self.strat_id}: {trips[name]}", about=self.strat_id)
        for name in self._known_trips - trips.keys():
            log.info("%s: no longer blocked by %s", self.strat_id, name)
        self._known_trips = set(trips)
