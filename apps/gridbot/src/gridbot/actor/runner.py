"""The actor around one `GridStrategy`: one queue in, intents out, nobody else touches it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from bybit_adapter import ExecutionRecord, Instrument, Order, PositionRecord, Wallet
from gridbot.actor.tally import Tally
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.block_watch import BlockWatch
from gridbot.alerts.contract_watch import ContractWatch
from gridbot.alerts.occasions import Occasions
from gridbot.ports import ExchangeClock
from gridbot.records.state_store import StateStore
from gridbot.words.decisions import log_decision
from gridbot.words.snapshot import Health
from gridcore import (
    AcceptSize,
    AccountEvent,
    AdoptOrders,
    AdoptRules,
    BookedFill,
    CancelAll,
    CancelIntent,
    Command,
    Decision,
    Event,
    ExecutionKind,
    GridStrategy,
    Hold,
    IgnoreExecution,
    InstrumentInfo,
    Intent,
    LimitOrder,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    Reconfirm,
    RejectReason,
    Release,
    Shutdown,
    SnapshotError,
    TickerEvent,
)

log = logging.getLogger(__name__)
ZERO = Decimal(0)
BUSY_EVENTS = 200  # handled before others get a turn
QUIET_BEFORE_COMPARING = timedelta(seconds=5)
SHUTDOWN, PAUSED, CONTRACT = "shutdown", "paused", "contract"
STATE = "state_not_kept"
# told by others, or wanted
QUIET_TRIPS = frozenset({SHUTDOWN, "starting", PAUSED, "stream_lost"})
UNKNOWN, NOT_COMPARED = "account_unknown", "not_compared"
HOLD_TEXTS = {
    PAUSED: "paused; /resume lets it trade",
    SHUTDOWN: "the bot is stopping",
    "starting": "it is being started",
    "stream_lost": "the private stream is gone; it goes on when the stream is back and all is"
    " compared",
}
NO_TICKER_S = 60.0
# cancelled by the holder, or as the leg shrinks: what happens every day
ORDINARY_CANCELS = frozenset({None, "UNKNOWN", "CancelByUser", "CancelByReduceOnly", "CancelBySmp"})
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

    `orders_as_of` and the positions' own times are the exchange's. Of orders that the list lacks
    each was looked up: `ended` tells how they ended, `absent` names those that are nowhere.
    """

    executions: tuple[ExecutionRecord, ...]
    orders: tuple[Order, ...] | None  # None where they were not asked for
    orders_as_of: datetime
    positions: tuple[PositionRecord, ...]
    wallet: Wallet | None
    ended: tuple[Order, ...] = ()
    absent: frozenset[str] = frozenset()
    instrument: Instrument | None = None


