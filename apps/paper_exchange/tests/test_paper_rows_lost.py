"""Rows that one channel does not tell, items of a batch that fail, answers nobody waits for."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from pydantic import ValidationError
from websocket import create_connection

from gridcore import SideType
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.stream.session import Channel
from testkit.paper import PaperHost, PaperWorld, order_params, signed

pytestmark = pytest.mark.exchange(priced=True)

CREATE, BATCH = "/v5/order/create", "/v5/order/create-batch"


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def fault(world: PaperWorld, kind: str, **more: Any) -> int:
    step = ACTION.validate_python({"do": "fault", "kind": kind, **more})
    return int(world.control.run(step)["number"])


def adl(world: PaperWorld) -> None:
    step = {"do": "adl", "account": "one", "symbol": "BTCUSDT", "direction": "long"}
    world.control.run(ACTION.validate_python({**step, "qty": "0.01"}))


def types(rows: list[dict[str, Any]]) -> list[str]:
    return [row["execType"] for row in rows]


def test_only_rest_tells_of_a_forced_close(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "execution")
    fault(world, "lose", channel="private", where={"execType": ["BustTrade", "AdlTrade"]})
    world.place(price=None, qty="0.05")
    adl(world)
    assert types(stream.rows("execution")) == ["Trade"]
    assert types(world.get("/v5/execution/list")["list"]) == ["AdlTrade", "Trade"]
    # what is not meant comes as ever
    world.place(price=None, qty="0.01")
    assert types(stream.rows("execution")) == ["Trade", "Trade"]


def test_only_the_stream_tells_of_funding_for_a_while(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "execution")
    world.place(price=None, qty="0.05")
    due = world.exchange.market("BTCUSDT").next_funding_ms
    assert due is not None
    world.advance(due - world.exchange.now_ms)
    fault(world, "hide", match="execution/list", where={"execType": "Funding"}, duration_s=60)
    assert types(stream.rows("execution")) == ["Trade", "Funding"]
    assert types(world.get("/v5/execution/list")["list"]) == ["Trade"]
    assert world.get("/v5/execution/list", execType="Funding")["list"] == []
    # the log of money is another list
    assert world.get("/v5/account/transaction-log", type="SETTLEMENT")["list"]
    world.advance(60_000)
    assert types(world.get("/v5/execution/list")["list"]) == ["Funding", "Trade"]


def test_hidden_rows_take_no_place_on_a_page(world: PaperWorld) -> None:
    ids = [world.place(price=str(59_000 - step)) for step in range(12)]
    hidden = ids[1::2]
    fault(world, "hide", match="order/realtime", where={"orderId": hidden})
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = world.get("/v5/order/realtime", symbol="BTCUSDT", limit=2, cursor=cursor)
        assert len(page["list"]) == 2
        seen += [row["orderId"] for row in page["list"]]
        cursor = page["nextPageCursor"]
    assert seen == ids[::2][::-1]
    assert cursor == ""
    by_id = world.get("/v5/order/realtime", symbol="BTCUSDT", orderId=ids[1])
    assert by_id["list"] == []


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v5/position/list", {"symbol": "BTCUSDT"}),
        ("/v5/order/history", {}),
        ("/v5/position/closed-pnl", {}),
        ("/v5/account/wallet-balance", {"accountType": "UNIFIED"}),
        ("/v5/market/instruments-info", {}),
        ("/v5/market/risk-limit", {}),
    ],
)
def test_without_where_a_list_is_empty(
    world: PaperWorld, path: str, params: dict[str, Any]
) -> None:
    world.place(price=None, qty="0.05")
    world.place(side="Sell", price=None, qty="0.02")
    assert world.get(path, **params)["list"]
    fault(world, "hide", match=path.removeprefix("/v5/"), count=1)
    assert world.get(path, **params)["list"] == []
    assert world.get(path, **params)["list"]


def test_all_fields_of_where_have_to_fit_and_a_flag_is_a_word(world: PaperWorld) -> None:
    world.place(price="59000", orderLinkId="buy")
    world.place(price=None, qty="0.05")
    world.place(side="Sell", price="61000", orderLinkId="sell")
    fault(world, "hide", match="realtime", where={"side": "Sell", "reduceOnly": "true"})
    rows = world.get("/v5/order/realtime", symbol="BTCUSDT")["list"]
    assert [row["orderLinkId"] for row in rows] == ["buy"]


def test_where_strikes_frames_that_have_such_a_row(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "order")
    fault(world, "duplicate", match="order", where={"orderStatus": "Cancelled"})
    order_id = world.place(price="59000")
    world.post("/v5/order/cancel", {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id})
    world.advance(5)
    assert [row["orderStatus"] for row in stream.rows("order")] == ["New", "Cancelled", "Cancelled"]


def test_rows_are_taken_out_of_a_frame_with_others(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "position")
    fault(world, "lose", match="position", where={"positionIdx": "2"})
    body = {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "7", "sellLeverage": "7"}
    world.post("/v5/position/set-leverage", body)
    (frame,) = stream.topic("position")
    assert [row["positionIdx"] for row in frame["data"]] == [1]


def test_a_ticker_is_one_row(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    fault(world, "lose", channel="public", where={"lastPrice": "60100.00"})
    for price in ("60100", "60200"):
        world.trade(price)
        world.advance(200)
    prices = [frame["data"].get("lastPrice") for frame in stream.topic("tickers.BTCUSDT")]
    assert prices[1:] == ["60200.00"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "silence", "where": {"execType": "Trade"}},
        {"kind": "http_error", "where": {"execType": "Trade"}},
        {"kind": "lose", "where": {"execType": []}},
        {"kind": "lose", "where": "execType"},
        {"kind": "hide", "match": "market/time"},
        {"kind": "hide", "channel": "public"},
        {"kind": "batch_items", "match": "order/realtime"},
        {"kind": "batch_items", "every": 0},
    ],
)
def test_what_would_do_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python({"do": "fault", **wrong})


# batches


def batch(world: PaperWorld, count: int = 4) -> tuple[list[int], list[str]]:
    items = [
        {name: value for name, value in order_params(price=str(59_000 - step)).items()
         if name != "category"}
        for step in range(count)
    ]  # fmt: skip
    reply = world.reply("POST", BATCH, {"category": "linear", "request": items})
    assert reply.envelope["retCode"] == 0
    world.advance(5)
    codes = [one["code"] for one in reply.envelope["retExtInfo"]["list"]]
    return codes, [one["orderId"] for one in reply.envelope["result"]["list"]]


@pytest.mark.parametrize("executed", [False, True])
def test_every_second_item_of_a_batch_fails(world: PaperWorld, executed: bool) -> None:
    fault(world, "batch_items", match="create-batch", code=10006, message="Too many visits!",
          count=1, executed=executed)  # fmt: skip
    codes, ids = batch(world)
    assert codes == [0, 10006, 0, 10006]
    assert [bool(one) for one in ids] == [True, False, True, False]
    assert len(world.account.open_orders) == (4 if executed else 2)
    codes, _ = batch(world, 2)
    assert codes == [0, 0]


def test_a_whole_batch_fails_item_by_item(world: PaperWorld) -> None:
    fault(world, "batch_items", every=1, code=110007)
    codes, _ = batch(world, 3)
    assert codes == [110007] * 3
    assert world.code("POST", CREATE, order_params()) == 0


def test_items_fail_over_the_trade_stream_too(world: PaperWorld) -> None:
    stream = world.stream(Channel.TRADE)
    fault(world, "batch_items", match="create-batch", code=10006)
    item = {name: value for name, value in order_params().items() if name != "category"}
    stream.say(
        {
            "op": "order.create-batch",
            "reqId": "1",
            "header": {"X-BAPI-TIMESTAMP": str(world.exchange.now_ms)},
            "args": [{"category": "linear", "request": [item, item]}],
        }
    )
    assert [one["code"] for one in stream.frames[-1]["retExtInfo"]["list"]] == [0, 10006]


# answers that nobody waits for


def post(host: PaperHost, timeout: float, **order: Any) -> requests.Response:
    request = signed("POST", CREATE, order_params(**order), time.time_ns() // 1_000_000)
    given = request.credentials
    headers = {
        "X-BAPI-API-KEY": given.key,
        "X-BAPI-TIMESTAMP": given.timestamp,
        "X-BAPI-RECV-WINDOW": given.window,
        "X-BAPI-SIGN": given.sign,
    }
    return requests.post(
        f"{host.base_url}{CREATE}", data=request.body, headers=headers, timeout=timeout
    )


def add(host: PaperHost, kind: FaultKind, **more: Any) -> None:
    host.do(lambda: host.parts.faults.add(FaultRule(kind=kind, match="create", count=1, **more)))


def orders(host: PaperHost) -> int:
    return host.do(lambda: len(host.exchange.accounts["one"].open_orders))


@pytest.mark.parametrize("executed", [False, True])
def test_a_call_is_carried_out_though_its_client_has_gone(host: PaperHost, executed: bool) -> None:
    add(host, FaultKind.LATENCY, delay_ms=700, executed=executed)
    # the timeout closes the connection under the waiting call
    with pytest.raises(requests.Timeout):
        post(host, 0.2, price="59000")
    assert orders(host) == (1 if executed else 0)
    end = time.monotonic() + 5
    while orders(host) != 1:
        assert time.monotonic() < end
        time.sleep(0.02)
    # and the exchange goes on
    time.sleep(0.6)
    assert post(host, 5, price="58000").json()["retCode"] == 0


def test_a_late_answer_comes_to_who_still_waits(host: PaperHost) -> None:
    add(host, FaultKind.LATENCY, delay_ms=400, executed=True)
    begun = time.monotonic()
    assert post(host, 5, price="59000").json()["retCode"] == 0
    assert time.monotonic() - begun > 0.39


@pytest.mark.parametrize("executed", [False, True])
def test_a_connection_is_reset_instead_of_an_answer(host: PaperHost, executed: bool) -> None:
    add(host, FaultKind.RESET, executed=executed)
    with pytest.raises(requests.ConnectionError):
        post(host, 5, price="59000")
    assert orders(host) == (1 if executed else 0)
    ws = create_connection(f"{host.ws_url}/v5/public/linear", timeout=5)
    ws.close()
