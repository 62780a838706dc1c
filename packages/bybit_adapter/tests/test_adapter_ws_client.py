"""Streams over real sockets with the real pybit: what arrives, and what survives."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from bybit_adapter.environment import Environment
from bybit_adapter.errors import MalformedFrame
from bybit_adapter.market_records import Tags
from bybit_adapter.normalizer import StreamKind, StreamUpdate
from bybit_adapter.pybit_socket import PybitSocket
from bybit_adapter.stream_session import StreamTiming
from bybit_adapter.ws_client import (
    PRIVATE_TOPICS,
    PrivateWebSocketClient,
    PublicWebSocketClient,
    StreamState,
)

PUBLIC, PRIVATE = "/v5/public/linear", "/v5/private"
# where a death has to be noticed; a machine that is late by a second must not look like one
FAST = StreamTiming(
    ping_interval_s=1.2,
    ping_timeout_s=1.0,
    socket_check_s=0.1,
    silence_s=60,
    attempt_s=3.0,
    steady_s=0.3,
    first_pause_s=0.02,
    longest_pause_s=0.2,
)
# where a socket says itself that it has ended
CALM = replace(FAST, ping_interval_s=8, ping_timeout_s=7, attempt_s=15)
MS = 1762199126022


def frame(symbol: str = "BTCUSDT", shape: str = "snapshot", **fields: str) -> dict[str, Any]:
    data = {"symbol": symbol, **fields}
    return {"topic": f"tickers.{symbol}", "type": shape, "ts": MS, "cs": 1, "data": data}


def trade(number: int) -> dict[str, Any]:
    row = {"T": MS, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "5", "i": f"t{number}"}
    return {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": MS, "data": [row]}


class Witness:
    """Notes what a stream tells."""

    def __init__(self) -> None:
        self.updates: list[StreamUpdate] = []
        self.lost: list[datetime] = []
        self.back: list[tuple[datetime, datetime]] = []
        self.malformed: list[tuple[MalformedFrame, str]] = []
        self.story: list[str] = []

    def on_event(self, update: StreamUpdate) -> None:
        self.updates.append(update)
        self.story.append("event")

    def on_disconnect(self, ts: datetime) -> None:
        self.lost.append(ts)
        self.story.append("lost")

    def on_reconnect(self, disconnected_at: datetime, reconnected_at: datetime) -> None:
        self.back.append((disconnected_at, reconnected_at))
        self.story.append("back")

    def on_malformed(self, error: MalformedFrame, text: str) -> None:
        self.malformed.append((error, text))


@pytest.fixture
def witness() -> Witness:
    return Witness()


class Streams:
    """Makes clients and ends them."""

    def __init__(self, port: int, witness: Witness) -> None:
        self.environment = Environment.local(port)
        self.witness = witness
        self.made: list[PublicWebSocketClient | PrivateWebSocketClient] = []

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "on_event": self.witness.on_event,
            "on_disconnect": self.witness.on_disconnect,
            "on_reconnect": self.witness.on_reconnect,
            "on_malformed": self.witness.on_malformed,
            "timing": CALM,
            "random": Random(1),
        } | options

    def public(self, **options: Any) -> PublicWebSocketClient:
        symbols = {"ticker_symbols": ["BTCUSDT"], "trade_symbols": ["BTCUSDT"]}
        client = PublicWebSocketClient(self.environment, **self._options(symbols | options))
        self.made.append(client)
        return client

    def private(self, **options: Any) -> PrivateWebSocketClient:
        client = PrivateWebSocketClient("key", "secret", self.environment, **self._options(options))
        self.made.append(client)
        return client


@pytest.fixture
def streams(exchange: Any, witness: Witness) -> Iterator[Streams]:
    made = Streams(exchange.port, witness)
    yield made
    for client in made.made:
        client.disconnect()


def eventually(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


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


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("private", [False, True])
def test_a_lost_connection_comes_back_with_its_subscriptions(
    exchange: Any, streams: Streams, witness: Witness, abort: bool, private: bool
) -> None:
    path = PRIVATE if private else PUBLIC
    client = streams.private() if private else streams.public()
    before = datetime.now(UTC)
    assert client.connect()
    topics = exchange.topics(path)
    for number in range(1, 4):
        exchange.close_streams(path, abort=abort)
        eventually(lambda number=number: len(witness.back) == number)
        eventually(client.is_connected)
        assert exchange.topics(path) == topics * (number + 1)
    assert len(witness.lost) == 3
    for lost, (disconnected_at, reconnected_at) in zip(witness.lost, witness.back, strict=True):
        assert before <= lost == disconnected_at <= reconnected_at
    assert witness.story == ["lost", "back"] * 3
    state = client.get_connection_state()
    assert (state.reconnects, state.rebuilds) == (3, 0)


@pytest.mark.parametrize("private", [False, True])
def test_late_news_of_a_former_connection_do_not_break_the_next_one(
    exchange: Any, streams: Streams, witness: Witness, private: bool
) -> None:
    """On a busy machine the thread that reads may tell of the end after others have noticed."""
    path = PRIVATE if private else PUBLIC
    client = streams.private() if private else streams.public()
    assert client.connect()
    former = client._session._socket.ws  # type: ignore[union-attr]  # it has a session
    exchange.close_streams(path, abort=True)
    eventually(lambda: witness.back and client.is_connected())
    # just before the next connection counts as settled: the moment that does the most harm
    session = client._session
    assert session is not None
    usual = session.connecting

    def connecting(pybit_socket: Any) -> dict[str, str]:
        threading.Timer(0.05, lambda: former.on_error(former, ConnectionResetError("late"))).start()
        return usual(pybit_socket)

    session.connecting = connecting  # type: ignore[method-assign]  # the news come meanwhile
    exchange.close_streams(path, abort=True)
    eventually(lambda: len(witness.back) == 2 and client.is_connected())
    former.on_error(former, ConnectionResetError("later"))
    time.sleep(0.5)
    assert client.is_connected()
    assert (exchange.connections[path], len(witness.lost)) == (3, 2)
    assert client.get_connection_state().auth_error is None


def test_a_connection_that_counts_as_open_before_its_reader_says_so_is_kept(
    exchange: Any, streams: Streams, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure of the attempt before it is not its own."""
    usual = PybitSocket._on_open

    def late(one: PybitSocket) -> None:
        time.sleep(0.3)
        usual(one)

    monkeypatch.setattr(PybitSocket, "_on_open", late)
    client = streams.public()
    assert client.connect()
    exchange.refuses_streams = True
    exchange.close_streams(PUBLIC, abort=True)
    eventually(lambda: witness.lost)
    time.sleep(0.5)
    exchange.refuses_streams = False
    eventually(lambda: witness.back and client.is_connected())
    time.sleep(0.5)
    assert (exchange.connections[PUBLIC], len(witness.lost)) == (2, 1)


