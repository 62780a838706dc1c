"""Keeps the interpreter from pausing while orders wait."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 5_000, 20, 20


def calm_collector() -> None:
    """Take what a start has made out of the collector's sight; call it once, when all is running.

    Modules, configuration and connections live as long as the process. Looking through them takes
    a tenth of a second, in which nothing else happens; what is made from here on is little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
