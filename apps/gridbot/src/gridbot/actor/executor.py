"""From intents to the exchange, and the exchange's answers back as events.

Every placement gets one link id for its life, also when it is sent again; so the exchange itself
refuses a second order where an answer was lost. What may have happened is looked up before
anything else. Cancels are in `order_cancelling`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

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
    PlaceRequest,
    RateLimited,
    ReduceOnlyRejected,
    TradingPaused,
    make_order_link_id,
)
from gridbot.actor.commands_in_flight import Answer, CommandsInFlight, failed
from gridbot.actor.order_cancelling import OrderCancelling
from gridbot.actor.retry_queue import RetryQueue
from gridbot.actor.roles import OutcomeListener
from gridbot.ports import ExchangeClock, Rest
from gridcore import (
    CancelIntent,
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


@dataclass(frozen=True, slots=True)
class Placement:
    """One placement with the link id of its life."""

    intent: PlaceLimitIntent
    link_id: str
    minted: datetime


class IntentExecutor:
    """Carries the intents of one strategy out; `tell` gets every outcome as an event."""

    def __init__(
        self,
        rest: Rest,
        clock: ExchangeClock,
        tell: Callable[[Event], None],
        is_wanted: Callable[[PlaceLimitIntent], bool],
        listener: OutcomeListener,
        mint: Callable[[str, datetime], str] = make_order_link_id,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._tell = tell
        self._listener = listener
        self._mint = mint
        self._in_flight = CommandsInFlight(listener)
        self._cancelling = OrderCancelling(rest, clock, tell, listener, self._in_flight)
        self._again: RetryQueue[Placement] = RetryQueue(
            clock,
            lambda one: one.link_id,
            lambda one: is_wanted(one.intent),
            lambda one: self._place([one]),
            self._give_up,
            self._in_flight.spawn,
        )
        self.placed = self.rejected = 0
        self._is_closed = False

    @property
    def in_flight(self) -> int:
        """How many commands have no outcome yet."""
        return len(self._in_flight)

    @property
    def cancelled(self) -> int:
        """How many cancels the exchange took."""
        return self._cancelling.cancelled

    @property
    def retries(self) -> int:
        """How many commands were sent again."""
        return self._again.retries + self._cancelling.retries

    def submit(self, intents: Sequence[Intent]) -> None:
        """Send intents, several of a kind in one request; cancels first. Returns at once."""
        if self._is_closed:
            return
        cancels = [one for one in intents if isinstance(one, CancelIntent)]
        places = [one for one in intents if isinstance(one, PlaceLimitIntent)]
        if cancels:
            self._cancelling.cancel(cancels)
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
            self._in_flight.spawn(self._cancelling.sweep(cancels))

    def close(self) -> None:
        """Send nothing more; what is on its way comes to its end."""
        self._is_closed = True

    async def settle(self, timeout_s: float) -> bool:
        """Wait for the outcome of what is on its way; False when it takes longer."""
        return await self._in_flight.settle(timeout_s)

    def abandon(self) -> None:
        """Wait for nothing any more."""
        self._in_flight.abandon()

    # placing

    def _place(self, placements: Sequence[Placement]) -> None:
        """Send a request before anything else happens on this thread; its outcome follows."""
        answer: Answer
        try:
            orders = [PlaceRequest.from_intent(one.intent, one.link_id) for one in placements]
            if len(orders) == 1:
                answer = self._rest.place_order(orders[0])
            else:
                answer = self._rest.place_batch(orders)
        except Exception as error:  # noqa: BLE001 -- the task takes it to whoever is to know
            answer = failed(error)
        self._in_flight.spawn(self._in_flight.outcomes(placements, answer, self._settle))

    def _settle(self, placement: Placement, outcome: OrderAck | BybitError) -> None:
        match outcome:
            case OrderAck():
                self._accepted(placement, outcome.order_id, outcome.time)
            case AmbiguousResult() | DuplicateOrderLinkId():
                log.warning("%s: %s; looking it up", placement.link_id, outcome)
                self._in_flight.spawn(self._look_up(placement, outcome))
            case RateLimited() | ExchangeUnavailable() | ClockSkew():
                self._again.add(placement, outcome)
            case AuthError():
                self._refused(placement, PlaceOutcome.FAILED, None, outcome)
                self._listener.auth_failed(outcome)
            case TradingPaused():
                self._refused(placement, PlaceOutcome.FAILED, None, outcome)
                self._listener.trading_paused(outcome)
            case ReduceOnlyRejected():
                self._refused(placement, PlaceOutcome.REJECTED, RejectReason.REDUCE_ONLY, outcome)
                self._listener.leg_in_doubt(placement.intent.direction)
            case InsufficientBalance():
                self._refused(
                    placement, PlaceOutcome.REJECTED, RejectReason.INSUFFICIENT_BALANCE, outcome
                )
                self._listener.wallet_in_doubt()
            case _:
                self._refused(placement, PlaceOutcome.REJECTED, RejectReason.OTHER, outcome)
                self._listener.order_refused(placement.intent, outcome)

    def _accepted(self, placement: Placement, order_id: str, ts: datetime) -> None:
        self._again.done(placement)
        self._listener.trading_goes_on()
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
        self._again.done(placement)
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

    def _give_up(self, placement: Placement, error: BybitError) -> None:
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
                self._listener.unresolved(placement.intent, waited)
            key = OrderKey(symbol=placement.intent.symbol, order_link_id=placement.link_id)
            try:
                order = await self._rest.find_order(key)
            except AuthError as error:
                # the account stops here; its next start confirms what there is
                self._listener.auth_failed(error)
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
