"""Starts after ends of every kind: no order twice, no fill lost, the same grid, and it trades on.

SESSION_RESTARTS=50 restarts that often instead of a handful of times.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory, DatabaseSettings
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_host import (
    Mover,
    StoredFacts,
    Witness,
    bot_file,
    bot_settings,
    executions_of,
    status_of,
    stored_levels,
    strategy,
)
from testkit.children import Children
from testkit.paper import PaperHost
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

RESTARTS = int(os.environ.get("SESSION_RESTARTS", "4"))
STRAT = "one_btcusdt"
AGREED_S = 40  # what was on its way at the end of a process is given up 16 s after the next start


def facts(folder: Path) -> StoredFacts:
    url = f"sqlite:///{folder / 'bot.db'}"
    return StoredFacts(DatabaseFactory(DatabaseSettings(database_url=url)))  # type: ignore[arg-type]


class Session:
    """One configuration that is started again and again."""

    def __init__(self, host: PaperHost, folder: Path, children: Children, **changes: Any) -> None:
        self.host = host
        self.folder = folder
        self.child: Any = None
        self._children = children
        settings = bot_settings(folder, host.server.port, [strategy()], **changes)
        self._file = str(bot_file(folder, settings))

    def start(self) -> None:
        self.child = self._children.start("--config", self._file, output=self.folder / "out.txt")

    def end(self, number: signal.Signals | None) -> None:
        """Send a signal, unless there is none to send, and wait for the end."""
        if number is not None and self.child.is_alive():
            os.kill(self.child.pid, number)
        self.child.join(20)
        # SIGTERM ends a process that does not listen to it yet: it has not begun to trade either
        expected = (0, -signal.SIGKILL, -signal.SIGTERM)
        assert self.child.exitcode in expected, (self.folder / "out.txt").read_text()

    def trades(self) -> None:
        """Wait until it trades: its heartbeat is of this process, and it does not wait."""

        def is_up() -> bool:
            status = status_of(self.folder)
            return status.get("pid") == self.child.pid and any(
                one["health"] == "healthy" and one["orders"] for one in status["strategies"]
            )

        eventually(is_up, 30, "the bot trades")

    def agrees(self) -> bool:
        """Whether the status file says what the exchange has."""
        (one,) = status_of(self.folder)["strategies"]
        account = self.host.exchange.accounts["one"]
        theirs = self.host.do(
            lambda: sorted(str(order.price.normalize()) for order in account.orders_of("BTCUSDT"))
        )
        mine = sorted(str(normal(order["price"])) for order in one["orders"])
        pair = account.books["BTCUSDT"].pair
        sizes = (normal(one["long"]["size"]), normal(one["short"]["size"]))
        return mine == theirs and sizes == (pair.long.size.normalize(), pair.short.size.normalize())


def normal(text: str) -> Any:
    from decimal import Decimal  # noqa: PLC0415

    return Decimal(text).normalize()


@pytest.mark.slow
def test_restarts_at_random_moments_lose_and_double_nothing(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    witness = Witness(host)
    chance = random.Random(RESTARTS)
    # orders stay on their way long enough to be met there
    slow = {"kind": FaultKind.LATENCY, "match": "order/create", "delay_ms": 40}
    host.do(lambda: host.parts.faults.add(FaultRule.model_validate(slow)))
    session = Session(host, tmp_path, children)
    with Mover(host, per_s=40) as mover:
        for number in range(RESTARTS):
            kill = number % 2 == 0
            end = signal.SIGKILL if kill else signal.SIGTERM
            if number % 3 == 2 and strike_at_an_order(session, witness, chance.randint(1, 25), end):
                session.end(None)
            else:
                session.start()
                time.sleep(chance.uniform(0.2, 2.5))
                session.end(end)
            time.sleep(chance.uniform(0, 0.3))
        session.start()
        session.trades()
        begun = len(executions_of(host))
        eventually(lambda: len(executions_of(host)) > begun + 3, what="it trades on")
        mover.pause()
        eventually(session.agrees, AGREED_S, "books that agree")
        levels = stored_levels(tmp_path, STRAT)
        session.end(signal.SIGKILL)
        session.start()
        session.trades()
        time.sleep(0.5)
        assert stored_levels(tmp_path, STRAT) == levels
        (one,) = status_of(tmp_path)["strategies"]
        assert [(level["side"], normal(level["price"])) for level in one["levels"]] == [
            (level["side"], normal(level["price"])) for level in named(levels)
        ]
        session.end(signal.SIGTERM)
    assert session.child.exitcode == 0
    assert witness.problems == []
    stored = facts(tmp_path)
    assert sorted(stored.executions()) == sorted(executions_of(host))
    runs = stored.runs()
    assert "running" not in runs
    assert runs["completed"] >= 1
    assert runs["stale"] >= 1


def named(levels: list[Any]) -> list[dict[str, Any]]:
    return [one if isinstance(one, dict) else {"side": one[1], "price": one[0]} for one in levels]


def strike_at_an_order(session: Session, witness: Witness, which: int, end: signal.Signals) -> bool:
    """End the process at the very moment at which its n-th order reaches the exchange."""
    due = witness.placed + which
    struck = threading.Event()

    def strike(number: int) -> None:
        if number >= due and not struck.is_set():
            os.kill(session.child.pid, end)
            struck.set()

    witness.on_place = strike
    session.start()
    if not struck.wait(6):
        session.end(end)
    witness.on_place = lambda number: None
    return struck.is_set()


@pytest.mark.slow
def test_a_kill_between_sending_and_hearing_places_nothing_twice(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    witness = Witness(host)
    session = Session(host, tmp_path, children)
    host.trade("60000")
    # carried out, and the answer never comes: the bot dies before it can look them up
    lost = FaultRule(kind=FaultKind.TIMEOUT, match="order/create", executed=True)
    host.do(lambda: host.parts.faults.add(lost))
    session.start()
    eventually(lambda: connected(host), what="streams")
    host.trade("60001")
    eventually(lambda: witness.placed >= 5, what="orders")
    session.end(signal.SIGKILL)
    host.do(host.parts.faults.remove)
    before = witness.placed
    session.start()
    session.trades()
    account = host.exchange.accounts["one"]

    def is_whole() -> bool:
        host.trade("60002")
        host.trade("60001")
        return host.do(lambda: len(account.open_orders)) == 12

    # the prices of those that never arrived stay taken until that is certain
    eventually(is_whole, AGREED_S, "the whole grid")
    eventually(session.agrees, AGREED_S, "books that agree")
    assert witness.problems == []
    assert witness.placed <= before + 12
    session.end(signal.SIGTERM)


def connected(host: PaperHost) -> bool:
    return len(host.server.connections) >= 2


@pytest.mark.slow
def test_fills_while_the_bot_is_down_are_recorded_and_move_the_grid(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    session = Session(host, tmp_path, children)
    host.trade("60000")
    session.start()
    eventually(lambda: connected(host), what="streams")
    host.trade("60001")
    session.trades()
    session.end(signal.SIGKILL)
    levels = stored_levels(tmp_path, STRAT)
    host.trade("59905")  # through three buys
    host.trade("59940")
    assert len(executions_of(host)) == 3
    session.start()
    session.trades()
    eventually(session.agrees, AGREED_S, "books that agree")
    session.end(signal.SIGTERM)
    assert sorted(facts(tmp_path).executions()) == sorted(executions_of(host))
    assert stored_levels(tmp_path, STRAT) != levels


def test_a_second_signal_ends_it_at_once(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    session = Session(host, tmp_path, children)
    host.trade("60000")
    host.do(lambda: host.parts.faults.add(FaultRule(kind=FaultKind.TIMEOUT, match="create")))
    session.start()
    eventually(lambda: "strategies" in status_of(tmp_path), what="a status")
    eventually(lambda: connected(host), what="streams")
    host.trade("60001")
    time.sleep(0.5)
    os.kill(session.child.pid, signal.SIGTERM)
    time.sleep(0.5)
    assert session.child.is_alive()
    begun = time.monotonic()
    os.kill(session.child.pid, signal.SIGTERM)
    session.child.join(10)
    assert time.monotonic() - begun < 1
    assert session.child.exitcode == 1


@pytest.mark.slow
def test_a_signal_is_obeyed_within_15_s_though_no_answer_comes(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    session = Session(host, tmp_path, children, cancel_on_shutdown=True)
    host.trade("60000")
    session.start()
    eventually(lambda: connected(host), what="streams")
    host.trade("60001")
    session.trades()
    silent = [{"do": "fault", "kind": "timeout"}, {"do": "fault", "kind": "silence"}]
    for action in silent:
        host.do(lambda action=action: host.control.run(ACTION.validate_python(action)))  # type: ignore[misc]
    begun = time.monotonic()
    session.end(signal.SIGTERM)
    assert time.monotonic() - begun < 15
    assert session.child.exitcode == 0


def test_a_signal_during_the_start_ends_it_soon(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    session = Session(host, tmp_path, children)
    host.do(lambda: host.parts.faults.add(FaultRule(kind=FaultKind.TIMEOUT, match="position")))
    calls = host.server.calls
    session.start()
    eventually(lambda: host.server.calls > calls + 3, what="calls")
    begun = time.monotonic()
    session.end(signal.SIGTERM)
    assert time.monotonic() - begun < 5
    assert session.child.exitcode == 0
    assert "running" not in facts(tmp_path).runs()


def test_orders_are_taken_away_at_the_end_where_that_is_wanted(
    host: PaperHost, tmp_path: Path, children: Children
) -> None:
    session = Session(host, tmp_path, children, cancel_on_shutdown=True)
    host.trade("60000")
    session.start()
    eventually(lambda: connected(host), what="streams")
    host.trade("60001")
    session.trades()
    session.end(signal.SIGTERM)
    assert host.do(lambda: len(host.exchange.accounts["one"].open_orders)) == 0
