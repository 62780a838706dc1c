"""Waiting for what another thread, process or task does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_EVERY_S = 0.02


def eventually(
    condition: Callable[[], T], within_s: float = 60.0, what: str | Callable[[], str] = ""
) -> T:
    """Wait until a condition holds and return it; an AssertionError says what did not happen."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(_missed(condition, within_s, what))
        time.sleep(LOOK_EVERY_S)
    return found


async def until(
    condition: Callable[[], T], within_s: float = 60.0, what: str | Callable[[], str] = ""
) -> T:
    """Wait as `eventually` does, and let the event loop go on meanwhile."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(_missed(condition, within_s, what))
        await asyncio.sleep(LOOK_EVERY_S)
    return found


def _missed(condition: object, within_s: float, what: str | Callable[[], str]) -> str:
    text = what() if callable(what) else what
    return f"it did not happen in {within_s} s: {text or condition}"
