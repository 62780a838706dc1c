"""Which grids the bot looks after by its own heartbeats, and which have nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gridbot.views.status import GridKey
from gridbot.watchdog.heartbeat import HeartbeatLook, HeartbeatState


@dataclass(slots=True)
class Roll:
    """What one look means for the grids that are watched."""

    neglected: dict[GridKey, str] = field(default_factory=dict)  # and why
    attended: set[GridKey] = field(default_factory=set)
    unlisted: set[GridKey] = field(default_factory=set)  # no heartbeat ever spoke of them


class Attendance:
    """Follows the grids through the heartbeats; seconds are of a clock that never goes back.

    A grid is neglected when the heartbeat is stale; when a bot that lives, or that was stopped,
    says that nobody looks after it; and when heartbeats that listed it go on without it for
    `stale_after_s`, as where two bots write one file and the one that trades it died.
    """

    def __init__(self, grids: Iterable[GridKey], stale_after_s: float) -> None:
        self._grids = tuple(grids)
        self._stale_after_s = stale_after_s
        self._seen: dict[GridKey, float] = {}

    def call(self, look: HeartbeatLook, clock_s: float) -> Roll:
        """Take in a look and return what it means."""
        roll, beat = Roll(), look.beat
        if look.state is HeartbeatState.STALE:
            roll.neglected = dict.fromkeys(self._grids, look.reason)
        if beat is None or look.state not in (HeartbeatState.FRESH, HeartbeatState.STOPPED):
            # of an older file nobody knows whether it still holds
            return roll
        for grid in self._grids:
            if grid in beat.unattended:
                roll.neglected[grid] = f"nobody looks after {beat.unattended[grid]}"
            elif grid in beat.attended:
                self._seen[grid] = clock_s
                roll.attended.add(grid)
            elif grid in beat.rested:
                self._seen.pop(grid, None)
            elif grid not in self._seen:
                roll.unlisted.add(grid)
            elif (missed_s := clock_s - self._seen[grid]) >= self._stale_after_s:
                roll.neglected[grid] = (
                    f"the heartbeats do not list {grid[1]} of account {grid[0]} any more, for"
                    f" {missed_s:.0f} s"
                )
        return roll
