"""Orders first: threads that can wait stand back while one sends them.

Only one thread of a process runs at a time, and each call to the system hands the turn over. While
an event loop sends orders, one call after the other, the threads that read the answers and streams
would take turns with it and make the last order of many late by as much as they have to do. They
wait instead, for some milliseconds at most.
"""

from __future__ import annotations

import asyncio
import threading
from time import monotonic

LONGEST_S = 0.02  # nobody stands back for longer, whatever becomes of the loop that sends


class OrdersFirst:
    """Who may go first. Thread-safe; a process has one."""

    def __init__(self) -> None:
        self.is_claimed = False  # somebody may have to stand back; a look costs a frame nothing
        self._is_free = threading.Event()
        self._is_free.set()
        self._until = 0.0  # time.monotonic()
        self._holder = 0
        self._turn = 0

    def claim(self) -> None:
        """Go first until everything is done that this thread's event loop has to do now."""
        self._turn += 1
        self._holder = threading.get_ident()
        self._until = monotonic() + LONGEST_S
        self._is_free.clear()
        self.is_claimed = True
        asyncio.get_running_loop().call_soon(self._leave, self._turn)

    def stand_back(self) -> None:
        """Wait while another thread goes first."""
        left = self._until - monotonic()
        if left > 0 and self._holder != threading.get_ident():
            self._is_free.wait(left)

    def _leave(self, turn: int) -> None:
        if turn == self._turn:
            self._until = 0.0
            self.is_claimed = False
            self._is_free.set()


ORDERS_FIRST = OrdersFirst()
