"""The watchdog against an exchange over sockets: what it takes away, and when it must not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import (
    BatchItem,
    BybitRestClient,
    Environment,
    Order,
    OrderKey,
    PagedRows,
    PlaceRequest,
    make_order_link_id,
)
from grid_db import RunType
from gridbot.alerts.alerts import AlertKey
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import load_gridbot_config
from gridbot.views.status import StatusFile
from gridbot.watchdog.command import main
from gridbot.watchdog.heartbeat import HeartbeatWatch, Verdict
from gridbot.watchdog.orders import cancel_opening, is_opening
from gridbot.watchdog.watchdog import NothingToWatchError, Watchdog
from gridbot.words.snapshot import (
    BotSnapshot,
    Health,
    LegSnapshot,
    RunState,
    StrategySnapshot,
    Unattended,
)
from gridcore import DirectionType, SideType
from testkit.paper import KEY, SECRET, PaperHost, paper_market
from testkit.provokes import provokes
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = "0123456789abcdef"
TEXT = f"""accounts:
  - {{name: main, environment: paper, paper_port: PORT, api_key: {KEY}, api_secret: {SECRET}}}
strategies:
  - {{strat_id: btc, account: main, symbol: BTCUSDT}}
  - {{strat_id: shadow, account: main, symbol: ETHUSDT, shadow_mode: true}}
status_path: STATUS
status_interval: 0.1
watchdog: {{stale_after: 0.5, check_interval: 0.05, repeat_interval: 0.2}}
"""


def grid(
    strat_id: str,
    health: Health = Health.HEALTHY,
    reasons: tuple[str, ...] = (),
    account: str = "main",
    symbol: str = "BTCUSDT",
) -> StrategySnapshot:
    legs = {one.value: LegSnapshot(direction=one, size=Decimal(0)) for one in DirectionType}
    return StrategySnapshot(
        strat_id=strat_id, account=account, symbol=symbol, run_type=RunType.PAPER, health=health,
        reasons=reasons, **legs,
    )  # fmt: skip


class Heard:
    """Keeps alerts."""

    def __init__(self) -> None:
        self.alerts: list[tuple[AlertKey, str]] = []

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        self.alerts.append((key, text))

    @property
    def keys(self) -> list[AlertKey]:
        return [key for key, _ in self.alerts]


@dataclass
class Stage:
    """An exchange with orders, a configuration that points at it, and a status file."""

    host: PaperHost
    rest: BybitRestClient
    path: Path
    status: StatusFile

    @property
    def config(self) -> GridbotConfig:
        return load_gridbot_config(self.path, {})

    def place(
        self,
        price: int,
        side: SideType = SideType.BUY,
        *,
        closing: bool = False,
        link_id: str | None = None,
        symbol: str = "BTCUSDT",
    ) -> str:
        is_long = (side is SideType.BUY) is not closing
        request = PlaceRequest(
            symbol=symbol,
            direction=DirectionType.LONG if is_long else DirectionType.SHORT,
            side=side,
            qty=Decimal("0.01"),
            price=Decimal(price),
            order_link_id=link_id or make_order_link_id(OURS, datetime.now(UTC)),
            reduce_only=closing,
        )
        return self.rest.place_order(request).order_id

    def open_orders(self, symbol: str = "BTCUSDT") -> set[str]:
        return {order.order_id for order in self.rest.get_open_orders(symbol)}

    def beat(
        self,
        age_s: float = 0.0,
        *,
        state: RunState = RunState.RUNNING,
        strategies: tuple[StrategySnapshot, ...] | None = None,
        pid: int = 4711,
        **more: Any,
    ) -> None:
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        health = Health.HEALTHY if state is RunState.RUNNING else Health.STOPPED
        listed = (grid("btc", health),) if strategies is None else strategies
        self.status.write(
            BotSnapshot(taken_at=at, started_at=at, pid=pid, state=state, strategies=listed, **more)
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with PaperHost([paper_market(), paper_market("ETHUSDT")]) as host:
        host.trade("60000")
        host.trade("3000", symbol="ETHUSDT")
        port = host.server.port
        status = StatusFile(tmp_path / "status.json")
        path = tmp_path / "g.yaml"
        path.write_text(TEXT.replace("PORT", str(port)).replace("STATUS", str(status.path)))
        with BybitRestClient(KEY, SECRET, Environment.local(port)) as rest:
            yield Stage(host, rest, path, status)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def run_until(dog: Watchdog, condition: Callable[[], bool]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=dog.run, args=(stop,))
    thread.start()
    try:
        eventually(condition)
    finally:
        stop.set()
        thread.join(30)
        dog.close()


def fill_book(stage: Stage) -> tuple[set[str], set[str]]:
    """Return (orders to be taken away, orders to be left)."""
    stage.place(59990)
    stage.host.trade("59900")  # the long leg holds 0.01
    eventually(lambda: any(row.size for row in stage.rest.get_positions("BTCUSDT")))
    opening = {
        stage.place(59000),
        stage.place(58000),
        stage.place(61000, SideType.SELL),
        stage.place(57000, link_id=f"{OURS}"),
    }
    kept = {
        stage.place(62000, SideType.SELL, closing=True),
        stage.place(56000, link_id="by-hand"),
        stage.place(55000, link_id=f"{OURS}extra"),
    }
    stage.place(2900, symbol="ETHUSDT")
    eventually(lambda: stage.open_orders() == opening | kept)
    return opening, kept


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
    assert dog.look().verdict is Verdict.SUSPECT
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
    assert dog.look().verdict is Verdict.FRESH
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


# who is looked after


def steps(dog: Watchdog, seconds: float, beat: Callable[[], None]) -> None:
    """Let the bot beat and the watchdog look for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        beat()
        dog.step()
        time.sleep(0.05)
    dog.close()


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
    assert dog.look().verdict is Verdict.SUSPECT
    assert dog.once(threading.Event())
    assert stage.open_orders() == set()


# the heartbeat and the clocks


@pytest.fixture
def file(tmp_path: Path) -> StatusFile:
    return StatusFile(tmp_path / "status.json")


def beat(file: StatusFile, at: datetime) -> None:
    file.write(BotSnapshot(taken_at=at, started_at=at, pid=1))


def test_a_clock_set_forward_is_no_death(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    assert watch.look(NOW, 0).verdict is Verdict.FRESH
    jumped = NOW + timedelta(hours=1)
    assert watch.look(jumped, 5).verdict is Verdict.SUSPECT
    beat(file, jumped)
    assert watch.look(jumped, 10).verdict is Verdict.FRESH


def test_a_clock_set_back_hides_no_death(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    back = NOW - timedelta(hours=1)
    assert watch.look(back, 0).verdict is Verdict.SUSPECT  # nobody can tell its age
    assert watch.look(back + timedelta(seconds=59), 59).verdict is Verdict.SUSPECT
    assert watch.look(back + timedelta(seconds=60), 60).verdict is Verdict.STALE


def test_a_death_is_seen_after_the_configured_time(file: StatusFile) -> None:
    watch = HeartbeatWatch(file, stale_after_s=60, beat_interval_s=10)
    beat(file, NOW)
    verdicts = [
        watch.look(NOW + timedelta(seconds=second), second).verdict for second in range(0, 70, 5)
    ]
    assert verdicts.index(Verdict.STALE) == 12
    assert set(verdicts) == {Verdict.FRESH, Verdict.STALE}


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
