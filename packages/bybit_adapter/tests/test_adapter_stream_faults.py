"""A stream under random faults, and its way into an event loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

import pytest

from bybit_adapter import (
    Environment,
    EventQueue,
    PublicWebSocketClient,
    StreamTiming,
    StreamUpdate,
    ticker_symbol,
)
from testkit.streams import MS, PUBLIC, frame, trade
from testkit.waiting import eventually

FAST = StreamTiming(
    ping_interval_s=0.5,
    ping_timeout_s=0.25,
    socket_check_s=0.1,
    silence_s=30,
    attempt_s=1.0,
    steady_s=0.1,
    first_pause_s=0.02,
    longest_pause_s=0.2,
)


def ticker(number: int) -> dict[str, Any]:
    return frame(lastPrice=str(number)) | {"ts": MS + number, "cs": number}


@pytest.mark.parametrize("seed", range(6))
def test_after_any_faults_one_connection_lives_and_every_gap_is_told(
    exchange: Any, seed: int
) -> None:
    random = Random(seed)
    story: list[str] = []
    seen: list[str] = []
    lock = threading.Lock()

    def on_event(update: StreamUpdate) -> None:
        with lock:
            seen.append(update.record.trade_id)  # type: ignore[union-attr]  # a trade

    def on_disconnect(ts: datetime) -> None:
        story.append("lost")

    def on_reconnect(disconnected_at: datetime, reconnected_at: datetime) -> None:
        assert disconnected_at <= reconnected_at
        story.append("back")

    client = PublicWebSocketClient(
        Environment.local(exchange.port),
        trade_symbols=["BTCUSDT"],
        on_event=on_event,
        on_disconnect=on_disconnect,
        on_reconnect=on_reconnect,
        timing=FAST,
        random=random,
    )
    assert client.connect()
    usual = exchange.acks
    for number in range(12):
        match random.randrange(6):
            case 0:
                exchange.close_streams(PUBLIC)
            case 1:
                exchange.close_streams(PUBLIC, abort=True)
            case 2:
                exchange.is_silent = not exchange.is_silent
            case 3:
                exchange.refuses_streams = not exchange.refuses_streams
            case 4:
                client.reset()
            case _:  # the connection breaks while it subscribes
                exchange.acks = lambda path, asked: exchange.close_soon(path)
        time.sleep(random.random() * 0.4)
        exchange.acks = usual
        exchange.push(PUBLIC, trade(number))
    exchange.is_silent = exchange.refuses_streams = False
    deadline = time.monotonic() + 40
    while not (client.is_connected() and len(exchange.sockets[PUBLIC]) == 1):
        assert time.monotonic() < deadline, client.get_connection_state()
        time.sleep(0.02)
    exchange.push(PUBLIC, trade(1000))
    eventually(lambda: "t1000" in seen)
    client.disconnect()
    assert seen == sorted(seen, key=lambda name: int(name[1:]))
    assert len(seen) == len(set(seen))
    assert story == ["lost", "back"] * (len(story) // 2)


async def test_events_reach_the_loop_in_order_of_arrival(exchange: Any) -> None:
    queue: EventQueue[StreamUpdate] = EventQueue(ticker_symbol)
    client = PublicWebSocketClient(
        Environment.local(exchange.port),
        ticker_symbols=["BTCUSDT"],
        trade_symbols=["BTCUSDT"],
        on_event=queue.put,
        timing=FAST,
    )
    assert await asyncio.to_thread(client.connect)
    frames = [frame for n in range(1, 501) for frame in (ticker(n), trade(n))]
    sending = asyncio.create_task(asyncio.to_thread(exchange.push, PUBLIC, *frames))
    found: list[StreamUpdate] = []
    while (
        not found
        or found[-1].symbol != "BTCUSDT"
        or getattr(found[-1].record, "trade_id", "") != "t500"
    ):
        update = await asyncio.wait_for(queue.get(), 10)
        assert update is not None
        found.append(update)
    await sending
    trades = [u.record.trade_id for u in found if ticker_symbol(u) is None]  # type: ignore[union-attr]  # trades
    assert trades == [f"t{n}" for n in range(1, 501)]
    prices = [u.event.last_price for u in found if ticker_symbol(u)]  # type: ignore[union-attr]  # tickers
    assert prices == sorted(prices)
    assert prices[-1] == 500
    await asyncio.to_thread(client.disconnect)
    queue.close()
    assert await queue.get() is None


@pytest.mark.parametrize("count", [3, 300])  # less and more than one read takes
def test_frames_that_come_in_one_piece_do_not_wait_for_more(exchange: Any, count: int) -> None:
    seen: list[StreamUpdate] = []
    client = PublicWebSocketClient(
        Environment.local(exchange.port), trade_symbols=["BTCUSDT"], on_event=seen.append
    )
    assert client.connect()
    texts = [json.dumps(trade(number)).encode().ljust(200) for number in range(count)]
    frames = [b"\x81\x7e" + len(text).to_bytes(2, "big") + text for text in texts]
    exchange.write_raw(PUBLIC, b"".join(frames)[:-20])
    eventually(lambda: len(seen) == count - 1)
    exchange.write_raw(PUBLIC, frames[-1][-20:])
    eventually(lambda: len(seen) == count)
    client.disconnect()


def test_whatever_arrives_answers_a_heartbeat(exchange: Any) -> None:
    """The real answer may wait behind the frames that arrived before it."""
    seen: list[StreamUpdate] = []
    client = PublicWebSocketClient(
        Environment.local(exchange.port),
        trade_symbols=["BTCUSDT"],
        on_event=seen.append,
        timing=replace(FAST, ping_interval_s=1.0, ping_timeout_s=0.9),
    )
    assert client.connect()
    exchange.is_silent = True  # no heartbeat is answered from here on
    for number in range(50):
        exchange.push(PUBLIC, trade(number))
        time.sleep(0.1)
    assert len(seen) == 50
    assert exchange.connections[PUBLIC] == 1
    client.disconnect()


def test_a_listener_that_is_behind_keeps_its_connection(exchange: Any) -> None:
    seen: list[StreamUpdate] = []
    all_sent = threading.Event()

    def on_event(update: StreamUpdate) -> None:
        all_sent.wait(30)
        time.sleep(0.005)
        seen.append(update)

    client = PublicWebSocketClient(
        Environment.local(exchange.port),
        trade_symbols=["BTCUSDT"],
        on_event=on_event,
        timing=replace(FAST, ping_interval_s=1.0, ping_timeout_s=0.9),
    )
    assert client.connect()
    exchange.push(PUBLIC, *(trade(number) for number in range(900)))
    all_sent.set()
    deadline = time.monotonic() + 40
    while len(seen) < 900:
        assert time.monotonic() < deadline, client.get_connection_state()
        time.sleep(0.02)
    assert exchange.connections[PUBLIC] == 1
    client.disconnect()
