"""The actor around one `GridStrategy`: one inbox, intents out, nobody else touches it.

The life of a message: `tell` puts it into the inbox, `run` takes it out and `handle` sorts it.
An event goes to the strategy (`_on_event`); what the decision rests on is kept on disk, and then
its intents leave for the executor. A record of the exchange becomes an event first: an execution
is counted, an order's end told. A confirmation is many of both, compared with the books.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from bybit_adapter import ExecutionRecord, Instrument, Order
from gridbot.actor.fact_alerts import FactAlerts
from gridbot.actor.leg_comparison import LegComparison
from gridbot.actor.messages import Confirmation, Message
from gridbot.actor.orderly_end import OrderlyEnd
from gridbot.actor.roles import Executor, MarketWatcher, NobodyObserves, RunnerObserver
from gridbot.actor.state_keeper import StateKeeper
from gridbot.actor.strategy_health import PAUSED, StrategyHealth
from gridbot.actor.tally import Tally
from gridbot.actor.traded_contract import TradedContract
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.occasions import Occasions
from gridbot.ports import ExchangeClock
from gridbot.records.state_store import StateStore
from gridbot.words.decisions import log_decisions
from gridcore import (
    AccountEvent,
    AdoptOrders,
    CancelIntent,
    Decision,
    Event,
    ExecutionKind,
    GridStrategy,
    Hold,
    IgnoreExecution,
    Intent,
    OrderUpdateEvent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    Release,
    Shutdown,
    TickerEvent,
)

log = logging.getLogger(__name__)
BUSY_EVENTS = 200  # handled before others get a turn


class Inbox:
    """The messages of one strategy, in order; on the event loop's thread only."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._filled = asyncio.Event()
        self.conflated = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> None:
        """Put a message last; a ticker, or a wallet, replaces one that is still last."""
        messages = self._messages
        if messages and (
            (_is_ticker(message) and _is_ticker(messages[-1]))
            or (_is_wallet(message) and _is_wallet(messages[-1]))
        ):
            messages[-1] = message
            self.conflated += 1
            return
        messages.append(message)
        self._filled.set()

    def take(self) -> Message:
        """Take the oldest message out. Raises IndexError for an empty inbox."""
        return self._messages.popleft()

    async def wait(self) -> None:
        """Wait until there is a message, or `wake`."""
        self._filled.clear()
        if not self._messages:
            await self._filled.wait()

    def wake(self) -> None:
        """Let who waits go on."""
        self._filled.set()


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
        self.last_ticker: TickerEvent | None = None
        self.executor: Executor | None = None
        self.compare: Callable[[str], None] = lambda reason: None
        self.inbox = Inbox()
        self.tally = Tally()
        self.occasions = Occasions(clock.monotonic)
        self.health = StrategyHealth(strategy, clock, alerts)
        self.state = StateKeeper(strategy, store, self.tally, self.health, clock, alerts)
        self._facts = FactAlerts(strategy, self.health, alerts, self.occasions)
        self._legs = LegComparison(strategy, self.health, alerts)
        self._contract = TradedContract(strategy, self.health, clock, alerts)
        self._market: MarketWatcher | None = None
        self._clock = clock
        self._alerts = alerts
        self._observer = observer or NobodyObserves()

    def use(self, executor: Executor, market: MarketWatcher | None = None) -> None:
        """Set who carries the intents out, and who sees the market, before the first event."""
        self.executor = executor
        self._market = market

    def restore(self) -> bool:
        """Take over what an earlier start kept; False when there is none that fits."""
        is_restored = self.state.restore()
        if self.state.saved_at is not None:
            self.started_at = min(self.started_at, self.state.saved_at)
        return is_restored

    # in

    def tell(self, message: Message) -> None:
        """Put a message into the inbox."""
        self.inbox.put(message)

    def hold(self, name: str, reason: str = "", *, keep: bool = False) -> None:
        """Let the strategy place nothing until `release(name)`; takes its turn in the inbox.

        `keep` holds through restarts as well, as a pause always does.
        """
        if reason:
            self.health.explain(name, reason)
        self.tell(Hold(name, keep=keep or name == PAUSED))

    def release(self, name: str) -> None:
        """End one hold."""
        self.health.forget(name)
        self.tell(Release(name))

    async def run(self) -> None:
        """Handle messages for ever. A strategy that raises is stopped; this returns."""
        while self.stopped_because is None:
            handled = 0
            while self.inbox and self.stopped_because is None:
                self.handle(self.inbox.take())
                handled += 1
                if handled >= BUSY_EVENTS:
                    await asyncio.sleep(0)
                    handled = 0
            if self.stopped_because is None:
                await self.inbox.wait()

    def handle(self, message: Message) -> None:
        """Handle one message now."""
        try:
            if isinstance(message, Event):
                self._on_event(message)
                return
            match message:
                case ExecutionRecord():
                    self._on_execution(message)
                case Order():
                    self._on_order(message)
                case Instrument():
                    self._follow(message)
                case Confirmation():
                    self._confirm(message)
                case _:
                    self._submit(list(self.strategy.handle(message).intents))
                    self.state.keep_stops_if_changed()
            self.look_at_blocks()
        except Exception as error:
            log.exception("%s: failed", self.strat_id)
            self.stop(f"{type(error).__name__}: {error}")

    # one message of each kind

    def _on_event(self, event: Event) -> Decision:
        """Let the strategy decide, keep what the decision rests on, send its intents."""
        if isinstance(event, TickerEvent):
            self.last_ticker = event
            if self._market is not None:
                self._market.on_ticker(event)
            self.health.ticker_at = self._clock.monotonic()
        elif isinstance(event, PlaceResultEvent):
            if event.outcome is not PlaceOutcome.ACCEPTED:
                self.tally.rejected += 1
                self._facts.refused(event)
        elif isinstance(event, PublicTradeEvent):
            if self._market is not None:
                self._market.on_trade(event)
            return Decision()
        decision = self.strategy.handle(event)
        intents = list(decision.intents)
        self.tally.realised += decision.corrected
        if isinstance(event, OrderUpdateEvent):
            self._facts.foreign_orders()
        # what the intents rest on is kept before they leave: a later start must know the same grid
        # and what is on its way, and nothing that stops trading may be forgotten
        # (a shadow's fills come past here, so that of its own changes nobody tells)
        is_kept = True
        if decision.changed or self.is_shadow:
            is_kept = self.state.keep_if_changed(has_intents=bool(intents))
        self._observer.decided(self.strat_id, event, intents)
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

    def _submit(self, intents: list[Intent]) -> None:
        log_decisions(self.strat_id, intents, shadow=self.is_shadow)
        if self.executor is not None and intents:
            self.executor.submit(intents)

    def _on_execution(self, record: ExecutionRecord) -> None:
        """Take over an execution: count it, once, and tell of what nobody here asked for."""
        event = record.to_change(self._clock.local())
        decision = self.strategy.handle(IgnoreExecution(record.exec_id) if event is None else event)
        if event is not None:
            self._observer.decided(self.strat_id, event, list(decision.intents))
        if not decision.changed:
            return
        for fill in decision.fills:
            self.tally.add(fill)
            if fill.kind is ExecutionKind.TRADE:
                self._facts.filled(fill)
        if record.kind.is_forced:
            self._facts.closed_by_force(record)
            self._legs.doubt(f"the exchange closed {record.qty} by {record.cause}", record.time)
            self.compare(f"the exchange did a {record.cause}")
        self.state.keep_if_changed()

    def _on_order(self, record: Order) -> None:
        """Take over the state of an order; tell when the exchange cancelled it by itself."""
        event = record.to_event(self._clock.local())
        if event is not None and self._on_event(event).ended:
            self._facts.ended(record)

    def _confirm(self, found: Confirmation) -> None:
        """Take over what REST says, and tell of what it says differently than the books."""
        local = self._clock.local()
        was_known = self.strategy.view.is_known
        for execution in found.executions_in_order():
            self._on_execution(execution)
        if found.instrument is not None:
            self._follow(found.instrument)
            if found.instrument.has_ended:
                return
        was_known = was_known and self.strategy.view.is_known  # on other ticks it is not any more
        if was_known:
            self._legs.compare(found.positions, self.tally.last_at)
        tracked = {one.order_id for one in self.strategy.view.orders}
        gone = sum(one.order_id in tracked for one in found.ended)
        for order in found.ended:
            self._on_order(order)
        compared = Decision()
        if found.orders is not None:
            orders = found.resting_orders(self.strategy.config.instrument.tick_size)
            compared = self.strategy.handle(
                AdoptOrders(orders=orders, as_of=found.orders_as_of, absent=found.absent)
            )
        for account_event in found.account_events(self.symbol, local):
            self._on_event(account_event)
        self._legs.end_doubt(found.positions)
        if was_known:
            self._facts.differences(compared, gone)
        self._facts.foreign_orders()
        self.state.keep_if_changed()

    def _follow(self, contract: Instrument) -> None:
        """Follow what the exchange says of the contract: its status, its rules, its end."""
        if self._contract.look(contract):
            self.state.forget_grid()
            if self.is_shadow:
                # what rests in a shadow's own book rests on the ticks of before
                self.stop("the tick size changed; start the bot again to shadow on the new one")
            self.compare("the grid is built anew")
        if contract.has_ended:
            self.stop(
                f"{self.symbol} is delisted ({contract.status}); take the strategy out of the"
                " configuration"
            )

    # how it is, and how it ends

    @property
    def stopped_because(self) -> str | None:
        """Why it is stopped for good, None while it is not."""
        return self.health.stopped_because

    def still_wants(self, intent: PlaceLimitIntent) -> bool:
        """Tell whether an order that has not reached the exchange is still wished for."""
        return self.stopped_because is None and self.strategy.still_wants(intent)

    def look_at_blocks(self) -> None:
        """Tell what blocks the strategy since the last look, and what does so no longer."""
        self.state.try_again()
        self.health.tell()

    def stop(self, reason: str) -> None:
        """Stop this strategy for good; its orders stay as they are."""
        if self.stopped_because is not None:
            return
        self.health.stopped_because = reason
        if self.executor is not None:
            self.executor.close()
        self.inbox.wake()
        self._alerts.alert(
            AlertKey.STRATEGY_STOPPED, f"{self.strat_id} is stopped: {reason}", about=self.strat_id
        )
        self._observer.ended(self.strat_id, reason)

    async def finish(self, timeout_s: float, *, cancel_orders: bool) -> None:
        """Decide nothing more, settle what is on its way, cancel the orders if that is wanted."""
        self.strategy.handle(Shutdown())
        if self.executor is None:
            return

        def handle_waiting() -> None:
            while self.inbox and self.stopped_because is None:
                self.handle(self.inbox.take())

        end = OrderlyEnd(
            self.strategy, self.executor, self._alerts, handle_waiting, is_shadow=self.is_shadow
        )
        if cancel_orders:
            await end.cancel_and_settle(timeout_s, may_cancel=self.stopped_because is None)
        else:
            await end.settle(timeout_s)