Message = Event | Command | ExecutionRecord | Order | Confirmation


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
        self.hold_reasons: dict[str, str] = {}  # of holds that are not the strategy's own
        self.contract = ContractWatch(self.strat_id, self.symbol, alerts)
        self.compare: Callable[[str], None] = lambda reason: None
        self._sizes_doubted_at: datetime | None = None
        self._clock = clock
        self._alerts = alerts
        self._observer = observer or NobodyObserves()
        self._store = store
        self._kept: tuple[int, int] | None = None  # of the grid, and fills
        self._kept_guards: object = None
        self._executor: Executor | None = None
        self._inbox: deque[Message] = deque()
        self._filled = asyncio.Event()
        self._blocks = BlockWatch(self.strat_id, alerts, clock.monotonic, QUIET_TRIPS)
        self._ticker_at = clock.monotonic()
        self.occasions = Occasions(clock.monotonic)
        self._foreign: frozenset[str] = frozenset()

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

    def hold(self, name: str, reason: str = "", *, keep: bool = False) -> None:
        """Let the strategy place nothing until `release(name)`; takes its turn in the queue.

        `keep` holds through restarts as well, as a pause always does.
        """
        if reason:
            self.hold_reasons[name] = reason
        self.tell(Hold(name, keep=keep or name == PAUSED))

    def release(self, name: str) -> None:
        """End one hold."""
        self.hold_reasons.pop(name, None)
        self.tell(Release(name))

    def require_confirmation(self) -> None:
        """Let the strategy decide nothing until it is confirmed again; takes its turn."""
        self.tell(Reconfirm())

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
            else:
                match message:
                    case ExecutionRecord():
                        self._on_execution(message)
                    case Order():
                        self._on_order(message)
                    case Confirmation():
                        self._confirm(message)
                    case _:
                        self._submit(list(self.strategy.handle(message).intents))
                        self._keep_guards_if_changed()
                self.look_at_blocks()
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
        self.strategy.handle(Shutdown())
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
        intents = list(self.strategy.handle(CancelAll()).intents)
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
        left = len(self.strategy.view.orders)
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
        while self.strategy.view.orders and loop.time() < end:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)

    # one event

    def _on_event(self, event: Event) -> Decision:
        if isinstance(event, TickerEvent):
            self.last_ticker = event
            if self._executor is not None:
                self._executor.on_ticker(event)
            self._ticker_at = self._clock.monotonic()
        elif isinstance(event, PlaceResultEvent):
            self._note_result(event)
        elif isinstance(event, PublicTradeEvent):
            if self._executor is not None:
                self._executor.on_trade(event)
            return Decision()
        decision = self.strategy.handle(event)
        intents = list(decision.intents)
        self.tally.realised += decision.corrected
        if isinstance(event, OrderUpdateEvent):
            self._report_foreign(self.strategy.foreign_orders)
        # what the intents rest on is kept before they leave: a later start must know the same grid
        # and what is on its way, and nothing that stops trading may be forgotten
        # (a shadow's fills come past here, so that of its own changes nobody tells)
        is_kept = True
        if decision.changed or self.is_shadow:
            is_kept = self._keep_if_changed(has_intents=bool(intents))
        self._observer.decided(self, event, intents)
        if intents and not is_kept:
            intents = self._without_placements(intents)
        if not isinstance(event, TickerEvent):
            self.look_at_blocks()
        if intents:
            self._submit(intents)
        return decision

    def _without_placements(self, intents: list[Intent]) -> list[Intent]:
        """Take back what is not sent: after a restart nobody would know that it is on its way."""
        now, local = self._clock.now(), self._clock.local()
        for one in intents:
            if isinstance(one, PlaceLimitIntent):
                self.strategy.handle(
                    PlaceResultEvent(
                        symbol=self.symbol,
                        exchange_ts=now,
                        local_ts=local,
                        client_order_id=one.client_order_id,
                        outcome=PlaceOutcome.FAILED,
                        message="not sent: the state cannot be kept",
                    )
                )
        return [one for one in intents if isinstance(one, CancelIntent)]

    def _keep_if_changed(self, *, has_intents: bool = False) -> bool:
        tally, marks = self.tally, self.strategy.marks
        state = marks.grid, tally.fills + tally.forced
        if state != self._kept:
            is_kept = self.keep()
            if is_kept:
                self._kept, self._kept_guards = state, marks.stops
            return is_kept
        return self._keep_guards() if has_intents else self._keep_guards_if_changed()

    def _keep_guards_if_changed(self) -> bool:
        return self.strategy.marks.stops == self._kept_guards or self._keep_guards()

    def _keep_guards(self) -> bool:
        found = self.strategy.marks.stops
        is_kept = self._save(
            lambda store, now: store.save_guards(self.strat_id, now, self.strategy.guards())
        )
        if is_kept:
            self._kept_guards = found
        return is_kept

    def keep(self) -> bool:
        """Keep what a later start needs; while that fails nothing is placed."""
        return self._save(
            lambda store, now: store.save(self.strat_id, now, self.strategy.snapshot())
        )

    def _save(self, write: Callable[[StateStore, datetime], None]) -> bool:
        if self._store is None:
            return True
        try:
            write(self._store, self._clock.now())
        except OSError as error:
            self.hold_reasons[STATE] = (
                f"the state cannot be kept ({error}); nothing is placed until it can"
            )
            self.strategy.handle(Hold(STATE))
            log.error("%s: the state cannot be kept: %s", self.strat_id, error)
            return False
        if STATE in self.hold_reasons:
            del self.hold_reasons[STATE]
            self.strategy.handle(Release(STATE))
        return True

    def restore(self) -> bool:
        """Take over what an earlier start kept; False when there is none that fits."""
        kept = None if self._store is None else self._store.load(self.strat_id)
        if kept is None:
            return False
        saved_at, snapshot = kept
        is_restored = True
        try:
            self.strategy.restore(snapshot)
        except SnapshotError as error:
            log.warning("%s: the grid begins afresh: %s", self.strat_id, error)
            is_restored = self._restore_memory(snapshot)
        self.started_at = min(self.started_at, saved_at)
        if PAUSED in self.strategy.trips:
            self._alerts.alert(
                AlertKey.STRATEGY_BLOCKED,
                f"{self.strat_id} is paused since before this start; /resume lets it trade",
                about=self.strat_id,
            )
        return is_restored

    def _restore_memory(self, snapshot: dict[str, object]) -> bool:
        """Take over what another configuration of the grid does not undo."""
        guards = snapshot.get("guards")
        try:
            if "executions" in snapshot or not isinstance(guards, dict):
                self.strategy.restore_memory(snapshot)
            else:
                self.strategy.restore_guards(guards)
        except SnapshotError as error:
            self._alerts.alert(
                AlertKey.STRATEGY_BLOCKED,
                f"{self.strat_id}: what an earlier start kept cannot be used ({error}); a pause or"
                " a breaker of then is not known any more",
                about=self.strat_id,
            )
        return False

    def _submit(self, intents: list[Intent]) -> None:
        for intent in intents:
            log_decision(self.strat_id, intent, shadow=self.is_shadow)
        if self._executor is not None and intents:
            self._executor.submit(intents)

    # one fact, whichever channel tells it first

    def _on_execution(self, record: ExecutionRecord) -> None:
        """Take over an execution: count it, once, and tell of what nobody here asked for."""
        event = record.to_change(self._clock.local())
        decision = self.strategy.handle(IgnoreExecution(record.exec_id) if event is None else event)
        if event is not None:
            self._observer.decided(self, event, list(decision.intents))
        if not decision.changed:
            return
        for fill in decision.fills:
            self._count(fill)
        if record.kind.is_forced:
            self._tell_forced(record)
        self._keep_if_changed()

    def _count(self, fill: BookedFill) -> None:
        if self.last_execution_at is None or fill.at > self.last_execution_at:
            self.last_execution_at = fill.at
        self.tally.add(fill)
        if fill.kind is ExecutionKind.TRADE:
            self._tell_fill(fill)

    def _tell_fill(self, fill: BookedFill) -> None:
        log.info(
            "%s: filled %s %s at %s (%s)", self.strat_id, fill.side.value, fill.qty, fill.price,
            fill.direction,
        )  # fmt: skip
        if not fill.client_order_id and self.occasions.is_new(f"filled: {fill.order_id}"):
            self._alerts.alert(
                AlertKey.POSITION_MISMATCH,
                f"{self.strat_id}: {fill.side.value} {fill.qty} at {fill.price} filled on"
                f" the {fill.direction} leg by an order that is not the bot's",
                about=self.strat_id,
            )

    def _tell_forced(self, record: ExecutionRecord) -> None:
        self._alerts.alert(
            AlertKey.LIQUIDATION_OR_ADL,
            f"{self.strat_id}: {record.cause} of {record.qty} {self.symbol} at {record.price}, at"
            f" {record.time:%Y-%m-%d %H:%M:%S} UTC",
            about=self.strat_id,
        )
        self.doubt_sizes(f"the exchange closed {record.qty} by {record.cause}", record.time)
        self.compare(f"the exchange did a {record.cause}")

    def _on_order(self, record: Order) -> None:
        """Take over the state of an order; tell when the exchange cancelled it by itself."""
        event = record.to_event(self._clock.local())
        if event is None:
            return
        ended = self._on_event(event).ended
        if ended and record.cancel_type not in ORDINARY_CANCELS:
            self._tell_cancelled(str(record.cancel_type))

    def _tell_cancelled(self, how: str) -> None:
        """Tell, once for all orders of one occasion, that the exchange cancelled them."""
        if self.occasions.is_new(f"cancelled: {how}"):
            self._alerts.alert(
                AlertKey.ORDERS_CANCELLED,
                f"{self.strat_id}: the exchange cancelled orders: {how}",
                about=self.strat_id,
            )

    def _note_result(self, event: PlaceResultEvent) -> None:
        if event.outcome is PlaceOutcome.ACCEPTED:
            return
        self.tally.rejected += 1
        log.warning(
            "%s: %s %s: %s", self.strat_id, event.client_order_id, event.outcome.value,
            event.message,
        )  # fmt: skip
        is_short = event.reject_reason is RejectReason.INSUFFICIENT_BALANCE
        if is_short and self.occasions.is_new("balance"):
            self._alerts.alert(
                AlertKey.BALANCE_INSUFFICIENT,
                f"{self.strat_id}: the balance does not carry further opening orders:"
                f" {event.message}",
                about=self.strat_id,
            )

    def still_wants(self, intent: PlaceLimitIntent) -> bool:
        """Tell whether an order that has not reached the exchange is still wished for."""
        return self.stopped_because is None and self.strategy.still_wants(intent)

    # confirmation over REST

    def _confirm(self, found: Confirmation) -> None:
        """Take over what REST says, and tell of what it says differently than the books."""
        local = self._clock.local()
        was_known = self.strategy.view.is_known
        # of one millisecond the exchange's own number tells which was first
        for execution in sorted(found.executions, key=lambda one: (one.time, one.seq or 0)):
            self._on_execution(execution)
        if found.instrument is not None:
            self._look_at_contract(found.instrument)
            if found.instrument.has_ended:
                self.stop(
                    f"{self.symbol} is delisted ({found.instrument.status}); take the strategy out"
                    " of the configuration"
                )
                return
        was_known = was_known and self.strategy.view.is_known  # on other ticks it is not any more
        if was_known:
            self._compare_legs(found)
        tracked = {one.order_id for one in self.strategy.view.orders}
        gone = [one for one in found.ended if one.order_id in tracked]
        for order in found.ended:
            self._on_order(order)
        compared = Decision() if found.orders is None else self._adopt(found, found.orders)
        for account_event in self._account_events(found, local):
            self._on_event(account_event)
        self._end_doubt_of_sizes(found)
        if was_known and (compared.ended or compared.adopted or gone):
            self._alerts.alert(
                AlertKey.RECONCILE_DIFFERENCE,
                f"{self.strat_id}: {len(compared.ended) + len(gone)} orders were gone and"
                f" {len(compared.adopted)} unknown ones were there",
                about=self.strat_id,
            )
        self._report_foreign(self.strategy.foreign_orders)
        self._keep_if_changed()

    def _adopt(self, found: Confirmation, orders: tuple[Order, ...]) -> Decision:
        return self.strategy.handle(
            AdoptOrders(
                orders=self._limit_orders(orders), as_of=found.orders_as_of, absent=found.absent
            )
        )

    # the contract

    def _look_at_contract(self, found: Instrument) -> None:
        self.contract.look(found, self.strategy.config.instrument, self._use_rules)
        if self.contract.announced:
            self.doubts[CONTRACT] = self.contract.announced
        else:
            self.doubts.pop(CONTRACT, None)
        reason = self.contract.block
        if reason is not None:
            self.hold_reasons[CONTRACT] = reason
            self.strategy.handle(Hold(CONTRACT))
        elif CONTRACT in self.strategy.trips:
            self.hold_reasons.pop(CONTRACT, None)
            self.strategy.handle(Release(CONTRACT))
            self._ticker_at = self._clock.monotonic()

    def _use_rules(self, rules: InstrumentInfo) -> None:
        """Go on with other rules; another tick size means another grid."""
        before = self.strategy.config.instrument.tick_size
        self.strategy.handle(AdoptRules(rules))
        if rules.tick_size != before:
            self._kept = None
            self.compare("the grid is built anew")

    def _limit_orders(self, orders: tuple[Order, ...]) -> tuple[LimitOrder, ...]:
        tick = self.strategy.config.instrument.tick_size
        return tuple(one.to_limit_order(tick) for one in orders if one.is_resting_limit)

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
        view = self.strategy.view
        for position in found.positions:
            if position.direction is None:
                continue
            mirror = view.leg(position.direction)
            last = self.last_execution_at
            busy = last is not None and position.as_of - last < QUIET_BEFORE_COMPARING
            if busy or not mirror.is_known or mirror.unsettled_closing_qty:
                continue
            if mirror.is_contradicted_by(position.leg, position.as_of):
                self._alerts.alert(
                    AlertKey.POSITION_MISMATCH,
                    f"{self.strat_id}: the {position.direction} leg holds {position.size} on the"
                    f" exchange, {mirror.size} here; the exchange's size counts",
                    about=self.strat_id,
                )
                self.strategy.handle(AcceptSize(position.direction))

    def doubt_sizes(self, reason: str, at: datetime) -> None:
        """Count as degraded until REST shows, later than `at`, the sizes that are known here."""
        self.doubts["sizes"] = reason
        self._sizes_doubted_at = at

    def _end_doubt_of_sizes(self, found: Confirmation) -> None:
        since = self._sizes_doubted_at
        if since is None or not found.positions:
            return
        view = self.strategy.view
        if all(
            one.direction is not None
            and one.as_of > since
            and one.size == view.leg(one.direction).size
            for one in found.positions
        ):
            del self.doubts["sizes"]
            self._sizes_doubted_at = None

    def _report_foreign(self, foreign: tuple[str, ...]) -> None:
        known, self._foreign = self._foreign, frozenset(foreign)
        if not foreign:
            self.doubts.pop("foreign_orders", None)
            return
        text = f"{len(foreign)} orders on {self.symbol} are not of this strategy"
        self.doubts["foreign_orders"] = text
        if not self._foreign <= known and self.occasions.is_new("foreign orders"):
            self._alerts.alert(
                AlertKey.FOREIGN_ORDERS, f"{self.strat_id}: {text}", about=self.strat_id
            )

    # how it is

    @property
    def executor(self) -> Executor | None:
        """Who carries the intents out."""
        return self._executor

    @property
    def blocks(self) -> dict[str, str]:
        """What keeps it from placing, by name, each with its reason and what ends it."""
        found = self.strategy.trips
        for name, reason in {**HOLD_TEXTS, **self.hold_reasons}.items():
            if name in found:
                found[name] = reason
        silent = self._clock.monotonic() - self._ticker_at
        # a contract that is not traded has no tickers either
        if silent >= NO_TICKER_S and not found.keys() & {"starting", CONTRACT}:
            found["no_market_data"] = f"no ticker of {self.symbol} for {silent:.0f} s"
        return found

    @property
    def health(self) -> tuple[Health, tuple[str, ...]]:
        """How the strategy is, and why."""
        if self.stopped_because is not None:
            return Health.STOPPED, (self.stopped_because,)
        trips = self.strategy.trips
        if SHUTDOWN in trips:
            # what stopped it from placing before its end is worth knowing after it
            return Health.STOPPED, tuple(trips[one] for one in trips if one not in QUIET_TRIPS)
        blocks = self.blocks
        if blocks:
            return Health.BLOCKED, tuple(blocks.values())
        doubts = {**self.doubts, **self.strategy.limits}
        if doubts:
            return Health.DEGRADED, tuple(doubts.values())
        return Health.HEALTHY, ()

    def look_at_blocks(self) -> None:
        """Tell what blocks the strategy since the last look, and what does so no longer."""
        if STATE in self.hold_reasons:
            self.keep()
        blocks = self.blocks
        if self.stopped_because is not None or SHUTDOWN in blocks:
            return
        if NOT_COMPARED in self.doubts or "stream_lost" in blocks:
            blocks.pop(UNKNOWN, None)  # an alert of its own tells why
        self._blocks.look(blocks)
