"""The bot's record: what is lost on the way or was not received is a gap, and people are told."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from event_saver.spool.rows import EXECUTIONS, Batch
from event_saver.spool.spool import Spool
from grid_db import (
    CaptureStream,
    DatabaseFactory,
    DatabaseSettings,
    GapStatus,
    TenantScope,
    user_id_for,
)
from grid_db.testing_rows import execution
from gridbot.alerts.alerts import AlertKey
from paper_exchange.host.control import ACTION
from testkit.bot_host import (
    Mover,
    RunningBot,
    StoredFacts,
    bot_file,
    bot_settings,
    executions_of,
    status_of,
)
from testkit.children import Children
from testkit.paper import PaperHost
from testkit.provokes import provokes
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of some megabytes, for database and state."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "small", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - as mount above


def opened(folder: Path) -> DatabaseFactory:
    url = f"sqlite:///{folder / 'bot.db'}"
    return DatabaseFactory(DatabaseSettings(database_url=url))  # type: ignore[arg-type]  # a str will do


def gaps(database: DatabaseFactory) -> list[Any]:
    with database.get_session() as session:
        return TenantScope(session, user_id_for("default")).capture_gaps.find()


def orders(database: DatabaseFactory) -> dict[str, str]:
    """Return the last stored status of each order."""
    with database.get_session() as session:
        scope = TenantScope(session, user_id_for("default"))
        found = [
            one
            for run in scope.runs.get_by_user_id(limit=1_000)
            for one in scope.orders.get_by_run_range(run.id)
        ]
    return {one.order_id: one.status for one in sorted(found, key=lambda one: one.exchange_ts)}


def strike(host: PaperHost, step: dict[str, Any]) -> None:
    host.do(lambda: host.control.run(ACTION.validate_python(step)))


def moments_of(host: PaperHost) -> dict[str, float]:
    return host.do(
        lambda: {one.exec_id: one.ts_ms / 1000 for one in host.exchange.accounts["one"].executions}
    )


@pytest.mark.slow
def test_a_full_disk_leaves_a_gap_of_the_account_and_somebody_is_told(
    host: PaperHost, small_disk: Path
) -> None:
    settings = bot_settings(small_disk, host.server.port)
    with Mover(host) as mover, RunningBot(settings) as running:
        eventually(lambda: len(executions_of(host)) > 5, what="fills")
        ballast = (small_disk / "ballast").open("wb", buffering=0)
        for size in (1 << 16, 1 << 10, 1):
            try:
                while ballast.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
        before = len(executions_of(host))
        eventually(lambda: len(executions_of(host)) > before + 5, what="fills on a full disk")
        eventually(lambda: running.alerts("record_incomplete") > 0, 40, "an alert")
        ballast.close()
        (small_disk / "ballast").unlink()
        database = opened(small_disk)
        eventually(lambda: bool(gaps(database)), 40, "gaps")
        # a fill after the bot has gone would be in neither
        mover.pause()
        time.sleep(2)
    stored = set(StoredFacts(database).executions())
    ledger = [one for one in gaps(database) if one.stream is CaptureStream.EXECUTIONS]
    for exec_id, moment in moments_of(host).items():
        assert exec_id in stored or any(
            gap.gap_start.timestamp() - 0.01 <= moment <= gap.gap_end.timestamp() + 0.01
            for gap in ledger
        ), f"{exec_id} is neither stored nor in a gap"
    assert {gap.symbol for gap in ledger} == {"BTCUSDT"}
    database.dispose()


@provokes(AlertKey.RECORD_INCOMPLETE)
def test_a_corrupt_spool_is_a_gap_and_somebody_is_told(host: PaperHost, tmp_path: Path) -> None:
    settings = bot_settings(tmp_path, host.server.port)
    with Mover(host), RunningBot(settings):
        eventually(lambda: len(executions_of(host)) > 2, what="fills")
    database = opened(tmp_path)
    with database.get_session() as session:
        scope = TenantScope(session, user_id_for("default"))
        account = scope.accounts.list_all()[0].id
        run = scope.runs.get_by_user_id()[0].id
    spool = Spool(tmp_path / "state" / "spool")
    lost = execution(account, run, exec_id="lost")
    spool.append(Batch(EXECUTIONS, user_id_for("default"), [lost]))
    spool.close()
    (path,) = spool.folder.glob("*.spool")
    content = bytearray(path.read_bytes())
    content[random.Random(1).randrange(20, len(content))] ^= 0xFF
    path.write_bytes(content)
    with Mover(host), RunningBot(settings) as running:
        eventually(lambda: bool(gaps(database)), what="a gap")
        eventually(lambda: running.alerts("record_incomplete") > 0, what="an alert")
    gap = next(one for one in gaps(database) if one.reason.startswith("damaged on disk"))
    assert (gap.stream, gap.account_id, gap.symbol) == (
        CaptureStream.EXECUTIONS, account, "BTCUSDT",
    )  # fmt: skip
    assert gap.gap_start == gap.gap_end == lost.exchange_ts
    database.dispose()


@pytest.mark.slow
def test_what_happened_while_the_stream_was_gone_is_recorded(
    host: PaperHost, tmp_path: Path
) -> None:
    """Fills, funding, a forced close, and orders that ended: by REST, as by the stream."""
    settings = bot_settings(tmp_path, host.server.port)
    with Mover(host) as mover, RunningBot(settings) as running:
        eventually(lambda: len(executions_of(host)) > 5, what="fills")
        strike(host, {"do": "fault", "kind": "refuse", "channel": "private", "duration_s": 2})
        strike(host, {"do": "disconnect", "channel": "private", "reset": True})
        time.sleep(0.3)
        before = len(executions_of(host))
        strike(host, {"do": "cancel_orders", "account": "one", "symbol": "BTCUSDT"})
        for direction in ("long", "short"):
            size = host.do(
                lambda d=direction: host.exchange.accounts["one"].books["BTCUSDT"].pair.leg(d).size
            )
            if size > 0:
                strike(host, {"do": "adl", "account": "one", "symbol": "BTCUSDT",
                              "direction": direction, "qty": "0.001"})  # fmt: skip
        assert len(executions_of(host)) > before
        database = opened(tmp_path)
        eventually(
            lambda: set(executions_of(host)[: before + 1]) <= set(
                StoredFacts(database).executions()
            ),
            30,
            "rows of the executions",
        )  # fmt: skip
        mover.pause()
        time.sleep(1.0)

        def ended() -> dict[str, str]:
            return host.do(
                lambda: {
                    one.order_id: one.status.value
                    for one in host.exchange.accounts["one"].closed_orders
                    if not one.status.is_open
                }
            )

        eventually(
            lambda: all(orders(database).get(one) == status for one, status in ended().items()),
            30,
            lambda: str({k: (v, orders(database).get(k)) for k, v in ended().items()
                         if orders(database).get(k) != v}),
        )  # fmt: skip
        assert running.alerts("record_incomplete") == 0
    assert sorted(StoredFacts(database).executions()) == sorted(executions_of(host))
    database.dispose()


@pytest.mark.slow
def test_what_happened_while_the_bot_was_dead_is_recorded_by_the_next_start(
    host: PaperHost, tmp_path: Path
) -> None:
    file = bot_file(tmp_path, bot_settings(tmp_path, host.server.port))
    with Children("gridbot.main") as children, Mover(host) as mover:
        child = children.start("--config", str(file))
        eventually(lambda: len(executions_of(host)) > 5, 40, "fills")
        child.kill()
        child.join(10)
        strike(host, {"do": "cancel_orders", "account": "one", "symbol": "BTCUSDT"})
        cancelled = host.do(
            lambda: [
                one.order_id
                for one in host.exchange.accounts["one"].closed_orders
                if one.status.value == "Cancelled"
            ]
        )
        assert cancelled
        child = children.start("--config", str(file))
        database = opened(tmp_path)
        eventually(lambda: status_of(tmp_path).get("pid") == child.pid, 40, "a second start")
        eventually(
            lambda: all(orders(database).get(one) == "Cancelled" for one in cancelled), 40, "orders"
        )
        mover.pause()
        time.sleep(1.0)
        child.terminate()
        child.join(20)
    assert sorted(StoredFacts(database).executions()) == sorted(executions_of(host))
    assert GapStatus.OPEN not in {one.status for one in gaps(database)}
    database.dispose()
