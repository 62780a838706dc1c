from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from bybit_adapter.records.normalizer import BybitNormalizer
from bybit_adapter.streams.event_queue import EventQueue, ticker_symbol

Item = tuple[str, int]


def key_of(item: Item) -> str | None:
    """Return the symbol of a ticker item; everything else has no key."""
    return item[0] if item[0].startswith("ticker") else None


async def drain(queue: EventQueue[Item]) -> list[Item]:
    found = []
    while (item := queue.get_nowait()) is not None:
        found.append(item)
    return found


async def somebody_waits(queue: EventQueue[Item]) -> None:
    for _ in range(500):
        if queue.waits:
            return
        await asyncio.sleep(0.01)
    pytest.fail("nobody waits for room")


async def test_order_of_arrival_is_kept_between_threads() -> None:
    queue: EventQueue[Item] = EventQueue(key_of)

    def produce(name: str) -> None:
        for number in range(2000):
            queue.put((name, number))

    threads = [threading.Thread(target=produce, args=(f"trade{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    seen: dict[str, list[int]] = {}
    for _ in range(8000):
        item = await asyncio.wait_for(queue.get(), 10)
        assert item is not None
        seen.setdefault(item[0], []).append(item[1])
    assert all(numbers == list(range(2000)) for numbers in seen.values())
    for thread in threads:
        thread.join(10)


async def test_a_waiting_consumer_is_woken() -> None:
    queue: EventQueue[Item] = EventQueue(key_of)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0.05)
    threading.Thread(target=queue.put, args=(("order", 1),)).start()
    assert await asyncio.wait_for(waiting, 5) == ("order", 1)


async def test_a_consumer_that_keeps_up_sees_every_ticker() -> None:
    queue: EventQueue[Item] = EventQueue(key_of, conflate_from=100)
    for number in range(50):
        queue.put(("tickerA", number))
    assert await drain(queue) == [("tickerA", number) for number in range(50)]
    assert queue.conflated == 0


async def test_when_it_is_behind_only_the_newest_ticker_of_a_symbol_waits() -> None:
    queue: EventQueue[Item] = EventQueue(key_of, conflate_from=3)
    queue.put(("order", 0))
    queue.put(("tickerA", 1))
    queue.put(("trade", 2))
    for number in range(3, 100):
        queue.put(("tickerA", number))
        queue.put(("tickerB", number))
    queue.put(("trade", 100))
    assert len(queue) == 5
    assert queue.conflated == 97 + 96
    assert await drain(queue) == [
        ("order", 0),
        ("tickerA", 99),
        ("trade", 2),
        ("tickerB", 99),
        ("trade", 100),
    ]
    queue.put(("tickerA", 101))
    assert await drain(queue) == [("tickerA", 101)]


async def test_what_is_no_ticker_waits_for_room_and_is_never_dropped() -> None:
    queue: EventQueue[Item] = EventQueue(key_of, max_size=10)

    def produce() -> None:
        for number in range(100):
            queue.put(("execution", number))

    thread = threading.Thread(target=produce)
    thread.start()
    await somebody_waits(queue)
    assert len(queue) == 10
    items = [await asyncio.wait_for(queue.get(), 5) for _ in range(100)]
    assert items == [("execution", number) for number in range(100)]
    thread.join(5)


async def test_the_loop_s_own_thread_never_waits_for_itself() -> None:
    queue: EventQueue[Item] = EventQueue(key_of, max_size=2)
    for number in range(5):
        queue.put(("result", number))
    assert len(await drain(queue)) == 5


async def test_closing_frees_producers_and_consumer() -> None:
    queue: EventQueue[Item] = EventQueue(key_of, max_size=1)
    queue.put(("order", 1))
    thread = threading.Thread(target=queue.put, args=(("order", 2),))
    thread.start()
    await somebody_waits(queue)
    queue.close()
    thread.join(5)
    assert not thread.is_alive()
    assert await queue.get() == ("order", 1)  # what had arrived still comes out
    assert await queue.get() is None
    queue.put(("order", 3))
    assert await queue.get() is None


def test_putting_after_the_loop_has_ended_is_harmless() -> None:
    async def make() -> EventQueue[Item]:
        return EventQueue(key_of)

    queue = asyncio.run(make())
    queue.put(("order", 1))
    queue.close()


def test_only_tickers_have_a_key() -> None:
    normalizer = BybitNormalizer()
    now = datetime(2026, 8, 9, tzinfo=UTC)
    ms = 1762199126022
    frame = {"topic": "tickers.X", "type": "snapshot", "ts": ms, "data": {"symbol": "X"}}
    (ticker,) = normalizer.normalize(frame, now)
    row = {"T": ms, "s": "X", "S": "Buy", "v": "1", "p": "5", "i": "a"}
    (trade,) = normalizer.normalize({"topic": "publicTrade.X", "data": [row]}, now)
    assert ticker_symbol(ticker) == "X"
    assert ticker_symbol(trade) is None
