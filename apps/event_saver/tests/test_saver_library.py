"""The daemon as a library: made complete, started once it is wanted, accounts by one call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from event_saver import AccountContext, EventSaver, EventSaverConfig
from event_saver.collectors.progress import Progress
from event_saver.reconcile import archive
from event_saver.reconcile.reconciler import Patience, RestPatience
from event_saver.settings import config
from event_saver.spool import Spool, SpoolError
from grid_db import DatabaseFactory
from gridcore import ConfigError
from market_data.download.download import NotPublishedError
from testkit.saver_run import is_up
from testkit.waiting import until

pytestmark = pytest.mark.integration

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@on_sqlite
async def test_as_a_user_writes_it(
    database: DatabaseFactory, start_exchange: Any, make_contexts: Any, tmp_path: Path
) -> None:
    exchange = start_exchange(per_s=30)
    alice, bob = make_contexts(database, exchange)
    settings = EventSaverConfig(
        symbols="BTCUSDT,ETHUSDT",
        environment=exchange.url,
        spool_dir=str(tmp_path / "spool"),
        flush_interval=0.2,
        metrics_port=None,
    )
    saver = EventSaver(config=settings, db=database)
    saver.add_account(
        AccountContext(
            account_id=alice.account_id,
            user_id=alice.user_id,
            run_id=alice.run_id,
            api_key="alice-key",
            api_secret="alice-secret",
            environment=exchange.environment,
            symbols=["BTCUSDT"],
        )
    )
    await saver.start()
    saver.add_account(bob)
    await until(lambda: len(saver.get_stats()["streams"]) == 3 and is_up(saver))
    exchange.trade_some(5)
    await until(lambda: saver.get_stats()["writers"]["orders"]["received"] > 0)
    await saver.stop()
    assert saver.get_stats()["losses_waiting"] == 0


@on_sqlite
async def test_an_account_is_added_and_removed_with_await_and_without_and_from_a_thread(
    world: Callable[..., Any],
) -> None:
    exchange, saver, (alice, bob), _ = world(per_s=30)
    carol = replace(alice, account_id="00000000-0000-4000-8000-00000000000c", run_id=None)
    await saver.add_account(alice)
    thread = threading.Thread(target=saver.add_account, args=(bob,))
    thread.start()
    thread.join()
    assert saver.contexts == [alice, bob]
    await saver.start()
    assert len(saver.get_stats()["streams"]) == 3

    removed: list[bool] = []

    def on_a_thread() -> None:
        saver.add_account(carol).result(20)
        removed.append(saver.remove_account(alice.account_id).result(20))
        removed.append(saver.remove_account(alice.account_id).result(20))

    await asyncio.to_thread(on_a_thread)
    assert removed == [True, False]
    assert saver.contexts == [bob, carol]
    assert len(saver.get_stats()["streams"]) == 3
    # what is asked for in one breath happens in that order
    saver.add_account(alice)
    saver.remove_account(alice.account_id)
    saver.add_account(alice)
    assert await saver.remove_account(bob.account_id) is True
    await until(lambda: len(saver.get_stats()["streams"]) == 3)
    await saver.stop()
    sessions = exchange.call(lambda: list(exchange.parts.hub.sessions.values()))
    assert [one for one in sessions if one.account is not None] == []


@on_sqlite
async def test_what_is_wrong_with_an_account_is_said_at_once(world: Callable[..., Any]) -> None:
    _, saver, (alice, _), _ = world()
    saver.add_account(alice)
    with pytest.raises(ValueError, match="is captured already"):
        saver.add_account(replace(alice, symbols=["LTCUSDT"]))
    saver.add_account(alice)  # who asks twice has what was asked for
    assert await saver.remove_account(alice.account_id) is True
    assert await saver.remove_account(alice.account_id) is False


@on_sqlite
async def test_the_daemon_is_complete_before_it_is_started_and_leaves_the_folder_alone(
    world: Callable[..., Any], tmp_path: Path
) -> None:
    _, saver, _, _ = world()
    assert saver.get_stats()["streams"] == {}
    assert not (tmp_path / "spool").exists()
    taken = Spool(tmp_path / "spool")
    with pytest.raises(SpoolError, match="in use by another process"):
        await saver.start()
    taken.close()
    await saver.start()
    with pytest.raises(RuntimeError, match="it runs already"):
        await saver.start()
    await until(lambda: is_up(saver))
    await saver.stop()
    await saver.start()  # once more
    await until(lambda: is_up(saver))
    assert saver.get_stats()["is_writing"]
    await saver.stop()


def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"))
    assert spool.folder == tmp_path / "spool"
    spool.close()
    Progress(str(tmp_path / "spool")).save()
    assert (tmp_path / "spool" / "progress.json").exists()


def test_former_names_are_the_same_classes() -> None:
    assert Patience is RestPatience
    assert archive.NotPublishedError is NotPublishedError
    assert config.ConfigError is ConfigError
