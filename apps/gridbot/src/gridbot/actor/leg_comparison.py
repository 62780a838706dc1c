"""The sizes of the legs against those that the exchange shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bybit_adapter import PositionRecord
from gridbot.actor.strategy_health import StrategyHealth
from gridbot.alerts.alerts import AlertKey, Alerts
from gridcore import AcceptSize, GridStrategy

QUIET_BEFORE_COMPARING = timedelta(seconds=5)
SIZES = "sizes"


class LegComparison:
    """Compares the legs of one strategy, and doubts them from a forced close to the next look."""

    def __init__(self, strategy: GridStrategy, health: StrategyHealth, alerts: Alerts) -> None:
        self._strategy = strategy
        self._strat_id = strategy.config.strat_id
        self._health = health
        self._alerts = alerts
        self._doubted_at: datetime | None = None

    def compare(self, found: Sequence[PositionRecord], last_fill: datetime | None) -> None:
        """Tell of a leg that the mirror shows otherwise, unless fills explain it in a moment."""
        view = self._strategy.view
        for position in found:
            if position.direction is None:
                continue
            mirror = view.leg(position.direction)
            busy = last_fill is not None and position.as_of - last_fill < QUIET_BEFORE_COMPARING
            if busy or not mirror.is_known or mirror.unsettled_closing_qty:
                continue
            if mirror.is_contradicted_by(position.leg, position.as_of):
                self._alerts.alert(
                    AlertKey.POSITION_MISMATCH,
                    f"{self._strat_id}: the {position.direction} leg holds {position.size} on the"
                    f" exchange, {mirror.size} here; the exchange's size counts",
                    about=self._strat_id,
                )
                self._strategy.handle(AcceptSize(position.direction))

    def doubt(self, reason: str, at: datetime) -> None:
        """Count as degraded until REST shows, later than `at`, the sizes that are known here."""
        self._health.doubt(SIZES, reason)
        self._doubted_at = at

    def end_doubt(self, found: Sequence[PositionRecord]) -> None:
        """End the doubt where all sizes of a later look are those that are known here."""
        since = self._doubted_at
        if since is None or not found:
            return
        view = self._strategy.view
        if all(
            one.direction is not None
            and one.as_of > since
            and one.size == view.leg(one.direction).size
            for one in found
        ):
            self._health.doubt(SIZES, "")
            self._doubted_at = None
