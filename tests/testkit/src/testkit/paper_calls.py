"""Calls of the local exchange that several tests make: actions, orders, contracts, wallet."""

from __future__ import annotations

from typing import Any

import pytest

from exchange_model.rules.codes import RefusalError
from paper_exchange.host.control import ACTION
from testkit.paper import CREATE, PaperWorld, order_params

INFO = "/v5/market/instruments-info"


def run(world: PaperWorld, **action: Any) -> dict[str, Any]:
    return world.control.run(ACTION.validate_python(action))


def refused_action(world: PaperWorld, match: str, **action: Any) -> None:
    with pytest.raises(RefusalError, match=match):
        run(world, **action)


def info(world: PaperWorld, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.get(INFO, **params)["list"]
    return rows


def code(world: PaperWorld, **order: Any) -> int:
    return world.code("POST", CREATE, order_params(**order))


def by_id(order_id: str, **more: Any) -> dict[str, Any]:
    return {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id, **more}


def wallet(world: PaperWorld) -> dict[str, Any]:
    row: dict[str, Any] = world.get("/v5/account/wallet-balance", accountType="UNIFIED")["list"][0]
    return row


def refused(world: PaperWorld, **order: Any) -> tuple[int, str]:
    envelope = world.reply("POST", CREATE, order_params(**order)).envelope
    return envelope["retCode"], envelope["retMsg"]
