"""What runners do, as figures."""

from __future__ import annotations

from gridbot.ports import ExchangeClock
from gridbot.views.metrics import BotMetrics
from gridcore import Event, Intent, PlaceOutcome, PlaceResultEvent, TickerEvent


class BotObserver:
    """Counts decisions and refusals."""

    def __init__(self, metrics: BotMetrics, clock: ExchangeClock) -> None:
        self._metrics = metrics
        self._clock = clock

    def decided(self, strat_id: str, event: Event, intents: list[Intent]) -> None:
        """Take note of an event and what followed from it."""
        if isinstance(event, TickerEvent) and intents:
            waited = (self._clock.local() - event.local_ts).total_seconds()
            self._metrics.decision_seconds.labels(strat_id).observe(max(0.0, waited))
        elif isinstance(event, PlaceResultEvent) and event.outcome is not PlaceOutcome.ACCEPTED:
            reason = event.reject_reason.value if event.reject_reason else event.outcome.value
            self._metrics.refusals.labels(strat_id, reason).inc()

    def ended(self, strat_id: str, reason: str) -> None:
        """Take note of a strategy that is stopped."""
        self._metrics.exceptions.labels(strat_id).inc()
