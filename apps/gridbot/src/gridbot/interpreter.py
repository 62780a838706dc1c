"""Keeps the interpreter from pausing while orders wait: thread turns, garbage collector."""

from __future__ import annotations

import gc
import sys

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 20
# the usual 5 ms are what a thread with much to do may keep the interpreter, once another wants it;
# with 50 strategies the slowest hundredth of all orders takes half as long this way, and much
# shorter turns cost more in changes than they bring
_TURN_S = 0.001


def avoid_pauses() -> None:
    """Let threads take short turns, and the garbage collector leave out what a start has made.

    Call it once, when all is running. Modules, configuration and connections live as long as the
    process. Looking through them takes a tenth of a second, in which nothing else happens; what is
    made from here on is little.
    """
    sys.setswitchinterval(_TURN_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
