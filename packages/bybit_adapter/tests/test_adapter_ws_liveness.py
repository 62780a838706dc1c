"""What counts as a live connection, and how often a new one is tried."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bybit_adapter.streams.connection import StreamTiming
from testkit.streams import FAST, PRIVATE, PUBLIC, Streams, Witness, trade
from testkit.waiting import eventually


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
