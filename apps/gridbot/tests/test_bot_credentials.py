"""Keys and alerts in the database, SQLite and PostgreSQL where they differ."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grid_db import (
    AlertSeverity,
    DatabaseFactory,
    DatabaseSettings,
    Environment,
    TenantScope,
    UserRepository,
    generate_key,
    user_id_for,
)
from gridbot.alerts.alert_journal import DatabaseAlerts
from gridbot.alerts.alerts import AlertKey
from gridbot.alerts.notifier import Notifier
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import ConfigFileError, load_gridbot_config

TEXT = """accounts:
  - {name: main, environment: testnet}
strategies:
  - {strat_id: btc, account: main, symbol: BTCUSDT}
database_url: sqlite:///FOLDER/g.db
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "g.yaml"
    path.write_text(TEXT.replace("FOLDER", str(tmp_path)))
    return path


def run(path: Path, typed: str, secret_key: str, *more: str) -> tuple[int, str]:
    """Run the command; return its exit code and all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "gridbot.credentials", "--config", str(path), *more],
        input=typed,
        env={**os.environ, "GRIDBOT_SECRET_KEY": secret_key},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_keys_are_stored_used_and_deleted(path: Path) -> None:
    key = generate_key()
    code, told = run(path, "the-key\nthe-5ecret\n", key, "--account", "main")
    assert code == 0, told
    assert "stored for account main (testnet)" in told
    assert "the-5ecret" not in told
    keys = load_gridbot_config(path, {"GRIDBOT_SECRET_KEY": key}).account("main").keys
    assert keys is not None
    assert keys.api_secret.get_secret_value() == "the-5ecret"
    assert b"the-5ecret" not in (path.parent / "g.db").read_bytes()
    assert run(path, "", key, "--account", "main", "--delete") == (0, "deleted\n")
    with pytest.raises(ConfigFileError, match="store them"):
        load_gridbot_config(path, {"GRIDBOT_SECRET_KEY": key})


@pytest.mark.parametrize(
    ("typed", "has_key", "account", "fault"),
    [
        ("k-1234\ns-1234\n", False, "main", "there is no secret key"),
        ("k-1234\n\n", True, "main", "credentials: api_secret is empty"),
        ("", True, "other", "other is no account of"),
    ],
)
def test_what_cannot_be_stored_is_told(
    path: Path, typed: str, has_key: bool, account: str, fault: str
) -> None:
    key = generate_key() if has_key else ""
    code, told = run(path, typed, key, "--account", account)
    assert code == 1
    assert fault in told
    assert "1234" not in told
    assert "Traceback" not in told


@pytest.fixture
def config(path: Path) -> GridbotConfig:
    text = path.read_text().replace("testnet}", "testnet, api_key: k-12, api_secret: s-12}")
    path.write_text(text)
    return load_gridbot_config(path, {})


@pytest.fixture
def database(config: GridbotConfig) -> DatabaseFactory:
    database = DatabaseFactory(DatabaseSettings(database_url=config.database_url))
    database.create_tables()
    with database.get_session() as session:
        user = UserRepository(session).get_or_create(config.user)
    with database.get_session() as session:
        scope = TenantScope(session, user.id)
        account = scope.accounts.get_or_create("main", Environment.TESTNET)
        scope.strategies.save(account.id, "btc", "BTCUSDT", {})
    return database


class Told:
    """Takes every text."""

    def send(self, text: str) -> None:
        """Take it."""


def test_alerts_are_kept_with_whom_they_are_about(
    config: GridbotConfig, database: DatabaseFactory
) -> None:
    notifier = Notifier(Told(), journal=DatabaseAlerts(config, database))
    notifier.start()
    notifier.alert(AlertKey.STRATEGY_BLOCKED, "no balance", about="btc")
    notifier.alert(AlertKey.AUTH_ERROR, "key expired", about="main")
    notifier.alert(AlertKey.BOT_STARTED, "hello")
    notifier.close()
    with database.get_session() as session:
        scope = TenantScope(session, user_id_for(config.user))
        kept = {alert.alert_key: alert for alert in scope.alerts.list_recent()}
        assert scope.alerts.get_undelivered() == []
    database.dispose()
    assert kept["strategy_blocked"].strategy_id
    assert kept["strategy_blocked"].account_id == kept["auth_error"].account_id
    assert kept["auth_error"].strategy_id is None
    assert kept["bot_started"].account_id is None
    assert kept["bot_started"].severity is AlertSeverity.INFO


def test_alerts_that_nobody_was_told_are_seen(
    config: GridbotConfig, database: DatabaseFactory
) -> None:
    notifier = Notifier(None, journal=DatabaseAlerts(config, database))
    notifier.start()
    notifier.alert(AlertKey.AUTH_ERROR, "key expired: api_secret=5ecret", about="main")
    notifier.close()
    with database.get_session() as session:
        scope = TenantScope(session, user_id_for(config.user))
        (alert,) = scope.alerts.get_undelivered()
        assert alert.message == "key expired: api_secret=***"
        assert alert.raised_at <= datetime.now(UTC)
    database.dispose()


class Broken:
    """A database that is away."""

    def add(self, alert: object) -> int | None:
        raise OSError("away")

    def mark_delivered(self, number: int, at: datetime) -> None:
        raise OSError("away")


def test_a_database_that_is_away_silences_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    notifier = Notifier(Told(), journal=Broken())
    notifier.start()
    notifier.alert(AlertKey.DATABASE_DOWN, "cannot write")
    notifier.close()
    assert notifier.sent == 1
    assert "could not be stored" in caplog.text


class Listening:
    """Takes every text, and tells when the first one came."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def send(self, text: str) -> None:
        """Take it."""
        self.heard.set()


def test_a_database_that_hangs_delays_nobody_and_gets_the_alert_later(
    config: GridbotConfig, database: DatabaseFactory
) -> None:
    path = config.database_url.get_secret_value().removeprefix("sqlite:///")
    listening = Listening()
    notifier = Notifier(listening, journal=DatabaseAlerts(config, database))
    notifier.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        notifier.alert(AlertKey.LIQUIDATION_OR_ADL, "gone", about="btc")
        assert listening.heard.wait(2)
        other.execute("ROLLBACK")
    notifier.close()
    with database.get_session() as session:
        alerts = TenantScope(session, user_id_for(config.user)).alerts
        assert [one.message for one in alerts.list_recent()] == ["gone"]
        assert alerts.get_undelivered() == []
    database.dispose()
