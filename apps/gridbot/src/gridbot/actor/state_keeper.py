"""What a strategy leaves to its next start is kept before its orders leave."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gridbot.actor.strategy_health import PAUSED, StrategyHealth
from gridbot.actor.tally import Tally
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.ports import ExchangeClock
from gridbot.records.state_store import StateStore
from gridcore import GridStrategy, SnapshotError

log = logging.getLogger(__name__)
STATE = "state_not_kept"


class StateKeeper:
    """Keeps the state of one strategy in a store; without a store nothing is to be kept.

    A later start must know the same grid and what is on its way, and nothing that stops trading
    may be forgotten. While the state cannot be kept the strategy is held.
    """

    def __init__(
        self,
        strategy: GridStrategy,
        store: StateStore | None,
        tally: Tally,
        health: StrategyHealth,
        clock: ExchangeClock,
        alerts: Alerts,
    ) -> None:
        self._strategy = strategy
        self._strat_id = strategy.config.strat_id
        self._store = store
        self._tally = tally
        self._health = health
        self._clock = clock
        self._alerts = alerts
        self._kept: tuple[int, int] | None = None  # of the grid, and fills
        self._kept_stops: object = None
        self._is_failing = False
        self.saved_at: datetime | None = None  # by an earlier start

    # keep

    def keep(self) -> bool:
        """Keep what a later start needs; while that fails nothing is placed."""
        return self._save(
            lambda store, now: store.save(self._strat_id, now, self._strategy.snapshot())
        )

    def keep_if_changed(self, *, has_intents: bool = False) -> bool:
        """Keep it where something of it is new; what is on its way is new with every intent."""
        tally, marks = self._tally, self._strategy.marks
        state = marks.grid, tally.fills + tally.forced
        if state != self._kept:
            is_kept = self.keep()
            if is_kept:
                self._kept, self._kept_stops = state, marks.stops
            return is_kept
        return self._keep_stops(marks.stops, even_if_same=has_intents)

    def keep_stops_if_changed(self) -> bool:
        """Keep what stops trading where that is new."""
        return self._keep_stops(self._strategy.marks.stops, even_if_same=False)

    def _keep_stops(self, stops: object, *, even_if_same: bool) -> bool:
        if stops == self._kept_stops and not even_if_same:
            return True
        is_kept = self._save(
            lambda store, now: store.save_guards(self._strat_id, now, self._strategy.guards())
        )
        if is_kept:
            self._kept_stops = stops
        return is_kept

    def forget_grid(self) -> None:
        """Keep the grid anew next time, whatever was kept of it."""
        self._kept = None

    def try_again(self) -> None:
        """Keep what could not be kept."""
        if self._is_failing:
            self.keep()

    def _save(self, write: Callable[[StateStore, datetime], None]) -> bool:
        if self._store is None:
            return True
        try:
            write(self._store, self._clock.now())
        except OSError as error:
            self._is_failing = True
            self._health.hold_now(
                STATE, f"the state cannot be kept ({error}); nothing is placed until it can"
            )
            log.error("%s: the state cannot be kept: %s", self._strat_id, error)
            return False
        if self._is_failing:
            self._is_failing = False
            self._health.release_now(STATE)
        return True

    # restore

    def restore(self) -> bool:
        """Take over what an earlier start kept; False when there is none that fits."""
        found = None if self._store is None else self._store.load(self._strat_id)
        if found is None:
            return False
        self.saved_at, snapshot = found
        is_restored = True
        try:
            self._strategy.restore(snapshot)
        except SnapshotError as error:
            log.warning("%s: the grid begins afresh: %s", self._strat_id, error)
            self._restore_memory(snapshot)
            is_restored = False
        if PAUSED in self._strategy.trips:
            self._alert_blocked(" is paused since before this start; /resume lets it trade")
        return is_restored

    def _restore_memory(self, snapshot: Mapping[str, Any]) -> None:
        """Take over what another configuration of the grid does not undo."""
        guards = snapshot.get("guards")
        try:
            if "executions" in snapshot or not isinstance(guards, dict):
                self._strategy.restore_memory(snapshot)
            else:
                self._strategy.restore_guards(guards)
        except SnapshotError as error:
            self._alert_blocked(
                f": what an earlier start kept cannot be used ({error}); a pause or a breaker of"
                " then is not known any more"
            )

    def _alert_blocked(self, text: str) -> None:
        self._alerts.alert(
            AlertKey.STRATEGY_BLOCKED, f"{self._strat_id}{text}", about=self._strat_id
        )
