"""What arrives on a stream, and what its consumer is told, over real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

import pytest

from bybit_adapter.basics import orders_first
from bybit_adapter.basics.orders_first import ORDERS_FIRST
from bybit_adapter.records.normalizer import StreamKind, StreamUpdate
from bybit_adapter.records.tags import Tags
from bybit_adapter.streams.ws_client import PRIVATE_TOPICS, PrivateWebSocketClient, StreamState
from testkit.streams import MS, PRIVATE, PUBLIC, Streams, Witness, frame, trade
from testkit.waiting import eventually


def test_events_arrive_in_order(exchange: Any, streams: Streams, witness: Witness) -> None:
    client = streams.public(tags=Tags(run_id=UUID(int=7)))
    assert client.get_connection_state().state is StreamState.DISCONNECTED
    assert client.connect()
    assert client.is_connected()
    exchange.push(PUBLIC, frame(lastPrice="5"), frame(shape="delta", lastPrice="6"))
    exchange.push(PUBLIC, *(trade(number) for number in range(200)))
    eventually(lambda: len(witness.updates) == 202)
    first, second, *trades = witness.updates
    assert (first.event.last_price, second.event.last_price) == (5, 6)  # type: ignore[union-attr]  # tickers
    assert [update.record.trade_id for update in trades] == [f"t{i}" for i in range(200)]  # type: ignore[union-attr]  # trades
    assert first.event is not None
    assert first.event.run_id == UUID(int=7)
    state = client.get_connection_state()
    assert (state.state, state.is_alive, state.received) == (StreamState.CONNECTED, True, 202)
    assert witness.story == ["event"] * 202


async def test_events_wait_while_orders_go_out(
    exchange: Any, streams: Streams, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_first, "LONGEST_S", 30.0)
    client = streams.public()
    assert client.connect()
    ORDERS_FIRST.claim()
    exchange.push(PUBLIC, trade(1))
    time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy
    assert witness.updates == []
    while not witness.updates:  # noqa: ASYNC110 - of a thread
        await asyncio.sleep(0)


def test_every_topic_is_asked_for_by_itself(exchange: Any, streams: Streams) -> None:
    client = streams.public(ticker_symbols=["A", "B", "A"], trade_symbols=["B"])
    assert client.connect()
    requests = [f["args"] for _, f in exchange.frames if f.get("op") == "subscribe"]
    assert requests == [["tickers.A"], ["tickers.B"], ["publicTrade.B"]]
    client.subscribe(ticker_symbols=["B", "C"])
    eventually(lambda: "tickers.C" in exchange.topics(PUBLIC))
    exchange.close_streams(PUBLIC)
    eventually(lambda: exchange.connections[PUBLIC] == 2 and client.is_connected())
    assert exchange.topics(PUBLIC)[4:] == ["tickers.A", "tickers.B", "publicTrade.B", "tickers.C"]


def test_the_private_stream(
    exchange: Any,
    streams: Streams,
    witness: Witness,
    execution_row: dict[str, Any],
    wallet_row: dict[str, Any],
) -> None:
    client = streams.private(arm_dcp=True)
    assert client.connect()
    auth = exchange.frames[0][1]
    assert auth["op"] == "auth"
    assert auth["args"][0] == "key"
    assert auth["args"][1] > time.time() * 1000 + 5000  # a clock that is slow does no harm
    assert exchange.topics(PRIVATE) == [*PRIVATE_TOPICS, "dcp.future"]
    for topic, row in (("execution", execution_row), ("wallet", wallet_row)):
        exchange.push(PRIVATE, {"topic": topic, "creationTime": MS, "data": [row]})
    eventually(lambda: len(witness.updates) == 2)
    assert [update.kind for update in witness.updates] == [StreamKind.EXECUTION, StreamKind.WALLET]


def test_keys_do_not_show(streams: Streams) -> None:
    client = streams.private()
    assert "secret" not in repr(client)
    with pytest.raises(ValueError, match="api_key and api_secret"):
        PrivateWebSocketClient("", "", streams.environment, on_event=print)


def test_a_refused_topic_is_told_and_leaves_the_others(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    usual = exchange.acks

    def refuse(path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("args") == ["tickers.NOPE"]:
            return {"success": False, "ret_msg": "error:handler not found", "op": "subscribe"}
        return usual(path, asked)  # type: ignore[no-any-return]  # the scripted exchange

    exchange.acks = refuse
    client = streams.public(ticker_symbols=["NOPE"])
    assert client.connect()
    assert client.get_connection_state().rejected_topics == {
        "tickers.NOPE": "error:handler not found"
    }
    exchange.push(PUBLIC, trade(1))
    eventually(lambda: witness.updates)


def test_wrong_keys_are_told_and_never_look_connected(exchange: Any, streams: Streams) -> None:
    usual = exchange.acks

    def refuse(path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["op"] == "auth":
            return {"success": False, "ret_msg": "invalid key", "op": "auth"}
        return usual(path, asked)  # type: ignore[no-any-return]  # the scripted exchange

    exchange.acks = refuse
    client = streams.private()
    assert not client.connect(timeout_s=0.5)
    assert not client.is_connected()
    assert client.get_connection_state().auth_error == "invalid key"


def test_whatever_arrives_the_stream_goes_on(
    exchange: Any, streams: Streams, witness: Witness, caplog: pytest.LogCaptureFixture
) -> None:
    client = streams.public()
    assert client.connect()
    bad = trade(0) | {"data": [{"T": "x"}]}
    noise: list[Any] = ["no json", "[]", "5", "", "null", "{}", "[" * 5000, bad, bad, bad]
    noise += [{"topic": "kline.1.BTCUSDT"}, {"topic": "tickers.UNKNOWN", "type": "delta"}]
    noise += [{"op": "subscribe", "success": False, "req_id": "nobody"}, {"op": "news"}]
    exchange.push(PUBLIC, *noise, trade(1))
    eventually(lambda: witness.updates)
    assert client.is_connected()
    assert exchange.connections[PUBLIC] == 1
    assert client.get_connection_state().malformed == 12
    assert len(witness.malformed) == 12
    of_trades = [r for r in caplog.records if "publicTrade.BTCUSDT" in r.getMessage()]
    assert len(of_trades) == 1  # logged once per kind


def test_what_fits_of_a_bad_frame_is_handed_on(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    client = streams.public()
    assert client.connect()
    good, bad = trade(1)["data"][0], {"T": "x"}
    exchange.push(PUBLIC, trade(1) | {"data": [bad, good]})
    eventually(lambda: witness.updates)
    assert client.get_connection_state().malformed == 1


def test_a_callback_that_raises_does_no_harm(exchange: Any, streams: Streams) -> None:
    seen: list[str] = []

    def fail(update: StreamUpdate) -> None:
        seen.append(update.record.trade_id)  # type: ignore[union-attr]  # a trade
        raise RuntimeError("a bug of the consumer")

    client = streams.public(on_event=fail)
    assert client.connect()
    exchange.push(PUBLIC, trade(1), trade(2))
    eventually(lambda: seen == ["t1", "t2"])
    eventually(lambda: client.get_connection_state().callback_errors == 2)
    assert client.is_connected()
