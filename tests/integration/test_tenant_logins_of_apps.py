"""Bot and capture with a database login that serves one user."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from event_saver.daemon import open_database
from event_saver.settings.config import EventSaverConfig
from grid_db import (
    DatabaseFactory,
    Environment,
    RunStatus,
    RunType,
    TenantError,
    TenantScope,
    logins,
    user_id_for,
)
from grid_db.testing import EmbeddedPostgres, settings_for
from gridbot.alerts.alerts import LoggedAlerts
from gridbot.records.recorder import Recorder

pytestmark = pytest.mark.integration


@pytest.fixture
def own(postgres_server: EmbeddedPostgres) -> Iterator[URL]:
    """The URL of alice's own login on a database with tables."""
    url = postgres_server.create_database(with_tables=True)
    login = f"alice_{url.database}"
    with DatabaseFactory(settings_for(url)) as database:
        with database.get_session() as session:
            logins.create(session, "alice", login, SecretStr("nobody asks for it"), connections=9)
        yield url.set(username=login)
        with database.get_session() as session:
            logins.drop(session, login)
    postgres_server.drop_database(url)


def test_a_bot_records_with_the_login_of_its_user(own: URL, tmp_path: Path) -> None:
    with DatabaseFactory(settings_for(own)) as database:
        database.create_tables()
        recorder = Recorder(database, "alice", tmp_path, LoggedAlerts(), save_market=False)
        for account in ("main", "second"):  # several accounts of one user, one login
            run = recorder.begin_run(
                account, Environment.TESTNET, "btc", "BTCUSDT", RunType.LIVE, {"step": "0.2"}
            )
            assert run.owner.user_id == user_id_for("alice")

        async def record() -> None:
            recorder.start()
            await asyncio.to_thread(recorder.close, {})

        asyncio.run(record())
        with database.get_session() as session:
            scope = TenantScope(session, user_id_for("alice"))
            assert {one.status for one in scope.runs.get_by_user_id()} == {RunStatus.COMPLETED}


def test_market_data_of_all_is_not_a_tenants_to_write_and_that_is_said_at_the_start(
    own: URL, tmp_path: Path
) -> None:
    sentence = r"serves user 'alice' alone and only reads market data.*let a trusted login"
    with (
        DatabaseFactory(settings_for(own)) as database,
        pytest.raises(TenantError, match=sentence),
    ):
        Recorder(database, "alice", tmp_path, LoggedAlerts(), save_market=True)
    settings = EventSaverConfig(
        symbols="BTCUSDT",
        database_url=SecretStr(own.render_as_string(hide_password=False)),
        spool_dir=tmp_path / "spool",
    )
    with pytest.raises(TenantError, match=sentence):
        open_database(settings)


def test_a_bot_of_another_user_is_told_whose_login_it_has(own: URL, tmp_path: Path) -> None:
    with (
        DatabaseFactory(settings_for(own)) as database,
        pytest.raises(TenantError, match="serves user 'alice' alone, not 'bob'; take the login"),
    ):
        Recorder(database, "bob", tmp_path, LoggedAlerts(), save_market=False)
