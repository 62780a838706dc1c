"""What was done by hand outlives the exchange."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gridcore import SideType
from paper_exchange.host.state_file import StateFileError, read_state, restore, write_state
from testkit.paper import (
    PaperWorld,
    paper_account,
    paper_market,
)
from testkit.paper_calls import wallet


def test_margin_mode_and_mnt_outlive_the_exchange(tmp_path: Path) -> None:
    world = PaperWorld(accounts=[paper_account(mnt="20")])
    world.trade("60000.0", SideType.BUY)
    world.place(price=None, qty="0.05")
    world.run(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
    path = tmp_path / "state.json"
    write_state(path, world.exchange, epoch=0)
    state = read_state(path)
    assert state is not None
    again = PaperWorld(start_ms=state.saved_ms)
    restore(again.exchange, state)
    again.trade("60000.0", SideType.BUY)
    assert again.account.mnt == world.account.mnt
    assert again.get("/v5/account/info") == world.get("/v5/account/info")
    assert wallet(again) == wallet(world)
    for path_ in ("/v5/execution/list", "/v5/account/transaction-log", "/v5/order/history"):
        assert again.get(path_)["list"] == world.get(path_)["list"]


NEW_FIELDS = {
    "": ("markets",),
    "account": ("margin_mode", "margin_mode_ms", "mnt"),
    "order": ("fee_mnt",),
    "execution": ("fee_coin",),
    "entry": ("currency",),
}


def test_a_file_of_the_version_before_is_read(world: PaperWorld, tmp_path: Path) -> None:
    world.place(price=None, qty="0.05")
    world.place(price="59000")
    path = tmp_path / "state.json"
    write_state(path, world.exchange, epoch=0)
    content = orjson.loads(path.read_bytes())
    content["version"] = 1
    (saved,) = content["accounts"].values()
    for kind, rows in (
        ("", [content]),
        ("account", [saved]),
        ("order", [*saved["open_orders"], *saved["closed_orders"]]),
        ("execution", saved["executions"]),
        ("entry", saved["ledger"]),
    ):
        for row in rows:
            for name in NEW_FIELDS[kind]:
                del row[name]
    path.write_bytes(orjson.dumps(content))
    state = read_state(path)
    assert state is not None
    again = PaperWorld([paper_market(), paper_market("ETHUSDT")], start_ms=state.saved_ms)
    restore(again.exchange, state)
    again.trade("60000.0", SideType.BUY)
    assert again.position(1) == world.position(1)
    assert again.get("/v5/execution/list") == world.get("/v5/execution/list")
    path.write_bytes(orjson.dumps({**content, "version": 3}))
    with pytest.raises(StateFileError, match="version 3"):
        read_state(path)
