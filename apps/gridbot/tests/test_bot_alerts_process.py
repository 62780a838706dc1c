"""What a whole bot tells of its start, its end, its database, and of strategies that wait."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory, DatabaseSettings, TenantScope, user_id_for
from gridbot.alerts.alerts import AlertKey
from gridbot.orchestrator import StartError
from gridbot.words.snapshot import BotSnapshot
from testkit.bot_host import (
    RunningBot,
    StoredFacts,
    bot_file,
    bot_settings,
    executions_of,
    status_of,
    strategy,
)
from testkit.children import Children
from testkit.paper import KEY, SECRET, PaperHost, paper_account, paper_market
from testkit.provokes import provokes
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

LEVELS = 12


def told(folder: Path) -> list[tuple[str, str]]:
    """Return all alerts that the database keeps, as kind and text."""
    url = f"sqlite:///{folder / 'bot.db'}"
    with (
        DatabaseFactory(DatabaseSettings(database_url=url)) as database,  # type: ignore[arg-type]
        database.get_session() as session,
    ):
        rows = TenantScope(session, user_id_for("default")).alerts.list_recent(limit=1_000)
        return sorted((one.alert_key.partition(":")[0], one.message) for one in rows)


def orders(host: PaperHost, symbol: str, account: str = "one") -> int:
    """Return how many orders rest."""
    found = host.exchange.accounts[account]
    return host.do(lambda: sum(1 for _ in found.orders_of(symbol)))


def whole(host: PaperHost, symbol: str, price: str, account: str = "one") -> None:
    """Wait for a whole grid of a symbol."""

    def rests() -> bool:
        host.trade(price, symbol=symbol)
        return orders(host, symbol, account) == LEVELS

    eventually(rests, 30, f"a grid of {symbol}")


@provokes(AlertKey.BOT_STARTED, AlertKey.BOT_STOPPED)
def test_a_start_and_an_end_are_told_once(tmp_path: Path) -> None:
    with PaperHost([paper_market()], [paper_account()]) as host:
        host.trade("60000")
        with RunningBot(bot_settings(tmp_path, host.server.port)) as running:
            whole(host, "BTCUSDT", "60000.1")
            assert running.health("one_btcusdt") == ("healthy", ())
            last: BotSnapshot = running.stop()
    assert last.state.value == "stopped"
    assert last.strategies[0].health.value == "stopped"
    assert told(tmp_path) == [("bot_started", "one_btcusdt"), ("bot_stopped", "in order")]


@provokes(AlertKey.STRATEGY_STOPPED, AlertKey.STRATEGY_UNBLOCKED)
def test_a_delisted_and_a_coming_contract_wait_while_the_others_trade(tmp_path: Path) -> None:
    """One contract is delisted, one announced, one alone on its account announced as well."""
    markets = [
        paper_market("BTCUSDT"),
        paper_market("ETHUSDT"),
        paper_market("SOLUSDT", status="PreLaunch"),
    ]
    accounts = [paper_account(), paper_account("two", key="key-two", secret="secret-two", uid=1002)]
    with PaperHost(markets, accounts) as host:
        host.trade("60000")
        host.trade("3000", symbol="ETHUSDT")
        host.act(do="deliver", symbol="ETHUSDT", price="3000", closed_after_s=1)
        settings = bot_settings(
            tmp_path,
            host.server.port,
            [
                strategy("ETHUSDT"), strategy("BTCUSDT"), strategy("SOLUSDT"),
                strategy("SOLUSDT", "two"),
            ],
            {"one": (KEY, SECRET), "two": ("key-two", "secret-two")},
        )  # fmt: skip
        with RunningBot(settings) as running:
            whole(host, "BTCUSDT", "60000.1")
            assert running.health("one_btcusdt") == ("healthy", ())
            assert running.alerts("strategy_stopped") == 3
            waiting = {one["strat_id"]: one for one in status_of(tmp_path)["unattended"]}
            assert sorted(waiting) == ["one_ethusdt", "one_solusdt", "two_solusdt"]
            assert "ETHUSDT is not traded" in waiting["one_ethusdt"]["reason"]
            assert "the exchange says PreLaunch" in waiting["two_solusdt"]["reason"]
            time.sleep(3)
            assert running.alerts("strategy_stopped") == 3  # tried again, and not told again
            host.act(do="list_contract", symbol="SOLUSDT")
            for account in ("one", "two"):
                whole(host, "SOLUSDT", "150", account)
            for strat_id in ("one_solusdt", "two_solusdt"):
                assert running.health(strat_id) == ("healthy", ())
            assert running.alerts("strategy_unblocked") == 2
            eventually(
                lambda: (
                    [one["strat_id"] for one in status_of(tmp_path)["unattended"]]
                    == ["one_ethusdt"]
                )
            )
            assert running.disagreements(host) == []
    found = told(tmp_path)
    stopped = [text for key, text in found if key == "strategy_stopped"]
    assert [text.partition(" is not traded")[0] for text in stopped] == [
        "not started: one_ethusdt: ETHUSDT",
        "not started: one_solusdt: SOLUSDT",
        "not started: two_solusdt: SOLUSDT",
    ]
    assert [text for key, text in found if key == "strategy_unblocked"] == [
        "one_solusdt: it is started now",
        "two_solusdt: it is started now",
    ]


def test_a_bot_without_any_contract_does_not_start(tmp_path: Path) -> None:
    with PaperHost([paper_market(status="PreLaunch")], [paper_account()]) as host:
        for _ in range(2):  # and leaves nothing locked
            running = RunningBot(bot_settings(tmp_path, host.server.port))
            with pytest.raises(StartError, match="the exchange says PreLaunch"):
                running.start()
    assert told(tmp_path) == []


@pytest.mark.slow
@provokes(AlertKey.DATABASE_DOWN)
def test_a_database_that_takes_nothing_is_told_once_and_gets_it_later(tmp_path: Path) -> None:
    with PaperHost([paper_market()], [paper_account()]) as host:
        host.trade("60000")
        settings: dict[str, Any] = bot_settings(tmp_path, host.server.port)
        with RunningBot(settings) as running:
            whole(host, "BTCUSDT", "60000.1")
            with closing(sqlite3.connect(tmp_path / "bot.db", isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                host.trade("59960")
                eventually(lambda: running.alerts("database_down") == 1, 40, "the alert")
                # trading goes on
                assert running.health("one_btcusdt")[0] == "healthy"
                host.trade("59930")
                eventually(lambda: running.disagreements(host) == [], what="agreement")
                time.sleep(3)
                assert running.alerts("database_down") == 1
                # and the heartbeat: a watchdog would take a bot without one for dead
                beat = datetime.fromisoformat(status_of(tmp_path)["heartbeat_at"])
                assert datetime.now(UTC) - beat < timedelta(seconds=3)
                other.execute("ROLLBACK")
            expected = sorted(executions_of(host))
            assert len(expected) >= 2
            url = f"sqlite:///{tmp_path / 'bot.db'}"
            with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
                facts = StoredFacts(database)
                eventually(lambda: sorted(facts.executions()) == expected, 40, "what was kept")
    (text,) = [text for key, text in told(tmp_path) if key == "database_down"]
    assert text.startswith("the database takes nothing (")
    assert text.endswith("rows wait on disk, trading goes on")


@pytest.mark.slow
def test_a_signal_is_obeyed_within_15_s_though_the_database_hangs(tmp_path: Path) -> None:
    with (
        PaperHost([paper_market()], [paper_account()]) as host,
        Children("gridbot.main") as children,
    ):
        host.trade("60000")
        settings = bot_settings(tmp_path, host.server.port)
        child = children.start(
            "--config", str(bot_file(tmp_path, settings)), output=tmp_path / "out.txt"
        )
        eventually(lambda: len(host.server.connections) >= 2, 30, "streams")
        whole(host, "BTCUSDT", "60000.1")
        with closing(sqlite3.connect(tmp_path / "bot.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            host.trade("59960")
            eventually(lambda: executions_of(host), what="a fill")
            time.sleep(2)
            begun = time.monotonic()
            os.kill(child.pid, signal.SIGTERM)
            child.join(30)
            assert child.exitcode == 0, (tmp_path / "out.txt").read_text()
            assert time.monotonic() - begun < 15
            other.execute("ROLLBACK")
        with RunningBot(settings):
            url = f"sqlite:///{tmp_path / 'bot.db'}"
            with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
                facts = StoredFacts(database)
                expected = executions_of(host)
                eventually(lambda: facts.executions() == expected, 20, "what waited on disk")
        runs = {"stale": 1, "completed": 1}
        with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
            assert StoredFacts(database).runs() == runs
