"""Disconnecting and resetting: quick whatever hangs, final, and nothing is left behind."""

from __future__ import annotations

import socket
import threading
import time
from datetime import datetime
from typing import Any

import pytest

from bybit_adapter.records.normalizer import StreamUpdate
from bybit_adapter.streams.connection import StreamTiming
from bybit_adapter.streams.ws_client import StreamState
from testkit.streams import FAST, PUBLIC, Streams, Witness, trade
from testkit.waiting import eventually


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


@pytest.mark.slow
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
