"""What a process left to the next one: fetched at its start, once, whatever became of the files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from event_saver.reconcile import market as reconcile_market
from event_saver.reconcile.reconciler import Patience
from grid_db import CaptureStream
from testkit.saver_run import begin, check, end, is_up, settled, stream
from testkit.waiting import until

# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.slow
async def test_a_restart_closes_what_was_missed_and_twice_changes_nothing(
    world: Callable[..., Any], make_saver: Any
) -> None:
    exchange, saver, contexts, stored = world(per_s=100)
    await begin(saver, contexts)
    before = set(exchange.said.trades) - set(stored.trades())
    await stream(exchange, 0.5)
    await saver.stop()
    await stream(exchange, 1.0)
    for _ in range(2):
        again = make_saver(exchange)
        for context in contexts:
            await again.add_account(context)
        await again.start()
        await settled(again)
        await again.stop()
    exchange.halt()
    last = make_saver(exchange)
    for context in contexts:
        await last.add_account(context)
    await last.start()
    await end(exchange, last)
    check(exchange, stored, before)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    rows = (stored.trades(), stored.executions(), stored.orders())
    final = make_saver(exchange)
    await final.start()
    await end(exchange, final)
    assert (stored.trades(), stored.executions(), stored.orders()) == rows


@on_sqlite
async def test_what_a_process_left_because_it_ended_too_soon_is_fetched_by_the_next(
    world: Callable[..., Any], make_saver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows of after the hole must not make the hole look captured."""
    monkeypatch.setattr(reconcile_market, "OVERLAP", timedelta(0))
    exchange, saver, _, stored = world(per_s=100)
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    await asyncio.sleep(0.5)
    await saver.stop()
    await asyncio.sleep(1.0)
    hasty = make_saver(exchange, patience=Patience(settle_s=60.0))
    await hasty.start()
    await until(lambda: is_up(hasty))
    await asyncio.sleep(1.0)
    await hasty.stop()
    last = make_saver(exchange)
    await last.start()
    await end(exchange, last)
    assert set(exchange.said.trades) - before <= set(stored.trades())
    # states have no history
    assert {one.stream for one in stored.gaps()} == {CaptureStream.TICKERS}


@on_sqlite
async def test_a_lost_file_and_a_crash_right_after_do_not_hide_a_hole(
    world: Callable[..., Any], make_saver: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second process knows the hole from the rows alone, and ends before it is fetched."""
    monkeypatch.setattr(reconcile_market, "OVERLAP", timedelta(0))
    exchange, saver, _, stored = world(per_s=100)
    await begin(saver, [])
    before = set(exchange.said.trades) - set(stored.trades())
    await asyncio.sleep(0.5)
    await saver.stop()
    (tmp_path / "spool" / "progress.json").unlink()
    await asyncio.sleep(1.0)
    hasty = make_saver(exchange, patience=Patience(settle_s=60.0))
    await hasty.start()
    await until(lambda: is_up(hasty))
    await asyncio.sleep(0.5)
    await hasty.stop()
    last = make_saver(exchange)
    await last.start()
    await end(exchange, last)
    assert set(exchange.said.trades) - before <= set(stored.trades())


@on_sqlite
async def test_what_happened_before_anything_was_stored_is_found_at_the_next_start(
    world: Callable[..., Any], make_saver: Any
) -> None:
    exchange, saver, contexts, stored = world(per_s=30)
    await begin(saver, contexts[:1])
    await saver.stop()
    await stream(exchange, 1.0)
    exchange.halt()
    await asyncio.sleep(0.5)
    assert stored.executions()["alice"] == []
    again = make_saver(exchange)
    await begin(again, contexts[:1])
    # the account and the trades of three symbols
    assert again.get_stats()["gaps"]["closed"] == 4
    await again.stop()
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])