@pytest.mark.parametrize("noise", [b"\xf3\x01x", b"\x81\x02\xc3\x28", b"\x83\x01x"])
def test_a_broken_line_is_left_for_a_new_one(
    exchange: Any, streams: Streams, witness: Witness, noise: bytes
) -> None:
    """pybit itself ends for good on an error of the protocol."""
    client = streams.public()
    assert client.connect()
    exchange.write_raw(PUBLIC, noise)
    eventually(lambda: witness.back)
    assert client.is_connected()
    assert client.get_connection_state().rebuilds == 0


def test_half_a_frame_holds_pybit_up_and_the_watchdog_replaces_it(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    client = streams.public(timing=FAST)
    assert client.connect()
    exchange.write_raw(PUBLIC, b"\x81\x7f\x00\x00")
    eventually(lambda: witness.back)
    assert client.is_connected()
    assert client.get_connection_state().rebuilds == 1


def test_a_pause_between_attempts_is_no_standstill(exchange: Any, streams: Streams) -> None:
    exchange.refuses_streams = True
    client = streams.public(
        timing=StreamTiming(
            ping_interval_s=2,
            ping_timeout_s=1,
            socket_check_s=0.1,
            attempt_s=0.4,
            first_pause_s=2.0,
            longest_pause_s=2.0,
        )
    )
    assert not client.connect(timeout_s=0.9)
    assert client.get_connection_state().rebuilds == 0


def test_old_state_is_not_merged_into_a_new_connection(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    client = streams.public()
    assert client.connect()
    exchange.push(PUBLIC, frame(lastPrice="5", markPrice="9"))
    eventually(lambda: len(witness.updates) == 1)
    exchange.close_streams(PUBLIC)
    eventually(lambda: witness.back and client.is_connected())
    exchange.push(PUBLIC, frame(shape="delta", markPrice="1"), frame(lastPrice="7"))
    eventually(lambda: len(witness.updates) == 2)
    event = witness.updates[1].event
    assert event.last_price == 7  # type: ignore[union-attr]  # a ticker
    assert event.mark_price is None  # type: ignore[union-attr]  # a ticker


def test_reconnected_means_subscribed(exchange: Any, streams: Streams, witness: Witness) -> None:
    """State that is read in on_reconnect misses nothing that the stream tells afterwards."""
    client = streams.private()
    assert client.connect()
    held: list[dict[str, Any]] = []
    usual = exchange.acks

    def hold_executions(path: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        if asked.get("args") == ["execution"]:
            held.append(asked)
            return None
        return usual(path, asked)  # type: ignore[no-any-return]  # the scripted exchange

    exchange.acks = hold_executions
    exchange.close_streams(PRIVATE)
    eventually(lambda: held)
    time.sleep(0.2)
    assert witness.back == []
    assert not client.is_connected()
    assert client.get_connection_state().state is StreamState.RECONNECTING
    exchange.push(PRIVATE, usual(PRIVATE, held[-1]))
    eventually(lambda: witness.back)
    assert client.is_connected()


def test_a_subscription_that_is_never_answered_takes_a_new_connection(
    exchange: Any, streams: Streams
) -> None:
    usual = exchange.acks
    exchange.acks = lambda path, asked: None if asked["op"] == "subscribe" else usual(path, asked)
    client = streams.public(timing=FAST)
    assert not client.connect(timeout_s=0.3)
    assert client.get_connection_state().state is StreamState.CONNECTING
    exchange.acks = usual
    eventually(client.is_connected)
    assert exchange.connections[PUBLIC] == 2
    assert client.get_connection_state().rebuilds == 1


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


def test_a_silent_server_is_left(exchange: Any, streams: Streams, witness: Witness) -> None:
    client = streams.private(timing=FAST)
    assert client.connect()
    time.sleep(0.2)
    exchange.is_silent = True
    silent_from = datetime.now(UTC)
    eventually(lambda: witness.lost)
    exchange.is_silent = False
    eventually(client.is_connected)
    # The gap begins with the last sign of life, not with the moment it was noticed.
    assert witness.lost[0] <= silent_from + timedelta(seconds=0.1)


def test_a_quiet_private_stream_is_healthy_and_a_quiet_public_one_is_not(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    timing = StreamTiming(
        ping_interval_s=1.0, ping_timeout_s=0.9, socket_check_s=0.1, silence_s=1.8, steady_s=0.1
    )
    public, private = streams.public(timing=timing), streams.private(timing=timing)
    assert public.connect()
    assert private.connect()
    eventually(lambda: exchange.connections[PUBLIC] == 2)
    eventually(public.is_connected)
    assert public.get_connection_state().rebuilds == 1
    assert exchange.connections[PRIVATE] == 1
    assert private.is_connected()
    assert len(witness.back) == 1


def test_data_keeps_a_public_stream_alive(exchange: Any, streams: Streams) -> None:
    timing = StreamTiming(
        ping_interval_s=2.0, ping_timeout_s=1.9, socket_check_s=0.1, silence_s=1.5, steady_s=0.1
    )
    client = streams.public(timing=timing)
    assert client.connect()
    for number in range(12):
        exchange.push(PUBLIC, trade(number))
        time.sleep(0.2)
    assert exchange.connections[PUBLIC] == 1


def test_heartbeats_are_sent_also_after_failed_attempts(
    exchange: Any, streams: Streams, witness: Witness
) -> None:
    client = streams.public(timing=FAST)
    assert client.connect()
    exchange.refuses_streams = True
    exchange.close_streams(PUBLIC)
    eventually(lambda: witness.lost)
    time.sleep(0.5)
    exchange.refuses_streams = False
    eventually(client.is_connected)
    exchange.frames.clear()
    eventually(lambda: any(asked["op"] == "ping" for _, asked in exchange.frames))


def test_an_exchange_that_is_away_is_not_hammered(exchange: Any, streams: Streams) -> None:
    attempts = 0

    def count(path: str, asked: dict[str, Any]) -> None:
        nonlocal attempts
        attempts += 1

    client = streams.public()
    assert client.connect()
    exchange.acks = count
    exchange.stop_listening()
    exchange.close_streams(PUBLIC, abort=True)
    time.sleep(1.0)
    assert not client.is_connected()
    exchange.acks = exchange.ack
    exchange.listen_again()
    eventually(client.is_connected)
    state = client.get_connection_state()
    assert state.reconnects == 1


def test_a_connection_that_never_lasts_is_tried_less_and_less(
    exchange: Any, streams: Streams
) -> None:
    client = streams.public(
        timing=StreamTiming(
            ping_interval_s=2, ping_timeout_s=1, first_pause_s=0.1, longest_pause_s=5, steady_s=5
        )
    )
    exchange.acks = lambda path, asked: exchange.close_soon(path)
    client.connect(timeout_s=3)
    assert 2 <= exchange.connections[PUBLIC] <= 8


def test_connecting_waits_for_an_exchange_that_comes_later(witness: Witness) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    streams = Streams(port, witness)
    client = streams.public()
    started = time.monotonic()
    assert not client.connect(timeout_s=0.3)
    assert time.monotonic() - started < 2
    client.disconnect()


def test_a_server_that_accepts_and_never_answers_does_not_hold_anything_up(
    witness: Witness,
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        client = Streams(listener.getsockname()[1], witness).public(timing=FAST)
        assert not client.connect(timeout_s=0.2)
        eventually(lambda: client.get_connection_state().rebuilds >= 1)  # watchdog: stuck attempt
        started = time.monotonic()
        client.disconnect()
        assert time.monotonic() - started < 5


def test_disconnect_is_quick_and_final(exchange: Any, streams: Streams, witness: Witness) -> None:
    client = streams.public()
    assert client.connect()
    started = time.monotonic()
    client.disconnect()
    client.disconnect()
    assert time.monotonic() - started < 5
    assert not client.is_connected()
    assert client.get_connection_state().state is StreamState.DISCONNECTED
    eventually(lambda: not exchange.sockets[PUBLIC])
    time.sleep(0.5)
    assert exchange.connections[PUBLIC] == 1  # nobody reconnects
    assert witness.story == []
    assert client.connect()  # and a new beginning is possible
    assert exchange.connections[PUBLIC] == 2


def test_disconnect_is_quick_when_the_server_hangs(exchange: Any, streams: Streams) -> None:
    exchange.is_silent = False
    client = streams.public(timing=StreamTiming())
    assert client.connect()
    exchange.freeze()
    try:
        started = time.monotonic()
        client.disconnect()
        assert time.monotonic() - started < 5
    finally:
        exchange.thaw()


def test_disconnect_is_quick_when_a_callback_hangs(exchange: Any, streams: Streams) -> None:
    release = threading.Event()
    client = streams.public(on_event=lambda update: release.wait(20))
    assert client.connect()
    exchange.push(PUBLIC, trade(1))
    time.sleep(0.2)
    assert client.is_connected()  # it reads nothing while it waits for its consumer
    started = time.monotonic()
    client.disconnect()
    assert time.monotonic() - started < 5
    release.set()


def test_a_consumer_that_is_slow_does_not_look_like_a_dead_connection(
    exchange: Any, streams: Streams
) -> None:
    release = threading.Event()
    client = streams.public(on_event=lambda update: release.wait(20), timing=FAST)
    assert client.connect()
    exchange.push(PUBLIC, trade(1))
    time.sleep(FAST.dead_after_s + 0.5)
    assert client.get_connection_state().rebuilds == 0
    release.set()
    eventually(client.is_connected)


def test_disconnect_from_a_callback_waits_for_nothing(exchange: Any, streams: Streams) -> None:
    took: list[float] = []
    frozen = threading.Event()

    def end(update: StreamUpdate) -> None:
        frozen.wait(5)
        started = time.monotonic()
        client.disconnect()
        took.append(time.monotonic() - started)

    client = streams.public(on_event=end)
    assert client.connect()
    exchange.push(PUBLIC, trade(1))
    exchange.freeze()
    frozen.set()
    eventually(lambda: took)
    exchange.thaw()
    assert took[0] < 2  # a goodbye to a frozen server takes longer


def test_disconnect_from_a_callback(exchange: Any, streams: Streams) -> None:
    took: list[float] = []

    def end(update: StreamUpdate) -> None:
        started = time.monotonic()
        client.disconnect()
        took.append(time.monotonic() - started)

    client = streams.public(on_event=end)
    assert client.connect()
    exchange.push(PUBLIC, trade(1), trade(2))
    eventually(lambda: took)
    assert took[0] < 2
    eventually(lambda: not exchange.sockets[PUBLIC])


def test_disconnect_from_the_callback_of_a_lost_connection(exchange: Any, streams: Streams) -> None:
    ended = threading.Event()

    def end(ts: datetime) -> None:
        client.disconnect()
        ended.set()

    client = streams.public(on_disconnect=end)
    assert client.connect()
    exchange.close_streams(PUBLIC, abort=True)
    assert ended.wait(5)
    time.sleep(0.3)
    assert exchange.connections[PUBLIC] == 1


def test_reset_takes_a_new_connection(exchange: Any, streams: Streams, witness: Witness) -> None:
    client = streams.public()
    client.reset()  # nothing to reset yet
    assert client.connect()
    client.reset()
    eventually(lambda: witness.back)
    assert client.is_connected()
    assert exchange.connections[PUBLIC] == 2
    eventually(lambda: len(exchange.sockets[PUBLIC]) == 1)
    assert witness.story == ["lost", "back"]
    exchange.push(PUBLIC, trade(1))
    eventually(lambda: witness.updates)
    assert len(witness.updates) == 1  # the old connection says nothing any more


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


def test_many_short_lives_leave_no_threads_behind(exchange: Any, streams: Streams) -> None:
    before = threading.active_count()
    for _ in range(10):
        client = streams.public()
        assert client.connect()
        client.disconnect()
    eventually(lambda: threading.active_count() <= before)


def test_no_connection_dies_of_answers_that_come_at_once(exchange: Any, streams: Streams) -> None:
    """pybit itself loses a few of a hundred connections to this race."""
    for _ in range(60):
        client = streams.public(ticker_symbols=["A", "B", "C"])
        assert client.connect()
        assert client.is_connected()
        client.disconnect()
    assert exchange.connections[PUBLIC] == 60
