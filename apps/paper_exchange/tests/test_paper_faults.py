"""Faults on demand: rules on frames and answers, actions, scenarios, the control endpoint."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from pydantic import ValidationError
from websocket import WebSocket, WebSocketConnectionClosedException, create_connection

from exchange_model.rules.codes import RefusalError
from gridcore import SideType
from paper_exchange.host.control import ACTION, Scenario, read_scenario
from paper_exchange.host.faults import FaultKind, FaultRule
from paper_exchange.market.market import FeedTrade
from paper_exchange.stream.session import Channel
from testkit.paper import KEY, PaperHost, PaperStream, PaperWorld, order_params, signed

pytestmark = pytest.mark.exchange(priced=True)


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def rule(kind: FaultKind, **more: Any) -> FaultRule:
    return FaultRule(kind=kind, **more)


def ids(stream: PaperStream) -> list[str]:
    return [row["i"] for row in stream.rows("publicTrade.BTCUSDT")]


def trades(world: PaperWorld, count: int) -> list[str]:
    for step in range(count):
        world.trade(60_000 + step, after_ms=20)
        world.advance(1)
    return [f"trade-{number}" for number in range(2, count + 2)]


def test_lost_frames_are_lost_and_acknowledgements_are_not(world: PaperWorld) -> None:
    world.parts.faults.add(rule(FaultKind.LOSE, count=2))
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    assert stream.frames[0]["success"] is True
    sent = trades(world, 5)
    assert ids(stream) == sent[2:]


def test_duplicated_frames_come_twice(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    world.parts.faults.add(rule(FaultKind.DUPLICATE, match="publicTrade", count=1))
    sent = trades(world, 2)
    assert ids(stream) == [sent[0], sent[0], sent[1]]


def test_reordered_frames_change_places_and_none_is_lost(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    world.parts.faults.add(rule(FaultKind.REORDER, count=1))
    sent = trades(world, 3)
    assert ids(stream) == [sent[1], sent[0], sent[2]]
    world.parts.faults.add(rule(FaultKind.REORDER, count=1))
    world.trade("61000")
    world.advance(250)
    assert len(ids(stream)) == 4


def test_delayed_frames_keep_their_order(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    world.parts.faults.add(rule(FaultKind.DELAY, delay_ms=500, count=1))
    sent = trades(world, 4)
    assert ids(stream) == []
    world.advance(600)
    assert ids(stream) == sent


def test_silence_ends_by_itself(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    world.parts.faults.add(rule(FaultKind.SILENCE, channel="public", duration_s=1))
    trades(world, 3)
    stream.say({"op": "ping"})
    assert len(stream.frames) == 1
    world.advance(1_000)
    world.trade("61000")
    world.advance(1)
    assert len(ids(stream)) == 1
    assert world.parts.faults.rules() == []


def test_a_rule_strikes_its_channel_and_its_topic_only(world: PaperWorld) -> None:
    public = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    private = world.stream(Channel.PRIVATE, "order", "execution")
    number = world.parts.faults.add(rule(FaultKind.LOSE, channel="private", match="order"))
    world.place(price=None)
    trades(world, 1)
    assert not private.rows("order")
    assert len(private.rows("execution")) == 1
    assert ids(public)
    assert world.parts.faults.remove(number) == 1
    world.place(price=None)
    assert private.rows("order")


@pytest.mark.parametrize(
    "wrong",
    [
        {"do": "fault", "kind": "explode"},
        {"do": "fault", "kind": "lose", "probability": 0},
        {"do": "fault", "kind": "lose", "channel": "fax"},
        {"do": "fault", "kind": "lose", "sometimes": True},
        {"do": "dance"},
        {"kind": "lose"},
        {"do": "jump_price", "symbol": "BTCUSDT", "percent": -100},
    ],
)
def test_a_wrong_action_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ACTION.validate_python(wrong)


def run(world: PaperWorld, **action: Any) -> dict[str, Any]:
    return world.control.run(ACTION.validate_python(action))


def test_a_jump_moves_the_market_and_all_later_prices(world: PaperWorld) -> None:
    buy = world.place(price="58000")
    run(world, do="jump_price", symbol="BTCUSDT", percent=-5)
    assert world.order(buy)["orderStatus"] == "Filled"
    market = world.exchange.market("BTCUSDT")
    assert market.last_ticks == 570_000
    world.trade("60000.0")
    assert market.last_ticks == 570_000
    run(world, do="jump_price", symbol="BTCUSDT", percent=10)
    assert market.last_ticks == 627_000


def test_actions_on_accounts(world: PaperWorld) -> None:
    world.place(price=None, qty="0.05")
    world.place(price="58000")
    assert run(world, do="adl", account="one", symbol="BTCUSDT", direction="long", qty="0.02") == {
        "closed": "0.02"
    }
    run(world, do="deposit", account="one", amount="-100")
    assert world.account.money.deposits == 9_900
    cancelled = run(world, do="cancel_orders", account="one", symbol="BTCUSDT")
    assert cancelled == {"cancelled": 1}
    run(world, do="tick_size", symbol="BTCUSDT", tick_size="0.5")
    run(world, do="halt", symbol="BTCUSDT")
    assert world.code("POST", "/v5/order/create", order_params()) == 110066
    run(world, do="liquidate", account="one")
    assert world.position(1)["size"] == "0"
    run(world, do="revoke_key", key=KEY)
    assert world.code("GET", "/v5/account/info", {}) == 10003
    run(world, do="revoke_key", key=KEY, revoked=False)
    assert world.code("GET", "/v5/account/info", {}) == 0
    for wrong in (
        {"do": "liquidate", "account": "nobody"},
        {"do": "halt", "symbol": "NOPE"},
        {"do": "revoke_key", "key": "none"},
        {"do": "restart"},
    ):
        with pytest.raises(RefusalError):
            run(world, **wrong)


def test_a_scenario_happens_at_its_times(world: PaperWorld, tmp_path: Path) -> None:
    path = tmp_path / "storm.yaml"
    path.write_text(
        "steps:\n"
        "  - at_s: 5\n    action: {do: jump_price, symbol: BTCUSDT, percent: 1}\n"
        "  - at_s: 2\n    action: {do: fault, kind: lose, duration_s: 1}\n"
    )
    world.control.plan(read_scenario(path))
    world.advance(2_000)
    assert len(world.parts.faults.rules()) == 1
    world.advance(3_000)
    assert world.exchange.market("BTCUSDT").last_ticks == 606_000
    assert world.parts.faults.rules() == []


def test_the_same_seed_strikes_the_same_frames() -> None:
    def struck(seed: int) -> list[str]:
        world = PaperWorld(seed=seed)
        world.trade("60000.0")
        stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
        world.parts.faults.add(rule(FaultKind.LOSE, probability=0.5))
        trades(world, 60)
        return ids(stream)

    assert struck(3) == struck(3)
    assert struck(3) != struck(4)
    assert 15 < len(struck(3)) < 45


# over sockets


def action(host: PaperHost, **what: Any) -> dict[str, Any]:
    reply = requests.post(f"{host.base_url}/control/action", json=what, timeout=5)
    content: dict[str, Any] = reply.json()
    assert reply.status_code == 200, content
    return content


def call(
    host: PaperHost, method: str, path: str, params: dict[str, Any], timeout: float = 5
) -> requests.Response:
    request = signed(method, path, params, time.time_ns() // 1_000_000)
    given = request.credentials
    headers = {
        "X-BAPI-API-KEY": given.key,
        "X-BAPI-TIMESTAMP": given.timestamp,
        "X-BAPI-RECV-WINDOW": given.window,
        "X-BAPI-SIGN": given.sign,
    }
    query = f"?{request.query.decode()}" if request.query else ""
    return requests.request(
        method, f"{host.base_url}{path}{query}", data=request.body, headers=headers, timeout=timeout
    )


def open_orders(host: PaperHost) -> int:
    return host.do(lambda: len(host.exchange.accounts["one"].open_orders))


CREATE = "/v5/order/create"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("executed", [True, False])
def test_a_timeout_before_and_after_executing(host: PaperHost, executed: bool) -> None:
    action(host, do="fault", kind="timeout", match="order/create", count=1, executed=executed)
    with pytest.raises(requests.Timeout):
        call(host, "POST", CREATE, order_params(price="59000"), timeout=0.3)
    assert open_orders(host) == executed
    assert call(host, "POST", CREATE, order_params(price="58000")).json()["retCode"] == 0


def test_other_answers_that_go_wrong(host: PaperHost) -> None:
    info = ("GET", "/v5/account/info", {})
    action(host, do="fault", kind="http_error", status=502, count=1)
    assert call(host, *info).status_code == 502
    action(host, do="fault", kind="ret_code", code=10016, executed=True, count=1)
    assert call(host, "POST", CREATE, order_params(price="59000")).json()["retCode"] == 10016
    assert open_orders(host) == 1
    action(host, do="fault", kind="rate_limit", count=1)
    limited = call(host, *info)
    assert limited.json()["retCode"] == 10006
    assert int(limited.headers["X-Bapi-Limit-Reset-Timestamp"]) > time.time() * 1000
    action(host, do="fault", kind="latency", delay_ms=300, count=1)
    begun = time.monotonic()
    assert call(host, *info).json()["retCode"] == 0
    assert time.monotonic() - begun > 0.25
    action(host, do="fault", kind="refuse", channel="rest", count=1)
    with pytest.raises(requests.ConnectionError):
        call(host, *info)
    action(host, do="skew_clock", ms=-7_000)
    assert call(host, *info).json()["retCode"] == 10002
    action(host, do="skew_clock", ms=7_000)
    assert call(host, *info).json()["retCode"] == 10002
    action(host, do="skew_clock", ms=0)
    assert call(host, *info).json()["retCode"] == 0


def connect(host: PaperHost) -> WebSocket:
    return create_connection(f"{host.ws_url}/v5/public/linear", timeout=3)


def read_to_the_end(client: WebSocket) -> None:
    while True:
        client.recv()


@pytest.mark.parametrize("reset", [True, False])
def test_connections_are_cut_with_and_without_a_word(host: PaperHost, reset: bool) -> None:
    client = connect(host)
    assert action(host, do="disconnect", channel="public", reset=reset)["disconnected"] == 1
    with pytest.raises((WebSocketConnectionClosedException, ConnectionError)):
        read_to_the_end(client)
    client.shutdown()


def test_refused_silent_and_gone(host: PaperHost) -> None:
    action(host, do="fault", kind="refuse", channel="public", count=1)
    with pytest.raises(Exception, match=r"."):
        connect(host)
    client = connect(host)
    action(host, do="fault", kind="silence", channel="public")
    client.ping()
    client.send('{"op":"ping"}')
    client.settimeout(0.4)
    with pytest.raises(Exception, match="timed out"):
        client.recv()
    client.shutdown()
    action(host, do="heal")
    action(host, do="restart", down_s=0.3)
    time.sleep(0.15)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{host.base_url}/v5/market/time", timeout=1)
    time.sleep(0.5)
    assert requests.get(f"{host.base_url}/v5/market/time", timeout=1).json()["retCode"] == 0


def test_the_control_endpoint_tells_and_refuses(host: PaperHost) -> None:
    call(host, "POST", CREATE, order_params(price=None))
    time.sleep(0.05)
    status = requests.get(f"{host.base_url}/control/status", timeout=5).json()
    account = status["accounts"]["one"]
    assert account["legs"] == {"BTCUSDT": ["0.01", "0"]}
    assert Decimal(account["wallet"]) == (
        Decimal(account["deposits"]) + Decimal(account["realised"]) - Decimal(account["fees"])
        - Decimal(account["funding"])
    )  # fmt: skip
    number = action(host, do="fault", kind="lose", channel="private")["number"]
    faults = requests.get(f"{host.base_url}/control/faults", timeout=5).json()
    assert [one["number"] for one in faults["rules"]] == [number]
    assert faults["seed"] == 1
    for body in ("{", '{"do": "dance"}', '{"do": "liquidate", "account": "nobody"}'):
        reply = requests.post(f"{host.base_url}/control/action", data=body, headers=JSON, timeout=5)
        assert reply.status_code == 400
        assert reply.json()["error"]
    assert requests.get(f"{host.base_url}/control/other", timeout=5).status_code == 404


def test_the_control_endpoint_counts_the_rows_that_each_connection_was_sent(
    host: PaperHost,
) -> None:
    topic = "publicTrade.BTCUSDT"
    client = connect(host)
    client.send('{"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}')
    client.settimeout(5)
    client.recv()
    trade = FeedTrade(
        symbol="BTCUSDT",
        ts_ms=host.exchange.now_ms - 1,  # of one moment that has passed: one frame has them all
        price=Decimal(60_000),
        qty=Decimal(1),
        side=SideType.BUY,
        trade_id="a",
    )
    host.do(lambda: [host.exchange.feed(replace(trade, trade_id=one)) for one in "abc"])
    assert len(orjson.loads(client.recv())["data"]) == 3

    def told() -> list[tuple[str, bool, dict[str, int]]]:
        status = requests.get(f"{host.base_url}/control/status", timeout=5).json()
        return [(o["channel"], o["is_open"], o["rows"]) for o in status["connections"].values()]

    assert told() == [("public", True, {topic: 3})]
    client.shutdown()
    end = time.monotonic() + 5
    while told() != [("public", False, {topic: 3})]:  # also of those that have gone
        assert time.monotonic() < end, told()


def test_without_being_configured_there_is_no_control_endpoint() -> None:
    with PaperHost(with_control=False) as host:
        reply = requests.get(f"{host.base_url}/control/status", timeout=5)
        assert reply.json()["retCode"] == 10017


def test_a_scenario_without_steps_is_refused() -> None:
    with pytest.raises(ValidationError):
        Scenario.model_validate({})
