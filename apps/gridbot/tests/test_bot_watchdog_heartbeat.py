"""How the watchdog judges a heartbeat: older files, broken ones, and clocks that are set."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.views.status import StatusFile
from gridbot.watchdog.heartbeat import HeartbeatState, HeartbeatWatch
from gridbot.watchdog.watchdog import Watchdog
from gridbot.words.snapshot import (
    BotSnapshot,
    RunState,
)
from testkit.watchdog_stage import (
    Heard,
    Stage,
    steps,
    watchdog_stage,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.integration


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with watchdog_stage(tmp_path) as made:
        yield made


@pytest.fixture
def heard() -> Heard:
    return Heard()


# what an older bot wrote when its only strategy had died, and after an orderly stop
OLDER = """{"version": 1, "state": "%s", "heartbeat_at": "2026-01-01T00:00:00+00:00",
 "started_at": "2026-01-01T00:00:00+00:00", "pid": 9, "accounts": [], "strategies": [
 {"strat_id": "btc", "account": "main", "symbol": "BTCUSDT", "health": "stopped",
  "reasons": %s}]}"""


@pytest.mark.parametrize(
    ("state", "reasons", "left"),
    [("stopped", '["RuntimeError: a defect"]', 0), ("stopped", "[]", 1), ("running", "[]", 0)],
)
def test_a_status_file_of_an_older_bot_is_understood(
    stage: Stage, heard: Heard, state: str, reasons: str, left: int
) -> None:
    stage.place(59000)
    stage.status.path.write_text(OLDER % (state, reasons))
    dog = Watchdog(stage.config, heard)
    assert dog.once(threading.Event())
    assert len(stage.open_orders()) == left


def test_a_file_that_cannot_be_read_after_a_stop_is_told(stage: Stage, heard: Heard) -> None:
    stage.beat(state=RunState.STOPPED)
    dog = Watchdog(stage.config, heard)
    assert dog.step()
    stage.status.path.write_text("{")
    steps(dog, 1.0, lambda: None)
    assert heard.keys == [AlertKey.WATCHDOG_BLIND]
    assert "what came then is not known" in heard.alerts[0][1]


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_clock_takes_no_order_away(stage: Stage, heard: Heard, step_s: float) -> None:
    stage.place(59000)
    dog = Watchdog(stage.config, heard)
    steps(dog, 0.3, stage.beat)
    steps(dog, 1.0, lambda: stage.beat(age_s=step_s))  # the bot's clock and ours differ for a while
    steps(dog, 0.3, stage.beat)
    assert heard.alerts == []
    assert len(stage.open_orders()) == 1


def test_a_heartbeat_of_the_future_is_watched_before_it_is_believed(
    stage: Stage, heard: Heard
) -> None:
    stage.place(59000)
    stage.beat(age_s=-3600)  # of a bot that died before the clock was set back
    dog = Watchdog(stage.config, heard)
    assert dog.look().state is HeartbeatState.SUSPECT
    assert dog.once(threading.Event())
    assert stage.open_orders() == set()


@pytest.fixture
def file(tmp_path: Path) -> StatusFile:
    return StatusFile(tmp_path / "status.json")


def beat(file: StatusFile, at: datetime) -> None:
    file.write(BotSnapshot(taken_at=at, started_at=at, pid=1))


def test_a_clock_set_forward_is_no_death(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    assert watch.look(NOW, 0).state is HeartbeatState.FRESH
    jumped = NOW + timedelta(hours=1)
    assert watch.look(jumped, 5).state is HeartbeatState.SUSPECT
    beat(file, jumped)
    assert watch.look(jumped, 10).state is HeartbeatState.FRESH


def test_a_clock_set_back_hides_no_death(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    back = NOW - timedelta(hours=1)
    assert watch.look(back, 0).state is HeartbeatState.SUSPECT  # nobody can tell its age
    assert watch.look(back + timedelta(seconds=59), 59).state is HeartbeatState.SUSPECT
    assert watch.look(back + timedelta(seconds=60), 60).state is HeartbeatState.STALE


def test_a_death_is_seen_after_the_configured_time(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    states = [
        watch.look(NOW + timedelta(seconds=second), second).state for second in range(0, 70, 5)
    ]
    assert states.index(HeartbeatState.STALE) == 12
    assert set(states) == {HeartbeatState.FRESH, HeartbeatState.STALE}
