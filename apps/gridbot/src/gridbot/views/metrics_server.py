"""/metrics and /healthz of the bot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest

from grid_service.endpoint import HealthReport, MetricsEndpoint
from gridbot.words.snapshot import BotSnapshot, Health


def judge_health(snapshot: BotSnapshot | None, now: datetime, stale_after_s: float) -> HealthReport:
    """Judge the newest snapshot: not healthy without a fresh heartbeat or when all stopped.

    A blocked strategy is reported, but restarting the process would not help it.
    """
    if snapshot is None:
        return HealthReport(False, {"state": "starting"})
    age_s = (now - snapshot.taken_at).total_seconds()
    healths = {one.strat_id: one.health.value for one in snapshot.strategies}
    all_stopped = bool(healths) and set(healths.values()) == {Health.STOPPED.value}
    state = "stale" if age_s > stale_after_s else "stopped" if all_stopped else "running"
    details = {"state": state, "heartbeat_age_s": round(age_s, 3), "strategies": healths}
    return HealthReport(state == "running", details)


class MetricsServer(MetricsEndpoint):
    """Serves a registry, and what the newest snapshot says of the bot's health."""

    def __init__(
        self,
        registry: CollectorRegistry,
        newest: Callable[[], BotSnapshot | None],
        *,
        port: int,
        host: str = "127.0.0.1",
        stale_after_s: float = 60.0,
    ) -> None:
        super().__init__(
            lambda: generate_latest(registry),
            lambda: judge_health(newest(), datetime.now(UTC), stale_after_s),
            port=port,
            host=host,
            advice="set another metrics_port, 0 for any free one, or leave it out",
        )
