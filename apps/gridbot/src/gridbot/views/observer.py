"""What runners do, as figures."""

from __future__ import annotations

from gridbot.actor.runner import StrategyRunner
from gridbot.views.metrics import BotMetrics
from gridcore import Event, Intent, PlaceOutcome, PlaceResultEvent, TickerEvent


class BotObserver:
    """Counts decisions and refusals."""

    def __init__(self, metrics: BotMetrics) -> None:
        self._metrics = metrics

    def decided(self, runner: StrategyRunner, event: Event, intents: list[Intent]) -> None:
        """Take note of an event and what followed from it."""
        if isinstance(event, TickerEvent) and intents:
            waited = (runner.now() - event.local_ts).total_seconds()
            self._metrics.decision_seconds.labels(runner.strat_id).observe(max(0.0, waited))
        elif isinstance(event, PlaceResultEvent) and event.outcome is not PlaceOutcome.ACCEPTED:
            reason = event.reject_reason.value if event.reject_reason else event.outcome.value
            self._metrics.refusals.labels(runner.strat_id, reason).inc()

    def ended(self, runner: StrategyRunner, reason: str) -> None:
        """Take note of a strategy that is stopped."""
        self._metrics.exceptions.labels(runner.strat_id).inc()
