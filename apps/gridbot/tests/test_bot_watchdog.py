"""The watchdog against an exchange over sockets: what it takes away, and when it must not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bybit_adapter import (
    BatchItem,
    BybitRestClient,
    Environment,
    Order,
    OrderKey,
    PagedRows,
)
from gridbot.alerts.alerts import AlertKey
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config_file import load_gridbot_config
from gridbot.watchdog.command import main
from gridbot.watchdog.heartbeat import HeartbeatState
from gridbot.watchdog.orders import cancel_opening, is_opening
from gridbot.watchdog.watchdog import NothingToWatchError, Watchdog
from gridbot.words.snapshot import (
    RunState,
)
from gridcore import SideType
from testkit.paper import KEY, SECRET
from testkit.provokes import provokes
from testkit.waiting import eventually
from testkit.watchdog_stage import (
    Heard,
    Stage,
    fill_book,
    run_until,
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


@provokes(AlertKey.WATCHDOG_CANCELLED)
def test_a_dead_bot_loses_its_opening_orders_and_nothing_else(stage: Stage, heard: Heard) -> None:
    _, kept = fill_book(stage)
    stage.beat(age_s=5)
    dog = Watchdog(stage.config, heard)
    run_until(dog, lambda: bool(heard.alerts))
    assert stage.open_orders() == kept
    assert len(stage.open_orders("ETHUSDT")) == 1  # of a strategy in shadow mode
    (key, text), *_ = heard.alerts
    assert key is AlertKey.WATCHDOG_CANCELLED
    assert "no heartbeat of the bot (process 4711) for 5 s" in text
    assert "main BTCUSDT: 4 opening orders cancelled, 1 closing ones left, 2 of others left" in text
    assert SECRET not in text


def test_in_doubt_an_order_is_none_that_opens(stage: Stage) -> None:
    stage.place(59000)
    (order,) = stage.rest.get_open_orders("BTCUSDT")
    assert is_opening(order)
    assert not is_opening(replace(order, reduce_only=True))
    assert not is_opening(replace(order, side=SideType.SELL))
    assert not is_opening(replace(order, direction=None))


def test_a_fresh_heartbeat_is_left_alone(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    dog = Watchdog(stage.config, heard)
    for _ in range(30):
        stage.beat()
        assert dog.step()
        time.sleep(0.05)
    assert len(stage.open_orders()) == 1
    assert heard.alerts == []


def test_an_old_file_that_begins_to_beat_is_left_alone(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=3600)  # of yesterday; the bot is just being started
    dog = Watchdog(stage.config, heard)
    assert dog.look().state is HeartbeatState.SUSPECT
    dog.step()
    stage.beat()
    time.sleep(0.3)
    dog.step()
    assert len(stage.open_orders()) == 1
    assert heard.alerts == []


def test_an_orderly_stop_leaves_the_orders(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=60, state=RunState.STOPPED)
    dog = Watchdog(stage.config, heard)
    for _ in range(10):
        assert dog.step()
        time.sleep(0.05)
    assert len(stage.open_orders()) == 1
    assert heard.alerts == []


@provokes(AlertKey.WATCHDOG_BLIND)
def test_without_any_heartbeat_somebody_is_told_once(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    dog = Watchdog(stage.config, heard)
    for _ in range(20):
        assert not dog.step()
        time.sleep(0.05)
    assert heard.keys == [AlertKey.WATCHDOG_BLIND]
    assert "does not exist" in heard.alerts[0][1]
    assert len(stage.open_orders()) == 1


@pytest.mark.parametrize("content", [None, "{"])
def test_a_file_that_disappears_counts_as_its_last_heartbeat(
    stage: Stage, heard: Heard, content: str | None
) -> None:
    stage.place(59000)
    stage.beat()
    dog = Watchdog(stage.config, heard)
    assert dog.look().state is HeartbeatState.FRESH
    if content is None:
        stage.status.path.unlink()
    else:
        stage.status.path.write_text(content)
    run_until(dog, lambda: bool(heard.alerts))
    assert heard.keys[0] is AlertKey.WATCHDOG_CANCELLED
    assert stage.open_orders() == set()


@provokes(AlertKey.WATCHDOG_BOT_BACK)
def test_a_bot_that_comes_back_is_told_and_left_alone(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=5)
    dog = Watchdog(stage.config, heard)
    run_until(dog, lambda: heard.keys == [AlertKey.WATCHDOG_CANCELLED])
    stage.beat()
    stage.place(58000)
    assert dog.step()
    assert heard.keys[-1] is AlertKey.WATCHDOG_BOT_BACK
    assert len(stage.open_orders()) == 1


def test_orders_that_appear_while_it_is_dead_are_taken_too(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=5)
    dog = Watchdog(stage.config, heard)
    stop = threading.Event()
    thread = threading.Thread(target=dog.run, args=(stop,))
    thread.start()
    eventually(lambda: len(heard.alerts) == 1)
    stage.place(58000)  # one that was on its way
    eventually(lambda: stage.open_orders() == set())
    stop.set()
    thread.join(10)
    dog.close()
    assert set(heard.keys) == {AlertKey.WATCHDOG_CANCELLED}


@provokes(AlertKey.WATCHDOG_FAILED)
def test_an_exchange_that_is_away_is_tried_again(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=5)
    nowhere = BybitRestClient(
        KEY, SECRET, Environment.local(1), query_attempts=1, query_timeout_s=1
    )

    class Wavering:
        """Not to be reached at first."""

        failures = 2

        def get_open_orders(self, symbol: str) -> PagedRows[Order]:
            self.failures -= 1
            return (nowhere if self.failures >= 0 else stage.rest).get_open_orders(symbol)

        def cancel_batch(self, keys: list[OrderKey]) -> list[BatchItem]:
            return stage.rest.cancel_batch(keys)

    dog = Watchdog(stage.config, heard, connect=lambda _: Wavering())
    run_until(dog, lambda: AlertKey.WATCHDOG_CANCELLED in heard.keys)
    nowhere.close()
    assert heard.keys[0] is AlertKey.WATCHDOG_FAILED
    assert "FAILED: ExchangeUnavailable" in heard.alerts[0][1]
    assert stage.open_orders() == set()


def test_one_account_that_fails_does_not_keep_the_others_from_help(
    stage: Stage, heard: Heard
) -> None:
    stage.place(59000)
    other = (
        "  - {name: other, environment: paper, paper_port: 1, api_key: k-12, api_secret: s-12}\n"
    )
    grid = "  - {strat_id: far, account: other, symbol: BTCUSDT}\n"
    text = stage.path.read_text().replace("accounts:\n", "accounts:\n" + other)
    stage.path.write_text(text.replace("strategies:\n", "strategies:\n" + grid))
    stage.beat(age_s=5)

    def connect(account: AccountConfig) -> BybitRestClient:
        if account.name == "other":
            raise ValueError("no way there")
        return stage.rest

    dog = Watchdog(stage.config, heard, connect=connect)
    assert not dog.once(threading.Event())
    assert heard.keys == [AlertKey.WATCHDOG_FAILED]
    told = heard.alerts[0][1]
    assert "FAILED: no way there; main BTCUSDT: 1 opening orders cancelled" in told
    assert stage.open_orders() == set()


def test_a_look_that_fails_oddly_is_not_the_last(stage: Stage, heard: Heard) -> None:
    stage.place(59000)
    stage.beat(age_s=5)

    class Odd:
        """Fails in a way that nobody thought of, once."""

        failures = 1

        def get_open_orders(self, symbol: str) -> PagedRows[Order]:
            if self.failures:
                self.failures -= 1
                raise RuntimeError("odd")
            return stage.rest.get_open_orders(symbol)

        def cancel_batch(self, keys: list[OrderKey]) -> list[BatchItem]:
            return stage.rest.cancel_batch(keys)

    odd = Odd()
    dog = Watchdog(stage.config, heard, connect=lambda _: odd)
    run_until(dog, lambda: AlertKey.WATCHDOG_CANCELLED in heard.keys)
    assert heard.keys[0] is AlertKey.WATCHDOG_FAILED
    assert stage.open_orders() == set()


@pytest.mark.slow
def test_many_orders_go_in_batches(stage: Stage, heard: Heard) -> None:
    for number in range(35):
        stage.place(59000 - number)
    stage.beat(age_s=5)
    dog = Watchdog(stage.config, heard)
    run_until(dog, lambda: bool(heard.alerts))
    assert "35 opening orders cancelled" in heard.alerts[0][1]
    assert stage.open_orders() == set()


def test_it_stops_when_the_bot_is_back_in_the_middle(stage: Stage) -> None:
    stage.place(59000)
    (report,) = cancel_opening(stage.rest, "main", ["BTCUSDT"], lambda: False)
    assert "the bot is back" in report.failure
    assert len(stage.open_orders()) == 1


def test_an_order_that_stays_is_told(stage: Stage) -> None:
    class Stubborn:
        def get_open_orders(self, symbol: str) -> PagedRows[Order]:
            return stage.rest.get_open_orders(symbol)

        def cancel_batch(self, keys: list[OrderKey]) -> list[BatchItem]:
            return stage.rest.cancel_batch([replace(key, order_id="nothing") for key in keys])

    stage.place(59000)
    (report,) = cancel_opening(
        Stubborn(),
        "main",
        ["BTCUSDT"],
        lambda: True,
        wait=lambda _: None,  # type: ignore[arg-type]
    )
    assert report.failure == "1 opening orders are still listed"
    assert report.cancelled == set()


# the command


def test_once_says_what_it_did_by_its_exit_code(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(stage.path), "--once"]
    stage.place(59000)
    assert main(arguments) == 2  # nothing to read
    stage.beat()
    assert main(arguments) == 0
    assert len(stage.open_orders()) == 1
    stage.beat(age_s=5)
    assert main(arguments) == 0
    assert stage.open_orders() == set()
    told = capsys.readouterr().err
    assert "watchdog_cancelled" in told
    assert SECRET not in told


def test_a_configuration_without_anything_to_watch_is_refused(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Path(__file__).resolve().parents[3] / "conf" / "demo.yaml"
    assert main(["--config", str(demo)]) == 1
    assert "watchdog: no account has orders to look after" in capsys.readouterr().err
    assert main(["--config", "nowhere.yaml"]) == 1
    assert main(["--nonsense"]) == 1
    assert main(["--help"]) == 0
    config = load_gridbot_config(demo, {})
    with pytest.raises(NothingToWatchError):
        Watchdog(config, Heard())


def test_as_a_process_it_watches_until_it_is_told_to_end(stage: Stage) -> None:
    stage.place(59000)
    stage.beat(age_s=5)
    process = subprocess.Popen(
        [sys.executable, "-m", "gridbot.watchdog", "--config", str(stage.path)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        eventually(lambda: stage.open_orders() == set(), within_s=30)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, told
    assert "stale after 0.5 s" in told
    assert "1 opening orders cancelled" in told
    assert SECRET not in told
    assert "Traceback" not in told
