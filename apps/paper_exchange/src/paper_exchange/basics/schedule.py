"""What falls due at a time: one heap, the same order for the same input."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]


class Schedule:
    """Actions by due time in ms; what is due at the same time runs in the order of its planning."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._numbers = count()

    def at(self, due_ms: int, action: Action) -> None:
        """Plan an action."""
        heapq.heappush(self._heap, (due_ms, next(self._numbers), action))

    @property
    def next_ms(self) -> int | None:
        """When the next action is due, None when nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, until_ms: int) -> tuple[int, Action] | None:
        """Take the next action off that is due until a time, with its due time."""
        if not self._heap or self._heap[0][0] > until_ms:
            return None
        due_ms, _, action = heapq.heappop(self._heap)
        return due_ms, action
