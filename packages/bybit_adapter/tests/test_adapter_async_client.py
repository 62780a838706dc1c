from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bybit_adapter.basics.errors import AmbiguousResult, ExchangeUnavailable, OrderNotFound
from bybit_adapter.http.endpoints import Priority
from bybit_adapter.http.thread_pool import DaemonPool, Job, PoolClosedError
from bybit_adapter.records.requests import OrderKey
from bybit_adapter.rest.async_client import BybitAsyncClient
from bybit_adapter.rest.client import BybitRestClient
from testkit.rest import ORDER, SERVER_TIME, connect

KEY = OrderKey(symbol="BTCUSDT", order_id="1")


@pytest.fixture
def rest(exchange: Any) -> Iterator[BybitRestClient]:
    with connect(exchange.port) as made:
        yield made


async def all_begun(jobs: list[Job]) -> None:
    for _ in range(500):
        if all(job.has_started for job in jobs):
            return
        await asyncio.sleep(0.01)
    pytest.fail("the calls did not begin")


async def test_results_and_errors_are_those_of_the_blocking_client(
    exchange: Any, rest: BybitRestClient
) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME))
    exchange.on("/v5/order/cancel", exchange.reply(code=110001))
    client = BybitAsyncClient(rest)
    assert (await client.get_server_time()).year == 2023
    with pytest.raises(OrderNotFound):
        await client.cancel_order(KEY)
    client.close()


def test_every_method_of_the_blocking_client_is_awaitable_here() -> None:
    prompt = set()
    for name, method in inspect.getmembers(BybitRestClient, inspect.isfunction):
        if name.startswith("_") or name == "close":
            continue
        twin = getattr(BybitAsyncClient, name)
        if not inspect.iscoroutinefunction(twin):
            prompt.add(name)
        assert twin.__doc__ == method.__doc__
        assert inspect.signature(twin) == inspect.signature(method)
    assert prompt == {
        *("place_order", "place_batch", "amend_order"),
        *("cancel_order", "cancel_batch", "cancel_all_orders"),
    }


async def test_the_loop_goes_on_while_calls_are_under_way(
    exchange: Any, rest: BybitRestClient
) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME, delay_s=0.3))
    client = BybitAsyncClient(rest)
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    task = asyncio.create_task(beat())
    await asyncio.gather(*(client.get_server_time() for _ in range(4)))
    task.cancel()
    assert beats >= 10
    client.close()


async def test_a_write_that_hangs_becomes_ambiguous(exchange: Any, rest: BybitRestClient) -> None:
    exchange.on("/v5/order/create", exchange.reply(delay_s=5))
    client = BybitAsyncClient(rest, write_deadline_s=0.2)
    started = time.monotonic()
    with pytest.raises(AmbiguousResult, match="no outcome"):
        await client.place_order(ORDER)
    assert time.monotonic() - started < 2
    client.close()


async def test_a_write_that_never_found_a_thread_is_not_ambiguous(
    exchange: Any, rest: BybitRestClient
) -> None:
    exchange.on("/v5/order/create", exchange.reply(delay_s=1))
    client = BybitAsyncClient(rest, workers=4, write_deadline_s=0.6, turn_s=0.2)
    outcomes = await asyncio.gather(
        *(client.place_order(ORDER) for _ in range(5)), return_exceptions=True
    )
    kinds = [type(outcome) for outcome in outcomes]
    # of the four threads one is kept for cancels, one for them and for looking orders up
    assert kinds.count(AmbiguousResult) == 2
    assert kinds.count(ExchangeUnavailable) == 3
    assert len(exchange.calls) == 2
    client.close()


async def test_an_order_is_looked_up_however_many_other_calls_hang(
    exchange: Any, rest: BybitRestClient, order_row: dict[str, Any]
) -> None:
    exchange.on("/v5/execution/list", exchange.reply(delay_s=2))
    exchange.on("/v5/order/create", exchange.reply(delay_s=2))
    exchange.on("/v5/order/realtime", exchange.rows(order_row))
    client = BybitAsyncClient(rest, workers=4)
    hanging = [asyncio.create_task(client.get_executions_all("BTCUSDT")) for _ in range(4)]
    hanging += [asyncio.ensure_future(client.place_order(ORDER)) for _ in range(4)]
    await asyncio.sleep(0.1)
    key = OrderKey(symbol="BTCUSDT", order_id=order_row["orderId"])
    found = await asyncio.wait_for(client.find_order(key), 1.5)
    assert found is not None
    assert not any(task.done() for task in hanging)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    client.close()


