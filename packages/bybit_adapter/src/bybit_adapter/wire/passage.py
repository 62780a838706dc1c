"""A call in two steps: written by the thread that decides, answered to one that may wait.

Handing a call to another thread before it is written costs milliseconds where many threads want
the interpreter's lock. So a call may be begun on the event loop: it is made as usual, and where it
would wait, `Written` or `NotNow` leads out of it. Another thread then makes the same call again,
in the same passage, and this time gets the answer to what is on the wire; nothing is written twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bybit_adapter.wire.connections import WrittenRequest

T = TypeVar("T")

_here = threading.local()


class Written(BaseException):
    """The request is on the wire."""


class NotNow(BaseException):
    """It cannot be written without waiting; nothing was sent."""


class Passage:
    """One call on its way.

    `has_room` tells that the limits have counted the next request already; `may_wait` that the
    call goes on to its end.
    """

    __slots__ = ("_written", "has_room", "may_wait")

    def __init__(self) -> None:
        self._written: WrittenRequest | None = None
        self.has_room = False
        self.may_wait = False

    def begin(self, call: Callable[[], T]) -> T:
        """Make the call as far as its first request; waits for nothing.

        Raises Written when that is on the wire, NotNow when nothing was sent; `go_on` does the
        rest. Returns, or raises anything else, when the call is over.
        """
        with self._entered():
            return call()

    def go_on(self, call: Callable[[], T]) -> T:
        """Make the same call again, to its end; may wait."""
        self.may_wait = True
        with self._entered():
            return call()

    def wrote(self, written: WrittenRequest) -> None:
        """Note what is on the wire."""
        self._written = written

    def take_written(self) -> WrittenRequest | None:
        """Return what is on the wire and not read yet, once; None where there is nothing."""
        written, self._written = self._written, None
        return written

    def take_room(self) -> bool:
        """Tell whether the limits have counted the next request already, once."""
        had, self.has_room = self.has_room, False
        return had

    def give_up(self) -> bool:
        """Let nobody read the answer; False where nothing was written."""
        written = self.take_written()
        if written is None:
            return False
        written.close()
        return True

    @contextmanager
    def _entered(self) -> Iterator[None]:
        _here.passage = self
        try:
            yield
        finally:
            _here.passage = None


def current_passage() -> Passage | None:
    """Return the passage that this thread is in."""
    return getattr(_here, "passage", None)
