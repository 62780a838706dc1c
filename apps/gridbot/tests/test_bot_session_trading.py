"""A whole session over sockets: fills, books, records, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory
from gridbot.words.snapshot import RunState
from testkit.bot_host import (
    Mover,
    RunningBot,
    StoredFacts,
    Witness,
    bot_file,
    bot_settings,
    executions_of,
    status_of,
)
from testkit.children import Children
from testkit.paper import PaperHost
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


def settings_on(database: DatabaseFactory, folder: Path, host: PaperHost, **more: Any) -> Any:
    url = database.engine.url.render_as_string(hide_password=False)
    return bot_settings(folder, host.server.port, database_url=url, **more)


@pytest.mark.slow
def test_a_session_ends_with_the_books_of_the_exchange(
    host: PaperHost, database: DatabaseFactory, tmp_path: Path
) -> None:
    witness = Witness(host)
    with Mover(host) as mover, RunningBot(settings_on(database, tmp_path, host)) as running:
        eventually(lambda: len(executions_of(host)) >= 25, what="fills")
        mover.pause()
        eventually(lambda: running.disagreements(host, fees=True) == [], 10, "equal books")
        (one,) = running.do(running.bot.snapshot).strategies
        account = host.exchange.accounts["one"].money
        assert one.pnl.realised == pytest.approx(account.realised_pnl)
        last = running.stop()
    assert witness.problems == []
    assert last.state is RunState.STOPPED
    assert one.counts.fills == len(executions_of(host))
    stored = StoredFacts(database)
    assert sorted(stored.executions()) == sorted(executions_of(host))
    assert stored.runs() == {"completed": 1}
    assert status_of(tmp_path)["state"] == "stopped"
    assert Decimal(status_of(tmp_path)["accounts"][0]["wallet_balance"]) == account.wallet


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_in_order(
    host: PaperHost, tmp_path: Path, children: Children, number: signal.Signals
) -> None:
    file = bot_file(tmp_path, bot_settings(tmp_path, host.server.port))
    with Mover(host):
        child = children.start("--config", str(file), output=tmp_path / "out.txt")
        eventually(lambda: len(executions_of(host)) > 5, what="fills")
        assert child.pid is not None
        os.kill(child.pid, number)
        begun = time.monotonic()
        child.join(20)
        assert time.monotonic() - begun < 15
    assert child.exitcode == 0
    assert status_of(tmp_path)["state"] == "stopped"
    text = (tmp_path / "out.txt").read_text()
    assert "Traceback" not in text
    assert "test-secret" not in text
