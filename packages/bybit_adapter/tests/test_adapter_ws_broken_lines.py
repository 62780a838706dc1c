"""A stream whose connection breaks comes back whole, and tells the gap once."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from bybit_adapter.streams.pybit_socket import PybitSocket
from bybit_adapter.streams.ws_client import StreamState
from testkit.streams import FAST, PRIVATE, PUBLIC, Streams, Witness, frame
from testkit.waiting import eventually


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
