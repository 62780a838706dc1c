"""Whether something happens anew, or is still the same occasion."""

from __future__ import annotations

from collections.abc import Callable

# an order that is refused is tried again after a minute at the latest, so this is several times
ONE_OCCASION_S = 300.0
MOST_KINDS = 200


class Occasions:
    """Tells, of things that come in numbers, the first one.

    What comes back within five minutes of the last time belongs to the same occasion, however long
    that goes on.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def is_new(self, kind: str) -> bool:
        """Note that a kind of thing happened; True when it begins an occasion."""
        now = self._monotonic()
        last = self._last.pop(kind, None)
        self._last[kind] = now
        if len(self._last) > MOST_KINDS:
            self._last.pop(next(iter(self._last)))
        return last is None or now - last > ONE_OCCASION_S
