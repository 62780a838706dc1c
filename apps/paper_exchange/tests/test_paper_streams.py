"""The WebSocket protocol in process: acknowledgements, snapshots, deltas, private frames."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gridcore import SideType
from paper_exchange.rest.auth import signature
from paper_exchange.stream.session import Channel
from testkit.paper import KEY, SECRET, PaperStream, PaperWorld, order_params

PRIVATE = ("order", "execution", "execution.fast", "position", "wallet")


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0", SideType.BUY)
    return world


def merged(frames: list[dict[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for frame in frames:
        state = dict(frame["data"]) if frame["type"] == "snapshot" else state | frame["data"]
    return state


def test_a_subscription_is_acknowledged_twenty_ms_later_and_begins_with_a_snapshot(
    world: PaperWorld,
) -> None:
    stream = PaperStream(world, Channel.PUBLIC)
    stream.say({"op": "subscribe", "args": ["tickers.BTCUSDT"], "req_id": "7"})
    world.advance(19)
    assert stream.frames == []
    world.advance(1)
    ack, snapshot = stream.frames
    assert (ack["success"], ack["op"], ack["req_id"]) == (True, "subscribe", "7")
    assert (snapshot["topic"], snapshot["type"]) == ("tickers.BTCUSDT", "snapshot")


def test_ticker_deltas_bring_what_changed_and_add_up_to_the_state(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    for price in ("60010", "60020", "60010", "59990"):
        world.trade(price, after_ms=130)
    world.advance(200)
    frames = stream.topic("tickers.BTCUSDT")
    assert [frame["type"] for frame in frames] == ["snapshot"] + ["delta"] * 4
    assert "indexPrice" in frames[1]["data"]
    assert "fundingRate" not in frames[1]["data"]
    rest = world.get("/v5/market/tickers", symbol="BTCUSDT")["list"][0]
    state = merged(frames)
    assert {name: state[name] for name in state if name in rest} == {
        name: rest[name] for name in state if name in rest
    }


def test_tickers_come_ten_times_a_second_at_most(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "tickers.BTCUSDT")
    for step in range(200):
        world.trade(60_000 + step, after_ms=10)
    world.advance(200)
    assert 18 <= len(stream.topic("tickers.BTCUSDT")) <= 23


def test_every_trade_is_published_in_order(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    for step in range(50):
        world.trade(60_000 + step % 7, after_ms=step % 3)
    world.advance(1)
    rows = stream.rows("publicTrade.BTCUSDT")
    assert [row["i"] for row in rows] == [f"trade-{n}" for n in range(2, 52)]
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
    assert {row["L"] for row in rows} <= {
        "PlusTick", "MinusTick", "ZeroPlusTick", "ZeroMinusTick",
    }  # fmt: skip


@pytest.mark.parametrize("depth", [1, 50, 200, 1000])
def test_the_book_of_a_stream_is_the_book_of_rest(world: PaperWorld, depth: int) -> None:
    topic = f"orderbook.{depth}.BTCUSDT"
    stream = world.stream(Channel.PUBLIC, topic)
    for price in ("60001.3", "59998.8", "60004.1", "60004.1"):
        world.trade(price, SideType.BUY, after_ms=250)
    world.advance(250)
    frames = stream.topic(topic)
    assert len(frames) >= 4
    book: dict[str, dict[Decimal, str]] = {"b": {}, "a": {}}
    last_update = None
    for frame in frames:
        data = frame["data"]
        if frame["type"] == "snapshot":
            book = {"b": {}, "a": {}}
        elif last_update is not None:
            assert data["u"] == last_update + 1
        last_update = data["u"]
        for side in book:
            for price, size in data[side]:
                if Decimal(size):
                    book[side][Decimal(price)] = size
                else:
                    del book[side][Decimal(price)]
    rest = world.get("/v5/market/orderbook", symbol="BTCUSDT", limit=depth)
    for side in book:
        assert book[side] == {Decimal(price): size for price, size in rest[side]}
    assert max(book["b"]) < min(book["a"])


def test_the_best_quotes_are_sent_again_after_three_quiet_seconds(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "orderbook.1.BTCUSDT")
    world.trade("60010", after_ms=100)
    world.advance(10)
    frames = len(stream.topic("orderbook.1.BTCUSDT"))
    world.advance(3_000)
    again = stream.topic("orderbook.1.BTCUSDT")
    assert len(again) == frames + 1
    assert again[-1]["data"]["u"] == again[-2]["data"]["u"]


def test_a_candle_is_shown_unfinished_and_then_finished(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "kline.1.BTCUSDT")
    world.trade("60100", after_ms=1_000)
    world.advance(60_000)
    rows = stream.rows("kline.1.BTCUSDT")
    assert [row["confirm"] for row in rows].count(True) == 1
    assert (rows[-1]["confirm"], rows[-1]["close"]) == (True, "60100")
    assert rows[-1]["end"] - rows[-1]["start"] == 59_999
    world.trade("60200", after_ms=60_000)
    world.advance(1_000)
    rows = stream.rows("kline.1.BTCUSDT")
    assert (rows[-1]["confirm"], rows[-1]["close"]) == (False, "60200")


def test_price_limits_are_a_topic(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "priceLimit.BTCUSDT")
    rest = world.get("/v5/market/price-limit", symbol="BTCUSDT")
    assert stream.topic("priceLimit.BTCUSDT")[0]["data"]["buyLmt"] == rest["buyLmt"]


def test_only_subscribed_topics_come_and_unsubscribe_ends_them(world: PaperWorld) -> None:
    stream = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT")
    other = world.stream(Channel.PUBLIC, "publicTrade.BTCUSDT", "tickers.BTCUSDT")
    world.trade("60001")
    world.advance(1)
    stream.say({"op": "unsubscribe", "args": ["publicTrade.BTCUSDT"], "req_id": "u"})
    world.advance(30)
    world.trade("60002")
    world.advance(200)
    assert len(stream.rows("publicTrade.BTCUSDT")) == 1
    assert not stream.topic("tickers.BTCUSDT")
    assert len(other.rows("publicTrade.BTCUSDT")) == 2


@pytest.mark.parametrize(
    "topic", ["nonsense", "tickers.NOPE", "orderbook.500.BTCUSDT", "kline.7.BTCUSDT", "order", ""]
)
def test_an_unknown_public_topic_is_refused(world: PaperWorld, topic: str) -> None:
    stream = world.stream(Channel.PUBLIC, topic)
    (answer,) = stream.frames
    assert answer["success"] is False
    assert answer["ret_msg"] == f"error:handler not found,topic:{topic}"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", '{"op": 5}', '{"op": "dance"}', '{"op": "subscribe"}',
     '{"op": "subscribe", "args": "tickers.BTCUSDT"}', '{"op": "subscribe", "args": [1]}',
     "\x00\x01", "x" * 10_000],
)  # fmt: skip
@pytest.mark.parametrize("channel", list(Channel))
def test_garbage_is_answered_and_harms_nobody(
    world: PaperWorld, channel: Channel, text: str
) -> None:
    stream = PaperStream(world, channel)
    stream.say(text)
    world.advance(20)
    (answer,) = stream.frames
    refused = answer.get("retCode", 0) if channel is Channel.TRADE else not answer["success"]
    assert refused
    assert "Traceback" not in str(answer)


def test_the_three_pongs(world: PaperWorld) -> None:
    pongs = []
    for channel in Channel:
        stream = PaperStream(world, channel)
        stream.say({"op": "ping", "req_id": "p"})
        pongs.append(stream.frames[0])
    public, private, trade = pongs
    assert (public["op"], public["ret_msg"], public["req_id"]) == ("ping", "pong", "p")
    assert (private["op"], private["args"]) == ("pong", [str(world.exchange.now_ms)])
    assert (trade["op"], trade["retCode"]) == ("pong", 0)


# private


def test_a_private_topic_needs_auth(world: PaperWorld) -> None:
    stream = PaperStream(world, Channel.PRIVATE)
    stream.say({"op": "subscribe", "args": ["order"]})
    world.advance(20)
    assert stream.frames[0]["success"] is False


@pytest.mark.parametrize(
    ("key", "secret", "late"), [("who", SECRET, 0), (KEY, "wrong", 0), (KEY, SECRET, 60_000)]
)
def test_a_wrong_auth_is_refused(world: PaperWorld, key: str, secret: str, late: int) -> None:
    stream = PaperStream(world, Channel.PRIVATE)
    expires = world.exchange.now_ms + 1_000 - late
    sign = signature(secret, f"GET/realtime{expires}".encode())
    stream.say({"op": "auth", "args": [key, expires, sign]})
    world.advance(20)
    assert stream.frames[0]["success"] is False
    assert stream.session.account is None


def test_auth_and_subscription_may_be_sent_in_one_breath(world: PaperWorld) -> None:
    stream = PaperStream(world, Channel.PRIVATE)
    expires = world.exchange.now_ms + 1_000
    sign = signature(SECRET, f"GET/realtime{expires}".encode())
    stream.say({"op": "auth", "args": [KEY, expires, sign]})
    stream.say({"op": "subscribe", "args": ["order"], "req_id": "1"})
    world.advance(20)
    assert [frame["op"] for frame in stream.frames] == ["auth", "subscribe"]
    stream.say({"op": "auth", "args": [KEY, expires, sign]})
    world.advance(20)
    assert stream.frames[-1]["success"] is False


def test_a_private_stream_has_no_snapshot_and_tells_one_fill_on_every_topic(
    world: PaperWorld,
) -> None:
    stream = world.stream(Channel.PRIVATE, *PRIVATE)
    assert not any("topic" in frame for frame in stream.frames)
    order_id = world.place(price="59000", orderLinkId="mine")
    world.trade("58999")
    assert [row["orderStatus"] for row in stream.rows("order")] == ["New", "Filled"]
    (execution,) = stream.rows("execution")
    (fast,) = stream.rows("execution.fast")
    assert (execution["orderId"], execution["orderLinkId"]) == (order_id, "mine")
    assert execution["isMaker"] is True
    assert (fast["execId"], fast["orderLinkId"]) == (execution["execId"], "")
    position = stream.rows("position")[-1]
    assert (position["size"], position["entryPrice"]) == ("0.010", "59000")
    assert "avgPrice" not in position
    assert position["seq"] == execution["seq"]
    wallet = stream.rows("wallet")[-1]
    assert wallet["totalWalletBalance"] == "9999.882"
    assert all("creationTime" in frame for frame in stream.topic("wallet"))
    assert "id" not in stream.topic("execution.fast")[0]


def test_categorised_topics_say_their_name(world: PaperWorld) -> None:
    stream = world.stream(Channel.PRIVATE, "order.linear", "position.linear")
    world.place(price="59000")
    assert len(stream.rows("order.linear")) == 1
    assert len(stream.rows("position.linear")) == 1
    assert not stream.rows("order")


def test_dcp_cancels_when_the_last_stream_is_gone_for_too_long(world: PaperWorld) -> None:
    world.post("/v5/order/disconnected-cancel-all", {"timeWindow": 10, "product": "DERIVATIVES"})
    first = world.stream(Channel.PRIVATE, "dcp.future")
    world.stream(Channel.PRIVATE, "order")
    order_id = world.place(price="59000")
    first.leave()
    world.advance(9_000)
    second = world.stream(Channel.PRIVATE, "dcp.future")
    world.advance(5_000)
    assert world.order(order_id)["orderStatus"] == "New"
    second.leave()
    world.advance(10_001)
    assert world.order(order_id)["cancelType"] == "CancelByDCP"


# orders over a stream


def trade_message(op: str, args: dict[str, Any], world: PaperWorld, req: str) -> dict[str, Any]:
    header = {"X-BAPI-TIMESTAMP": str(world.exchange.now_ms), "X-BAPI-RECV-WINDOW": "5000"}
    return {"reqId": req, "header": header, "op": op, "args": [args]}


def test_orders_are_placed_over_the_trade_stream(world: PaperWorld) -> None:
    stream = world.stream(Channel.TRADE)
    assert stream.frames[0] == {
        "retCode": 0, "retMsg": "OK", "op": "auth", "connId": stream.session.conn_id,
    }  # fmt: skip
    stream.say(trade_message("order.create", order_params(price="59000"), world, "r1"))
    reply = stream.frames[-1]
    assert (reply["reqId"], reply["retCode"], reply["op"]) == ("r1", 0, "order.create")
    assert "X-Bapi-Limit" in reply["header"]
    order_id = reply["data"]["orderId"]
    world.advance(2)
    ids = {"category": "linear", "symbol": "BTCUSDT", "orderId": order_id}
    stream.say(trade_message("order.cancel", ids, world, "r2"))
    world.advance(2)
    assert world.order(order_id)["orderStatus"] == "Cancelled"
    stream.say(trade_message("order.cancel", ids, world, "r2"))
    stream.say(trade_message("order.cancel", ids, world, "r3"))
    stream.say(trade_message("order.dance", ids, world, "r4"))
    late = trade_message("order.cancel", ids, world, "r5")
    late["header"]["X-BAPI-TIMESTAMP"] = "1"
    stream.say(late)
    world.advance(20)
    codes = {frame["reqId"]: frame["retCode"] for frame in stream.frames[2:]}
    assert codes == {"r2": 20006, "r3": 110001, "r4": 10404, "r5": 10002}


def test_the_trade_stream_wants_auth_first(world: PaperWorld) -> None:
    stream = PaperStream(world, Channel.TRADE)
    stream.say(trade_message("order.create", order_params(), world, "r1"))
    world.advance(20)
    assert stream.frames[0]["retCode"] == 10004
    assert not world.account.open_orders
