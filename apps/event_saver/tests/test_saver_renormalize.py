"""Repair from raw JSON: rows that were read wrongly become what the exchange said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from event_saver.renormalize import main
from grid_db import DatabaseFactory, TenantScope, UserRepository


async def capture(world: Callable[..., Any]) -> tuple[Any, Any]:
    exchange, saver, contexts, stored = world()
    await saver.add_account(contexts[0])
    await saver.start()
    end = time.monotonic() + 10
    while not all(one["is_connected"] for one in saver.get_stats()["streams"].values()):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    for _ in range(4):
        exchange.trade_some(3)
        await asyncio.sleep(0.1)
    exchange.halt()
    await asyncio.sleep(0.5)
    assert await saver.flushed()
    await saver.stop()
    return contexts[0], stored


def rows_of(database: DatabaseFactory, context: Any) -> dict[str, list[Any]]:
    with database.get_session() as session:
        scope = TenantScope(session, context.user_id)
        return {
            "executions": list(scope.executions.iterate_by_account(context.account_id)),
            "orders": scope.orders.get_by_run_range(context.run_id),
            "positions": [
                one
                for symbol in context.symbols
                for one in scope.positions.get_by_account_range(context.account_id, symbol)
            ],
            "wallet": scope.wallets.get_by_account_range(context.account_id),
        }


async def test_wrong_rows_are_repaired_and_right_ones_stay(
    world: Callable[..., Any], database: DatabaseFactory, capsys: Any
) -> None:
    context, _ = await capture(world)
    right = rows_of(database, context)
    assert all(right.values())
    url = database.engine.url.render_as_string(hide_password=False)
    command = ["--database-url", url, "--user", "alice"]
    command += [part for symbol in context.symbols for part in ("--symbol", symbol)]
    assert await asyncio.to_thread(main, command) == 0
    assert rows_of(database, context) == right
    assert capsys.readouterr().out.count(", 0 changed, 0 unreadable") == 4
    wrong = {
        "executions": replace(right["executions"][0], exec_price=Decimal(1), is_maker=None),
        "orders": replace(right["orders"][0], status="New", qty=Decimal(9)),
        "positions": replace(right["positions"][0], size=Decimal(7)),
        "wallet": replace(right["wallet"][0], equity=None),
    }
    with database.get_session() as session:
        scope = TenantScope(session, context.user_id)
        scope.executions.bulk_replace([wrong["executions"]])
        scope.orders.bulk_replace([wrong["orders"]])
        scope.positions.bulk_replace([wrong["positions"]])
        scope.wallets.bulk_replace([wrong["wallet"]])
    assert rows_of(database, context) != right
    assert await asyncio.to_thread(main, [*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.count(" 1 would change") == 4
    assert await asyncio.to_thread(main, command) == 0
    assert rows_of(database, context) == right


def test_wrong_arguments_are_told(database: DatabaseFactory, capsys: Any) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    for more, sentence in (
        (["--user", "nobody"], "there is no user 'nobody'"),
        (["--user", "a", "--kind", "b"], "--kind 'b' is unknown"),
    ):
        assert main(["--database-url", url, *more]) == 1
        assert sentence in capsys.readouterr().err
    assert main(["--database-url", "mysql://h/d", "--user", "a"]) == 1
    assert "renormalize: " in capsys.readouterr().err
    with database.get_session() as session:
        UserRepository(session).get_or_create("alice")
    assert main(["--database-url", url, "--user", "alice", "--kind", "positions"]) == 1
    assert "name them with --symbol" in capsys.readouterr().err
    assert main(["--database-url", url, "--user", "alice"]) == 0
    out, err = capsys.readouterr()
    assert "positions: left out" in err
    assert "positions" not in out


def test_help_names_the_kinds_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--database-url", "sqlite://", "--user", "alice", "--kind", "nonsense"]) == 1
    kinds = capsys.readouterr().err.rpartition("take one of ")[2].strip()
    assert main(["--help"]) == 0
    assert kinds in " ".join(capsys.readouterr().out.split())
