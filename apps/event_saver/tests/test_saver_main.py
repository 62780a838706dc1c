"""The command as people and service managers meet it: settings, signals, kill -9."""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from event_saver.accounts.contexts import check_key
from event_saver.main import main
from event_saver.settings.config import ConfigError, EventSaverConfig, load_config
from grid_db import DatabaseFactory, RunStatus, TenantScope, UserRepository
from grid_service.logs import ConsoleStyle, Logs
from grid_service.redaction import Redactor
from testkit.waiting import eventually

KILLS = 20 if "SAVER_LONG" in os.environ else 10  # on each database

# the database makes no difference to these
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def connections(exchange: Any) -> int:
    return len(exchange.server.connections)


@pytest.mark.slow
def test_kill_at_any_moment_loses_nothing_that_can_be_asked_for(
    database: DatabaseFactory,
    start_exchange: Any,
    make_contexts: Any,
    make_stored: Any,
    settings_file: Any,
    children: Any,
) -> None:
    exchange = start_exchange(per_s=60)
    contexts = make_contexts(database, exchange)[:1]
    file = settings_file(database, exchange)
    stored = make_stored(database, contexts)
    child = children.start("--config", str(file))
    eventually(lambda: connections(exchange) == 2)
    before = set(exchange.said.trades)
    chance = random.Random(7)
    for _ in range(KILLS):
        end = time.monotonic() + chance.uniform(0.02, 0.6)
        while time.monotonic() < end:
            exchange.trade_some(1)
            time.sleep(0.05)
        child.kill()  # SIGKILL
        child.join()
        exchange.trade_some(1)
        child = children.start("--config", str(file))
    eventually(lambda: connections(exchange) == 2)
    exchange.trade_some(3)
    exchange.halt()

    def complete() -> bool:
        return set(exchange.said.trades) - before <= set(
            stored.trades()
        ) and exchange.said.executions["alice"] <= set(stored.executions()["alice"])

    eventually(complete)
    time.sleep(1.0)
    child.terminate()
    child.join(10)
    assert child.exitcode == 0
    assert sorted(stored.executions()["alice"]) == sorted(exchange.said.executions["alice"])
    assert len(stored.trades()) == len(set(stored.trades()))
    said = {key[:2]: status for key, status in sorted(exchange.said.orders.items())}
    found = {key[:2]: status for key, status in sorted(stored.orders().items())}
    assert found == {key: status for key, status in said.items() if key[0] == "alice"}
    assert not [gap for gap in stored.gaps() if gap.stream in ("trades", "executions", "orders")]


