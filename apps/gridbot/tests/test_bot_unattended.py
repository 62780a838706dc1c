"""However a bot ends, its opening orders do not rest for ever: the whole bot, and the watchdog."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gridbot.alerts.alerts import AlertKey
from gridbot.main import main
from gridbot.settings.config import GridbotConfig
from gridbot.watchdog.watchdog import Watchdog
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_host import (
    Mover,
    RunningBot,
    bot_file,
    bot_settings,
    status_of,
    strategy,
)
from testkit.paper import KEY, SECRET, PaperHost
from testkit.provokes import provokes
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange("BTCUSDT", "ETHUSDT", accounts=2)]


TWO = {"one": (KEY, SECRET), "two": ("key-two", "secret-two")}
WATCH = {"stale_after": 1.5, "check_interval": 0.2, "repeat_interval": 0.5}


class Heard:
    """Keeps alerts."""

    def __init__(self) -> None:
        self.alerts: list[tuple[AlertKey, str]] = []

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        self.alerts.append((key, text))


def settings_of(folder: Path, host: PaperHost, *strategies: Any, **more: Any) -> dict[str, Any]:
    return bot_settings(
        folder, host.server.port, strategies, status_interval=0.3, watchdog=WATCH, **more
    )


def orders(host: PaperHost, account: str = "one", symbol: str = "BTCUSDT") -> tuple[int, int]:
    """Return how many opening and how many closing orders rest."""

    def count() -> tuple[int, int]:
        resting = list(host.exchange.accounts[account].orders_of(symbol))
        closing = sum(one.reduce_only for one in resting)
        return len(resting) - closing, closing

    return host.do(count)


def guard(settings: dict[str, Any], until: Callable[[], bool], most_s: float = 8.0) -> Heard:
    """Let the watchdog look until something is so, or for that long."""
    heard = Heard()
    dog = Watchdog(GridbotConfig.model_validate(settings), heard)
    end = time.monotonic() + most_s
    while time.monotonic() < end and not until():
        dog.step()
        time.sleep(0.2)
    dog.close()
    return heard


def break_strategy(running: RunningBot, strat_id: str) -> None:
    """Let a strategy raise at its next message, as a defect would."""
    message: Any = "a defect"
    (runner,) = (one for one in running.bot.runners if one.strat_id == strat_id)
    running.do(lambda: runner.tell(message))
    eventually(lambda: runner.stopped_because is not None, what="the end of the strategy")


def test_the_only_strategy_dies_of_a_defect(host: PaperHost, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, host)
    running = RunningBot(settings)
    with Mover(host) as mover:
        running.start()
        eventually(lambda: min(orders(host)) > 1, what="orders of both kinds")
        break_strategy(running, "one_btcusdt")
        eventually(lambda: running.has_ended, what="the end of the bot")
        mover.pause()
        closing = orders(host)[1]
        heard = guard(settings, lambda: orders(host)[0] == 0)
        assert orders(host) == (0, closing)
    found = status_of(tmp_path)
    assert found["state"] == "failed"
    assert found["reason"] == "no strategy runs any more"
    assert heard.alerts[0][0] is AlertKey.WATCHDOG_CANCELLED


@pytest.mark.slow
def test_one_of_two_strategies_dies_while_the_other_lives(host: PaperHost, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, host, strategy(), strategy("ETHUSDT"))
    with Mover(host, ("BTCUSDT", "ETHUSDT")) as mover, RunningBot(settings) as running:
        eventually(lambda: orders(host)[0] > 3 and orders(host, symbol="ETHUSDT")[0] > 3)
        break_strategy(running, "one_ethusdt")
        mover.pause()
        others = sum(orders(host))
        heard = guard(settings, lambda: orders(host, symbol="ETHUSDT")[0] == 0)
        assert orders(host, symbol="ETHUSDT")[0] == 0
        assert sum(orders(host)) >= others > 0
        assert not running.has_ended
    assert "nobody looks after one_ethusdt: InvalidEventError: 'a defect'" in heard.alerts[0][1]


def test_an_account_that_cannot_be_started_while_another_trades(
    host: PaperHost, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, host, strategy(), strategy(account="two"), accounts=TWO)
    host.trade("60000")
    with RunningBot(settings):
        host.trade("60001")
        eventually(lambda: orders(host)[0] > 3 and orders(host, "two")[0] > 3)
    rich = host.exchange.accounts["two"]
    host.do(lambda: host.exchange.operator.deposit(rich, Decimal(-10_000)))
    with RunningBot(settings):
        host.trade("60000")
        assert orders(host, "two")[0] > 3
        heard = guard(settings, lambda: orders(host, "two")[0] == 0)
        assert orders(host, "two")[0] == 0
        assert orders(host)[0] > 3
    assert "two_btcusdt: not started: account two: it holds no USDT" in heard.alerts[0][1]


def test_a_stop_that_was_asked_for_leaves_the_orders(host: PaperHost, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, host)
    host.trade("60000")
    with RunningBot(settings):
        host.trade("60001")
        eventually(lambda: orders(host)[0] > 3)
    resting = orders(host)
    heard = guard(settings, lambda: False, most_s=3)
    assert orders(host) == resting
    assert heard.alerts == []


def test_a_bot_whose_time_is_over_was_asked_to_stop(host: PaperHost, tmp_path: Path) -> None:
    path = bot_file(tmp_path, settings_of(tmp_path, host))
    host.trade("60000")
    try:
        assert main(["--config", str(path), "--duration", "1"]) == 0
    finally:
        logging.shutdown()
    assert status_of(tmp_path)["state"] == "stopped"


@pytest.mark.parametrize("is_stopped_before", [True, False])
def test_a_start_that_fails_tells_no_lie(
    host: PaperHost, tmp_path: Path, is_stopped_before: bool
) -> None:
    settings = settings_of(tmp_path, host)
    path = bot_file(tmp_path, settings)
    host.trade("60000")
    with RunningBot(settings):
        host.trade("60001")
        eventually(lambda: orders(host)[0] > 3)
    file = tmp_path / "status.json"
    if not is_stopped_before:  # as after a crash
        file.write_text(json.dumps(status_of(tmp_path) | {"state": "running", "unattended": []}))
    before = file.read_text()
    account = host.exchange.accounts["one"]
    host.do(lambda: host.exchange.operator.deposit(account, Decimal(-10_000)))
    try:
        assert main(["--config", str(path)]) == 1
    finally:
        logging.shutdown()
    if is_stopped_before:
        assert status_of(tmp_path)["state"] == "failed"
        assert "holds no USDT" in status_of(tmp_path)["reason"]
    else:
        assert file.read_text() == before
    guard(settings, lambda: orders(host)[0] == 0)
    assert orders(host)[0] == 0


@pytest.mark.slow
def test_orders_that_the_stop_could_not_cancel_are_taken_away(
    host: PaperHost, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, host, cancel_on_shutdown=True)
    host.trade("60000")
    with RunningBot(settings):
        host.trade("60001")
        eventually(lambda: orders(host)[0] > 3)
        silent = FaultRule(kind=FaultKind.TIMEOUT, match="cancel", executed=False, duration_s=3600)
        host.do(lambda: host.parts.faults.add(silent))
    assert orders(host)[0] > 3
    assert status_of(tmp_path)["state"] == "stopped"
    host.do(host.parts.faults.remove)
    heard = guard(settings, lambda: orders(host)[0] == 0)
    assert orders(host)[0] == 0
    assert "cancel_on_shutdown should have cancelled" in heard.alerts[0][1]


@provokes(AlertKey.STATUS_NOT_WRITTEN)
def test_a_status_that_cannot_be_written_is_told_and_grows_old(
    host: PaperHost, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, host)
    host.trade("60000")
    with RunningBot(settings) as running:
        host.trade("60001")
        eventually(lambda: orders(host)[0] > 3)
        (tmp_path / ".status.json.new").mkdir()  # as a full disk: nothing can be written beside it
        eventually(lambda: running.alerts("status_not_written") == 1)
        whole = status_of(tmp_path)
        assert whole["state"] == "running"
        guard(settings, lambda: orders(host)[0] == 0)
        assert orders(host)[0] == 0
        (tmp_path / ".status.json.new").rmdir()
        eventually(lambda: status_of(tmp_path)["heartbeat_at"] > whole["heartbeat_at"])
        assert running.alerts("status_not_written") == 1
