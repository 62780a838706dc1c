"""A capture daemon in a test: started, let alone with an exchange, stopped, compared with it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

from event_saver import EventSaver
from grid_db import CaptureStream
from testkit.waiting import until


def is_up(saver: EventSaver) -> bool:
    """Tell whether all connections are there."""
    return all(one["is_connected"] for one in saver.get_stats()["streams"].values())


async def stream(exchange: Any, seconds: float) -> None:
    """Let the accounts trade for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        exchange.trade_some(2)
        await asyncio.sleep(0.1)


def ms(moment: datetime) -> float:
    """Return a time as the exchange writes it."""
    return moment.timestamp() * 1000


def latest(orders: dict[tuple[str, str, int], str]) -> dict[tuple[str, str], str]:
    """Return the last state of each order."""
    return {key[:2]: orders[key] for key in sorted(orders)}


async def begin(saver: EventSaver, contexts: list[Any]) -> None:
    """Start, and wait until what was missed is fetched."""
    for context in contexts:
        await saver.add_account(context)
    await saver.start()
    await until(lambda: is_up(saver))
    # the trades of three symbols and each account are looked at after the connection
    await settled(saver)


async def settled(saver: EventSaver, within_s: float = 40.0) -> None:
    """Return once no break is being looked at; the news of one may still be on its way."""
    for _ in range(2):
        await until(lambda: saver.get_stats()["gaps"]["working"] == 0, within_s)
        await asyncio.sleep(0.2)


async def end(exchange: Any, saver: EventSaver, broken_s: float = 0.0) -> None:
    """Stop once the break was worked on, which takes longer for a long one."""
    await until(lambda: is_up(saver), 40.0)
    gaps = saver.get_stats
    await settled(saver, 40.0 + broken_s / 5)
    exchange.halt()
    await asyncio.sleep(0.5)
    await until(lambda: not any(one["waiting"] for one in gaps()["streams"].values()))
    assert await saver.flushed()
    # a statement that takes long on a busy machine lets rows go to disk
    await until(lambda: gaps()["spool"]["bytes"] == 0, 15.0 + broken_s / 5)
    await saver.stop()


def check(exchange: Any, stored: Any, before: set[Any]) -> None:
    """All private facts are there; every trade that is not lies in a gap, and every gap lacks
    some."""
    for name, ids in exchange.said.executions.items():
        assert sorted(stored.executions()[name]) == sorted(ids)
    assert latest(stored.orders()) == latest(exchange.said.orders)
    absent = set(exchange.said.trades) - before - set(stored.trades())
    ledger = [one for one in stored.gaps() if one.stream is CaptureStream.TRADES]
    explained = set()
    for gap in ledger:
        inside = {
            key
            for key in absent
            if key[0] == gap.symbol
            and ms(gap.gap_start) <= exchange.said.trades[key] <= ms(gap.gap_end)
        }
        assert inside, f"nothing is missing in {gap}"
        explained |= inside
    assert absent == explained