async def test_a_query_that_hangs_ends_and_leaves_its_place_to_others(
    exchange: Any, rest: BybitRestClient
) -> None:
    exchange.on("/v5/account/info", exchange.reply(delay_s=3))
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME))
    client = BybitAsyncClient(rest, workers=4, query_deadline_s=0.3)
    outcomes = await asyncio.gather(
        *(client.get_account_info() for _ in range(2)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ExchangeUnavailable] * 2
    assert "no outcome" in str(outcomes[0])
    # both threads that queries may have are still in those calls
    assert (await asyncio.wait_for(client.get_server_time(), 1.5)).year == 2023
    client.close()


async def test_a_write_has_its_whole_deadline_however_long_it_waited_for_a_thread(
    exchange: Any, rest: BybitRestClient
) -> None:
    # else a call given up while it waits for the rate limit would be sent after the order was
    # looked up and judged absent
    result = {"orderId": "1", "orderLinkId": ORDER.order_link_id}
    exchange.on("/v5/order/create", exchange.reply(result, delay_s=0.6))
    client = BybitAsyncClient(rest, workers=4, write_deadline_s=1.0)
    acks = await asyncio.gather(*(client.place_order(ORDER) for _ in range(4)))
    assert [ack.order_id for ack in acks] == ["1"] * 4
    client.close()


async def test_closing_does_not_wait_for_a_call_that_hangs(
    exchange: Any, rest: BybitRestClient
) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME, delay_s=3))
    client = BybitAsyncClient(rest)
    call = asyncio.create_task(client.get_server_time())
    await asyncio.sleep(0.2)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 0.5
    with pytest.raises(ExchangeUnavailable, match="not sent"):
        await client.get_server_time()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    names = [thread for thread in threading.enumerate() if thread.name.startswith("bybit-rest")]
    assert all(thread.daemon for thread in names)


async def test_a_cancel_finds_a_thread_however_many_other_calls_hang() -> None:
    pool = DaemonPool(workers=4)
    release = threading.Event()
    jobs = [pool.submit(Priority.QUERY, lambda: release.wait(10)) for _ in range(10)]
    jobs += [pool.submit(Priority.PLACE, lambda: release.wait(10)) for _ in range(10)]
    cancel = pool.submit(Priority.CANCEL, lambda: "done")
    assert await asyncio.wait_for(cancel.future, 5) == "done"
    release.set()
    await asyncio.wait_for(asyncio.gather(*(job.future for job in jobs)), 10)
    pool.close()


async def test_waiting_calls_go_by_urgency_and_then_by_age() -> None:
    pool = DaemonPool(workers=4)
    release = threading.Event()
    done: list[str] = []
    blockers = [pool.submit(Priority.CANCEL, lambda: release.wait(10)) for _ in range(4)]
    wanted = [
        (Priority.QUERY, "q1"),
        (Priority.PLACE, "p1"),
        (Priority.QUERY, "q2"),
        (Priority.CANCEL, "c1"),
        (Priority.PLACE, "p2"),
    ]
    begun = threading.Lock()

    def work(name: str) -> None:
        with begun:
            done.append(name)
            time.sleep(0.02)

    jobs = [pool.submit(priority, lambda name=name: work(name)) for priority, name in wanted]
    await all_begun(blockers)
    release.set()
    await asyncio.wait_for(asyncio.gather(*(job.future for job in jobs)), 10)
    assert done[0] == "c1"
    assert done.index("p1") < done.index("q2")
    pool.close()


async def test_a_call_whose_caller_gave_up_is_not_begun() -> None:
    pool = DaemonPool(workers=4)
    release = threading.Event()
    begun: list[str] = []
    blockers = [pool.submit(Priority.QUERY, lambda: release.wait(10)) for _ in range(2)]
    late = pool.submit(Priority.QUERY, lambda: begun.append("late"))
    assert pool.withdraw(late)
    await all_begun(blockers)
    assert not pool.withdraw(blockers[0])
    release.set()
    await asyncio.gather(*(job.future for job in blockers))
    await pool.submit(Priority.QUERY, lambda: begun.append("next")).future
    assert begun == ["next"]
    pool.close()


async def test_waiting_calls_fail_when_the_pool_closes() -> None:
    pool = DaemonPool(workers=4)
    release = threading.Event()
    running = [pool.submit(Priority.QUERY, lambda: release.wait(10)) for _ in range(2)]
    waiting = pool.submit(Priority.QUERY, lambda: "never")
    await all_begun(running)
    pool.close()
    with pytest.raises(PoolClosedError):
        await asyncio.wait_for(waiting.future, 5)
    with pytest.raises(PoolClosedError):
        pool.submit(Priority.QUERY, lambda: "never")
    release.set()
    assert await asyncio.gather(*(job.future for job in running)) == [True, True]


def test_a_pool_too_small_to_keep_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room for cancels"):
        DaemonPool(workers=3)
