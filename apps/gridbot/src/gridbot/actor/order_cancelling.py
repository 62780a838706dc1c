"""Cancels of one strategy on their way to the exchange, and what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from bybit_adapter import (
    AmbiguousResult,
    AuthError,
    BybitError,
    ClockSkew,
    ExchangeUnavailable,
    OrderAck,
    OrderKey,
    OrderNotFound,
    OrderRejected,
    RateLimited,
    SettingRefused,
    StateChanged,
)
from gridbot.actor.commands_in_flight import Answer, CommandsInFlight, failed
from gridbot.actor.retry_queue import RetryQueue
from gridbot.actor.roles import OutcomeListener
from gridbot.ports import ExchangeClock, Rest
from gridcore import CancelIntent, CancelOutcome, CancelResultEvent, Event

log = logging.getLogger(__name__)


class OrderCancelling:
    """Cancels orders; `tell` gets every outcome as an event."""

    def __init__(
        self,
        rest: Rest,
        clock: ExchangeClock,
        tell: Callable[[Event], None],
        listener: OutcomeListener,
        in_flight: CommandsInFlight,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._tell = tell
        self._listener = listener
        self._in_flight = in_flight
        self._again: RetryQueue[CancelIntent] = RetryQueue(
            clock,
            lambda one: one.order_id,
            lambda one: True,
            lambda one: self.cancel([one]),
            self._give_up,
            in_flight.spawn,
        )
        self.cancelled = 0

    @property
    def retries(self) -> int:
        """How many cancels were sent again."""
        return self._again.retries

    def cancel(self, intents: Sequence[CancelIntent]) -> None:
        """Send a request before anything else happens on this thread; its outcome follows."""
        answer: Answer
        try:
            keys = [OrderKey(symbol=one.symbol, order_id=one.order_id) for one in intents]
            if len(keys) == 1:
                answer = self._rest.cancel_order(keys[0])
            else:
                answer = self._rest.cancel_batch(keys)
        except Exception as error:  # noqa: BLE001 -- the task takes it to whoever is to know
            answer = failed(error)
        self._in_flight.spawn(self._in_flight.outcomes(intents, answer, self._settle))

    async def sweep(self, intents: Sequence[CancelIntent]) -> None:
        """Cancel all orders of a symbol in one request, and one by one those that it left."""
        try:
            acks = await self._rest.cancel_all_orders(intents[0].symbol)
        except BybitError as error:
            log.warning("cancelling one by one: %s", error)
            acks = []
        accepted = {ack.order_id: ack for ack in acks}
        left = [one for one in intents if one.order_id not in accepted]
        for intent in intents:
            if intent.order_id in accepted:
                self._settle(intent, accepted[intent.order_id])
        if left:
            self.cancel(left)

    def _settle(self, intent: CancelIntent, outcome: OrderAck | BybitError) -> None:
        match outcome:
            case OrderAck():
                self.cancelled += 1
                self._cancelled(intent, CancelOutcome.ACCEPTED, outcome.time)
            case OrderNotFound():
                self._cancelled(intent, CancelOutcome.GONE, self._clock.now(), outcome.message)
            case AmbiguousResult() | RateLimited() | ExchangeUnavailable() | ClockSkew():
                # cancelling twice does no harm
                self._again.add(intent, outcome)
            case AuthError():
                self._give_up(intent, outcome)
                self._listener.auth_failed(outcome)
            case StateChanged():
                self._give_up(intent, outcome)
                self._listener.orders_in_doubt()
            case OrderRejected() | SettingRefused():
                self._give_up(intent, outcome)
                self._listener.order_refused(intent, outcome)
            case _:
                self._give_up(intent, outcome)

    def _give_up(self, intent: CancelIntent, error: BybitError) -> None:
        self._cancelled(intent, CancelOutcome.FAILED, self._clock.now(), error.message)

    def _cancelled(
        self, intent: CancelIntent, outcome: CancelOutcome, ts: datetime, message: str = ""
    ) -> None:
        self._again.done(intent)
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
