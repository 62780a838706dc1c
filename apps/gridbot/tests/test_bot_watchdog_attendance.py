"""Whom the watchdog looks after: the strategies that a heartbeat lists, and those it lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.watchdog.command import main
from gridbot.watchdog.watchdog import Watchdog
from gridbot.words.snapshot import (
    Health,
    RunState,
    Unattended,
)
from testkit.watchdog_stage import (
    Heard,
    Stage,
    fill_book,
    grid,
    run_until,
    steps,
    watchdog_stage,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with watchdog_stage(tmp_path) as made:
        yield made


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_strategy_that_failed_while_the_bot_lives_loses_its_opening_orders(
    stage: Stage, heard: Heard
) -> None:
    _, kept = fill_book(stage)
    failed = grid("btc", Health.STOPPED, ("RuntimeError: a defect",))
    unattended = Unattended(strat_id="btc", account="main", symbol="BTCUSDT", reason="a defect")
    dog = Watchdog(stage.config, heard)
    steps(dog, 0.5, lambda: stage.beat(strategies=(failed,), unattended=(unattended,)))
    assert stage.open_orders() == kept
    assert set(heard.keys) == {AlertKey.WATCHDOG_CANCELLED}
    assert heard.alerts[0][1].startswith("nobody looks after btc: a defect. main BTCUSDT: 4 open")


def test_an_account_that_did_not_start_loses_its_opening_orders(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    missing = Unattended(strat_id="btc", account="main", symbol="BTCUSDT", reason="not started")
    dog = Watchdog(stage.config, heard)
    steps(dog, 0.5, lambda: stage.beat(strategies=(), unattended=(missing,)))
    assert stage.open_orders() == set()


def test_a_strategy_that_is_held_keeps_its_orders(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    held = grid("btc", Health.BLOCKED, ("paused",))
    dog = Watchdog(stage.config, heard)
    steps(dog, 1.5, lambda: stage.beat(strategies=(held,)))
    assert len(stage.open_orders()) == 1
    assert heard.alerts == []


def test_orders_that_a_stop_should_have_cancelled_are_taken_away(
    stage: Stage, heard: Heard
) -> None:
    stage.place(59000)
    left = Unattended(strat_id="btc", account="main", symbol="BTCUSDT", reason="1 orders may rest")
    stage.beat(state=RunState.STOPPED, unattended=(left,))
    dog = Watchdog(stage.config, heard)
    assert dog.step()
    assert stage.open_orders() == set()
    assert "btc: 1 orders may rest" in heard.alerts[0][1]


def test_a_bot_that_failed_is_given_the_time_of_a_restart(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(state=RunState.FAILED, reason="no strategy runs any more")
    dog = Watchdog(stage.config, heard)
    begun = time.monotonic()
    run_until(dog, lambda: bool(heard.alerts))
    assert time.monotonic() - begun > 0.3
    assert "failed 1 s ago: no strategy runs any more" in heard.alerts[0][1]
    assert stage.open_orders() == set()


def test_a_start_that_fails_again_and_again_does_not_look_alive(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=60, state=RunState.STOPPED)
    dog = Watchdog(stage.config, heard)
    steps(dog, 1.5, lambda: stage.status.start_failed("the exchange is away"))
    assert heard.keys[0] is AlertKey.WATCHDOG_CANCELLED
    assert "the start failed: the exchange is away" in heard.alerts[0][1]
    assert stage.open_orders() == set()


def test_a_failed_start_leaves_the_heartbeat_of_a_crash_as_it_is(stage: Stage) -> None:
    stage.status.start_failed("nothing ran here yet")
    assert not stage.status.path.exists()
    stage.beat(age_s=60)
    before = stage.status.path.read_text()
    stage.status.start_failed("the exchange is away")
    assert stage.status.path.read_text() == before


def test_of_two_bots_that_write_one_file_the_dead_one_is_missed(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    other = grid("eth", account="other", symbol="ETHUSDT")
    dog = Watchdog(stage.config, heard)
    for _ in range(5):
        stage.beat()
        assert dog.step()
        stage.beat(strategies=(other,), pid=4712)
        assert dog.step()
    steps(dog, 1.0, lambda: stage.beat(strategies=(other,), pid=4712))
    assert heard.keys[0] is AlertKey.WATCHDOG_CANCELLED
    assert "do not list BTCUSDT of account main any more" in heard.alerts[0][1]
    assert stage.open_orders() == set()


def test_a_heartbeat_that_never_lists_a_strategy_is_told_and_nothing_is_done(
    stage: Stage, heard: Heard
) -> None:
    stage.place(59000)
    dog = Watchdog(stage.config, heard)
    steps(dog, 1.2, lambda: stage.beat(strategies=()))
    assert heard.keys == [AlertKey.WATCHDOG_BLIND]
    assert "does not list main BTCUSDT" in heard.alerts[0][1]
    assert len(stage.open_orders()) == 1
    stage.beat(strategies=())
    assert main(["--config", str(stage.path), "--once"]) == 2
