"""From intents to the exchange, and the exchange's answers back as events.

Every placement gets one link id for its life, also when it is sent again; so the exchange itself
refuses a second order where an answer was lost. What may have happened is looked up before
anything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from bybit_adapter import (
    AmbiguousResult,
    AuthError,
    BybitError,
    ClockSkew,
    DuplicateOrderLinkId,
    ExchangeUnavailable,
    InsufficientBalance,
    Order,
    OrderAck,
    OrderKey,
    OrderNotFound,
    OrderRejected,
    PlaceRequest,
    RateLimited,
    ReduceOnlyRejected,
    SettingRefused,
    StateChanged,
    TradingPaused,
    make_order_link_id,
)
from gridbot.actor.retry_queue import RetryQueue
from gridbot.ports import ExchangeClock, Outcomes, Rest
from gridcore import (
    CancelIntent,
    CancelOutcome,
    CancelResultEvent,
    DirectionType,
    Event,
    Intent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    RejectReason,
)

log = logging.getLogger(__name__)

# a request is void recv_window (5 s) after its timestamp, which may be 1 s ahead; the rest is for
# lists that lag behind the matching engine
ABSENT_IS_CERTAIN_S = 10.0
LOOK_UP_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 3.0)
UNRESOLVED_ALERT_S = 60.0
HEALABLE = (RateLimited, ExchangeUnavailable, ClockSkew)


C = TypeVar("C")
Answer = Awaitable[OrderAck] | Awaitable[Outcomes]


@dataclass(frozen=True, slots=True)
class Placement:
    """One placement with the link id of its life."""

    intent: PlaceLimitIntent
    link_id: str
    minted: datetime


class Troubles(Protocol):
    """Who is told of answers that say more than that one order failed."""

    def auth_failed(self, error: BybitError) -> None: ...
    def leg_in_doubt(self, direction: DirectionType) -> None: ...
    def wallet_in_doubt(self) -> None: ...
    def trading_paused(self, error: BybitError) -> None: ...
    def trading_goes_on(self) -> None: ...
    def order_refused(self, intent: Intent, error: BybitError) -> None: ...
    def unresolved(self, placement: Placement, seconds: float) -> None: ...
    def orders_in_doubt(self) -> None: ...
    def failed(self, error: BaseException) -> None: ...


class IntentExecutor:
    """Carries the intents of one strategy out; `tell` gets every outcome as an event."""

    def __init__(
        self,
        rest: Rest,
        clock: ExchangeClock,
        tell: Callable[[Event], None],
        is_wanted: Callable[[PlaceLimitIntent], bool],
        troubles: Troubles,
        mint: Callable[[str, datetime], str] = make_order_link_id,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._tell = tell
        self._troubles = troubles
        self._mint = mint
        self._tasks: set[asyncio.Task[None]] = set()
        self._places: RetryQueue[Placement] = RetryQueue(
            clock,
            lambda one: one.link_id,
            lambda one: is_wanted(one.intent),
            lambda one: self._place([one]),
            self._give_up_place,
            self._spawn,
        )
        self._cancels: RetryQueue[CancelIntent] = RetryQueue(
            clock,
            lambda one: one.order_id,
            lambda one: True,
            lambda one: self._cancel([one]),
            self._give_up_cancel,
            self._spawn,
        )
        self.placed = self.cancelled = self.rejected = 0
        self._is_closed = False

    @property
    def in_flight(self) -> int:
        """How many commands have no outcome yet."""
        return len(self._tasks)

    @property
    def retries(self) -> int:
        """How many commands were sent again."""
        return self._places.retries + self._cancels.retries

    def submit(self, intents: Sequence[Intent]) -> None:
        """Send intents, several of a kind in one request; cancels first. Returns at once."""
        if self._is_closed:
            return
        cancels = [one for one in intents if isinstance(one, CancelIntent)]
        places = [one for one in intents if isinstance(one, PlaceLimitIntent)]
        if cancels:
            self._cancel(cancels)
        if places:
            now = self._clock.now()
            self._place(
                [Placement(one, self._mint(one.client_order_id, now), now) for one in places]
            )

    def sweep(self, cancels: Sequence[CancelIntent]) -> None:
        """Cancel all orders of a symbol in one request; one by one, ten a second are the limit.

        For a symbol on which only these orders rest: the request takes those of others too.
        """
        if cancels and not self._is_closed:
            self._spawn(self._sweep(cancels))

    def close(self) -> None:
        """Send nothing more; what is on its way comes to its end."""
        self._is_closed = True

    async def settle(self, timeout_s: float) -> bool:
        """Wait for the outcome of what is on its way; False when it takes longer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._tasks and loop.time() < end:
            # a command may end in another one: a look-up, a retry
            await asyncio.wait(tuple(self._tasks), timeout=end - loop.time())
        return not self._tasks

    def abandon(self) -> None:
        """Wait for nothing any more."""
        for task in tuple(self._tasks):
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # its order would stay in flight for ever, and the price taken
            log.error("a command failed unexpectedly", exc_info=error)
            self._troubles.failed(error)

    def _send(
        self,
        commands: Sequence[C],
        send: Callable[[], Answer],
        settle: Callable[[C, OrderAck | BybitError], None],
    ) -> None:
        """Send a request before anything else happens on this thread; `settle` follows later."""
        answer: Answer
        try:
            answer = send()
        except Exception as error:  # noqa: BLE001 -- the task takes it to whoever is to know
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(error)
        self._spawn(self._settle(commands, answer, settle))

    @staticmethod
    async def _settle(
        commands: Sequence[C], answer: Answer, settle: Callable[[C, OrderAck | BybitError], None]
    ) -> None:
        outcomes: Sequence[OrderAck | BybitError]
        try:
            told = await answer
            outcomes = [told] if isinstance(told, OrderAck) else told
        except BybitError as error:
            outcomes = [error] * len(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            settle(command, outcome)

    # placing

    def _place(self, placements: Sequence[Placement]) -> None:
        def send() -> Answer:
            orders = [PlaceRequest.from_intent(one.intent, one.link_id) for one in placements]
            if len(orders) == 1:
                return self._rest.place_order(orders[0])
            return self._rest.place_batch(orders)

        self._send(placements, send, self._settle_place)

    def _settle_place(self, placement: Placement, outcome: OrderAck | BybitError) -> None:
        match outcome:
            case OrderAck():
                self._accepted(placement, outcome.order_id, outcome.time)
            case AmbiguousResult() | DuplicateOrderLinkId():
                log.warning("%s: %s; looking it up", placement.link_id, outcome)
                self._spawn(self._look_up(placement, outcome))
            case RateLimited() | ExchangeUnavailable() | ClockSkew():
                self._places.add(placement, outcome)
            case AuthError():
                self._refused(placement, PlaceOutcome.FAILED, None, outcome)
                self._troubles.auth_failed(outcome)
            case TradingPaused():
                self._refused(placement, PlaceOutcome.FAILED, None, outcome)
                self._troubles.trading_paused(outcome)
            case ReduceOnlyRejected():
                self._refused(placement, PlaceOutcome.REJECTED, RejectReason.REDUCE_ONLY, outcome)
                self._troubles.leg_in_doubt(placement.intent.direction)
            case InsufficientBalance():
                self._refused(
                    placement, PlaceOutcome.REJECTED, RejectReason.INSUFFICIENT_BALANCE, outcome
                )
                self._troubles.wallet_in_doubt()
            case _:
                self._refused(placement, PlaceOutcome.REJECTED, RejectReason.OTHER, outcome)
                self._troubles.order_refused(placement.intent, outcome)

    def _accepted(self, placement: Placement, order_id: str, ts: datetime) -> None:
        self._places.done(placement)
        self._troubles.trading_goes_on()
        self.placed += 1
        intent = placement.intent
        self._tell(
            PlaceResultEvent(
                symbol=intent.symbol,
                exchange_ts=ts,
                local_ts=self._clock.local(),
                client_order_id=intent.client_order_id,
                outcome=PlaceOutcome.ACCEPTED,
                order_id=order_id,
                order_link_id=placement.link_id,
            )
        )

    def _refused(
        self,
        placement: Placement,
        outcome: PlaceOutcome,
        reason: RejectReason | None,
        error: BybitError,
    ) -> None:
        self._places.done(placement)
        self.rejected += 1
        intent = placement.intent
        self._tell(
            PlaceResultEvent(
                symbol=intent.symbol,
                exchange_ts=self._clock.now(),
                local_ts=self._clock.local(),
                client_order_id=intent.client_order_id,
                outcome=outcome,
                order_link_id=placement.link_id,
                reject_reason=reason,
                message=error.message,
            )
        )

    def _give_up_place(self, placement: Placement, error: BybitError) -> None:
        log.warning("%s: given up: %s", placement.link_id, error)
        self._refused(placement, PlaceOutcome.FAILED, None, error)

    async def _look_up(self, placement: Placement, doubt: BybitError) -> None:
        """Find out whether an order exists. Until that is certain its place stays taken.

        A clock that is set meanwhile makes nothing certain sooner or later.
        """
        begun = self._clock.monotonic()
        looks, alerted = 0, False
        while True:
            await asyncio.sleep(LOOK_UP_DELAYS_S[min(looks, len(LOOK_UP_DELAYS_S) - 1)])
            looks += 1
            waited = self._clock.monotonic() - begun
            if waited > UNRESOLVED_ALERT_S and not alerted:
                alerted = True
                self._troubles.unresolved(placement, waited)
            key = OrderKey(symbol=placement.intent.symbol, order_link_id=placement.link_id)
            try:
                order = await self._rest.find_order(key)
            except AuthError as error:
                # the account stops here; its next start confirms what there is
                self._troubles.auth_failed(error)
                return
            except BybitError as error:
                log.info("%s: cannot be looked up yet: %s", placement.link_id, error)
                continue
            if order is not None:
                self._found(placement, order)
                return
            if waited >= ABSENT_IS_CERTAIN_S:
                log.info("%s: looked up and absent", placement.link_id)
                self._refused(placement, PlaceOutcome.FAILED, None, doubt)
                return

    def _found(self, placement: Placement, order: Order) -> None:
        """Adopt an order that was there all along; what became of it since is told too."""
        log.info("%s: is on the exchange as %s", placement.link_id, order.order_id)
        self._accepted(placement, order.order_id, order.created or order.updated)
        event = order.to_event(self._clock.local())
        if event is not None:
            self._tell(event)

    # cancelling

    def _cancel(self, intents: Sequence[CancelIntent]) -> None:
        def send() -> Answer:
            keys = [OrderKey(symbol=one.symbol, order_id=one.order_id) for one in intents]
            if len(keys) == 1:
                return self._rest.cancel_order(keys[0])
            return self._rest.cancel_batch(keys)

        self._send(intents, send, self._settle_cancel)

    async def _sweep(self, intents: Sequence[CancelIntent]) -> None:
        try:
            acks = await self._rest.cancel_all_orders(intents[0].symbol)
        except BybitError as error:
            log.warning("cancelling one by one: %s", error)
            acks = []
        accepted = {ack.order_id: ack for ack in acks}
        left = [one for one in intents if one.order_id not in accepted]
        for intent in intents:
            if intent.order_id in accepted:
                self._settle_cancel(intent, accepted[intent.order_id])
        if left:
            self._cancel(left)

    def _settle_cancel(self, intent: CancelIntent, outcome: OrderAck | BybitError) -> None:
        match outcome:
            case OrderAck():
                self.cancelled += 1
                self._cancelled(intent, CancelOutcome.ACCEPTED, outcome.time)
            case OrderNotFound():
                self._cancelled(intent, CancelOutcome.GONE, self._clock.now(), outcome.message)
            case AmbiguousResult() | RateLimited() | ExchangeUnavailable() | ClockSkew():
                # cancelling twice does no harm
                self._cancels.add(intent, outcome)
            case AuthError():
                self._give_up_cancel(intent, outcome)
                self._troubles.auth_failed(outcome)
            case StateChanged():
                self._give_up_cancel(intent, outcome)
                self._troubles.orders_in_doubt()
            case OrderRejected() | SettingRefused():
                self._give_up_cancel(intent, outcome)
                self._troubles.order_refused(intent, outcome)
            case _:
                self._give_up_cancel(intent, outcome)

    def _give_up_cancel(self, intent: CancelIntent, error: BybitError) -> None:
        self._cancelled(intent, CancelOutcome.FAILED, self._clock.now(), error.message)

    def _cancelled(
        self, intent: CancelIntent, outcome: CancelOutcome, ts: datetime, message: str = ""
    ) -> None:
        self._cancels.done(intent)
        self._tell(
            CancelResultEvent(
                symbol=intent.symbol,
                exchange_ts=ts,
                local_ts=self._clock.local(),
                order_id=intent.order_id,
                outcome=outcome,
                client_order_id=intent.client_order_id,
                message=message,
            )
        )