@on_sqlite
def test_sigterm_ends_in_order_and_metrics_tell_what_happens(
    database: DatabaseFactory, start_exchange: Any, settings_file: Any, children: Any
) -> None:
    exchange = start_exchange()
    port = free_port()
    child = children.start("--config", str(settings_file(database, exchange, METRICS_PORT=port)))
    eventually(lambda: connections(exchange) == 2)
    exchange.trade_some(3)

    def page(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            return ""

    eventually(lambda: 'event_saver_stream_up{stream="public"} 1.0' in page("/metrics"))
    eventually(
        lambda: 'event_saver_rows_total{kind="trades",outcome="written"}' in page("/metrics")
    )
    health = json.loads(page("/healthz"))
    assert health["status"] == "ok"
    assert health["alarms"] == []
    assert page("/other") == ""
    begun = time.monotonic()
    child.terminate()
    child.join(12)
    assert time.monotonic() - begun < 10
    assert child.exitcode == 0


def test_a_second_signal_ends_at_once(
    database: DatabaseFactory,
    start_exchange: Any,
    settings_file: Any,
    children: Any,
    hanging: Any,
) -> None:
    exchange = start_exchange()
    child = children.start("--config", str(settings_file(database, exchange)))
    eventually(lambda: connections(exchange) == 2)
    time.sleep(0.3)
    with hanging(database, 0):
        time.sleep(0.5)
        child.terminate()
        time.sleep(0.5)
        assert child.is_alive()  # it waits for the statement that hangs
        begun = time.monotonic()
        os.kill(child.pid, signal.SIGINT)
        child.join(5)
    assert time.monotonic() - begun < 1.5
    assert child.exitcode == 1


@on_sqlite
def test_one_signal_ends_in_time_while_a_statement_hangs(
    database: DatabaseFactory,
    start_exchange: Any,
    settings_file: Any,
    children: Any,
    hanging: Any,
) -> None:
    exchange = start_exchange()
    child = children.start("--config", str(settings_file(database, exchange)))
    eventually(lambda: connections(exchange) == 2)
    with hanging(database, 0):
        time.sleep(0.5)
        child.terminate()
        child.join(10)  # what is promised
        assert child.exitcode == 0


def free_port() -> int:
    import socket  # noqa: PLC0415 - used here only

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings from outside, a folder of its own, and logging as it was afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    for name in list(os.environ):
        if name.startswith(("EVENTSAVER_", "GRIDBOT_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


WRONG = [
    ({}, "there are no symbols to capture; set EVENTSAVER_SYMBOLS"),
    ({"SYMBOLS": " , "}, "there are no symbols to capture"),
    ({"SYMBOLS": "BTC USDT"}, "which is no contract"),
    ({"SYMBOLS": "BTCUSDT", "DATABASE_URL": "mysql://u:topsecret@h/d"}, "postgresql://"),
    ({"SYMBOLS": "BTCUSDT", "DATABASE_URL": "sqlite:///nowhere/a.db"}, "does not exist"),
    ({"SYMBOLS": "BTCUSDT", "ENVIRONMENT": "moonnet"}, "environment 'moonnet' is unknown"),
    ({"SYMBOLS": "BTCUSDT", "ENVIRONMENT": "http://example.com:80"}, "not encrypted"),
    ({"SYMBOLS": "BTCUSDT", "ENVIRONMENT": "mainnet", "TESTNET": "1"}, "leave EVENTSAVER_TESTNET"),
    ({"SYMBOLS": "BTCUSDT", "API_KEY": "topsecret"}, "EVENTSAVER_API_SECRET belong together"),
    ({"SYMBOLS": "BTCUSDT", "BATCH_SIZE": "many"}, "EVENTSAVER_BATCH_SIZE is 'many': it should"),
    ({"SYMBOLS": "BTCUSDT", "FLUSH_INTERVAL": "0"}, "EVENTSAVER_FLUSH_INTERVAL is '0'"),
    ({"SYMBOLS": "BTCUSDT", "GAP_THRESHOLD_SECONDS": "inf"}, "EVENTSAVER_GAP_THRESHOLD_SECONDS"),
    ({"SYMBOLS": "BTCUSDT", "AUDIT_INTERVAL": "1e99"}, "EVENTSAVER_AUDIT_INTERVAL is '1e99'"),
    ({"SYMBOLS": "BTCUSDT", "ARCHIVE_URL": "files"}, "EVENTSAVER_ARCHIVE_URL is 'files'"),
    ({"SYMBOLS": "BTCUSDT", "USER": ""}, "EVENTSAVER_USER is ''"),
    ({"SYMBOL": "BTCUSDT"}, "EVENTSAVER_SYMBOL is no setting; set EVENTSAVER_SYMBOLS"),
    ({"SYMBOLS": "BTCUSDT", "ACCOUNTS": "alice"}, "write user/account"),
]  # fmt: skip


@pytest.mark.parametrize(
    "account", [{"API_KEY": "key", "API_SECRET": "secret"}, {"ACCOUNTS": "alice/main"}]
)
def test_an_account_needs_no_symbols(account: dict[str, str], clean_environment: Any) -> None:
    for name, value in account.items():
        clean_environment.setenv(f"EVENTSAVER_{name}", value)
    assert load_config(None).get_symbols() == []


@pytest.mark.parametrize(("values", "sentence"), WRONG, ids=lambda value: str(value)[:40])
def test_wrong_settings_end_with_one_sentence(
    values: dict[str, str], sentence: str, clean_environment: Any, capfd: Any
) -> None:
    for name, value in values.items():
        clean_environment.setenv(f"EVENTSAVER_{name}", value)
    assert main([]) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("event_saver: ")
    assert sentence in lines[0]
    assert "topsecret" not in lines[0]


@on_sqlite
def test_a_key_that_the_exchange_does_not_know_is_told_with_one_sentence(
    database: DatabaseFactory, start_exchange: Any, make_contexts: Any
) -> None:
    """The daemon goes on: see test_saver_symbols."""
    exchange = start_exchange()
    context = replace(
        make_contexts(database, exchange)[0], api_key="key-of-testnet", api_secret="topsecret"
    )
    line = check_key("default/main", context)
    assert line is not None
    assert f"account default/main: {exchange.url} refuses the API key (code 10003" in line
    assert "keys of testnet work on testnet only" in line
    assert "key-of-testnet" not in line
    assert "topsecret" not in line


@on_sqlite
def test_a_start_that_fails_leaves_no_run_behind(
    clean_environment: Any,
    database: DatabaseFactory,
    start_exchange: Any,
    settings_file: Any,
    tmp_path: Path,
    capfd: Any,
) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    file = settings_file(database, start_exchange(), SPOOL_DIR=tmp_path / "taken")
    assert main(["--config", str(file)]) == 1
    assert "EVENTSAVER_SPOOL_DIR" in capfd.readouterr().err.splitlines()[-1]
    with database.get_session() as session:
        user = UserRepository(session).get_by_name("alice")
        assert user is not None
        (run,) = TenantScope(session, user.id).runs.get_by_user_id()
    assert run.status is not RunStatus.RUNNING


def test_log_lines_say_each_thing_once(clean_environment: Any, capfd: Any) -> None:
    with Logs(Redactor(["very-secret"]), console=ConsoleStyle.JSON):
        clean_environment.setattr(
            logging.getLogger("websocket"), "level", logging.INFO
        )  # as pybit does
        logging.getLogger("websocket").error("Connection refused - goodbye")
        logging.getLogger("bybit_adapter").info("connection refused by very-secret")
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "connection refused by ***"


def test_symbols_of_which_none_is_listed_end_with_one_sentence(
    clean_environment: Any, start_exchange: Any, capfd: Any
) -> None:
    exchange = start_exchange()
    clean_environment.setenv("EVENTSAVER_SYMBOLS", "DOGEUSDT")
    clean_environment.setenv("EVENTSAVER_ENVIRONMENT", exchange.url)
    assert main([]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("event_saver: EVENTSAVER_SYMBOLS: ")
    assert "DOGEUSDT" in line


def test_a_file_that_is_not_there_and_help(clean_environment: Any, capfd: Any) -> None:
    assert main(["--config", "nothing.env"]) == 1
    assert "there is no such file" in capfd.readouterr().err
    assert main(["--help"]) == 0
    assert "Exit codes" in capfd.readouterr().out
    assert main(["--nonsense"]) == 1


def test_settings_come_from_file_and_environment(clean_environment: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.env"
    file.write_text(
        "# text\nEVENTSAVER_SYMBOLS=btcusdt, ETHUSDT,BTCUSDT\nEVENTSAVER_BATCH_SIZE=7\n"
    )
    clean_environment.setenv("EVENTSAVER_BATCH_SIZE", "8")
    config = load_config(file)
    assert config.get_symbols() == ["BTCUSDT", "ETHUSDT"]
    assert config.batch_size == 8
    assert config.get_environment().name == "testnet"
    assert config.get_archive_url() is None
    assert EventSaverConfig(testnet=False).get_archive_url() == "https://public.bybit.com/trading"
    assert (config.flush_interval, config.gap_threshold_seconds) == (5.0, 5.0)
    shown = repr(EventSaverConfig(api_key="topsecret", api_secret="topsecret"))  # type: ignore[arg-type]  # pydantic makes the secrets
    assert "topsecret" not in shown
    file.write_text("EVENTSAVER_NONSENSE=1\n")
    with pytest.raises(ConfigError, match="EVENTSAVER_NONSENSE is no setting"):
        load_config(file)


def test_the_example_file_can_be_used() -> None:
    root = Path(__file__).parents[3]
    config = load_config(root / "conf" / "event_saver.env.example")
    assert config.get_symbols()


@on_sqlite
def test_garbage_collection_leaves_alone_what_was_imported(
    clean_environment: Any, database: DatabaseFactory, start_exchange: Any, settings_file: Any
) -> None:
    exchange = start_exchange()
    interval = sys.getswitchinterval()

    def end() -> None:
        try:
            eventually(lambda: connections(exchange) == 2)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # the command runs here, on the main thread

    threading.Thread(target=end).start()
    try:
        assert main(["--config", str(settings_file(database, exchange))]) == 0
        assert gc.get_freeze_count() > 50_000
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


def test_it_starts_as_a_module(clean_environment: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "event_saver.main"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("event_saver: there are no symbols")
