"""Orders go out with the call; the answer is read, once, by a thread that may wait."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import requests

from bybit_adapter import (
    AmbiguousResult,
    AuthError,
    BybitAsyncClient,
    BybitRestClient,
    Environment,
    ExchangeUnavailable,
    OrderAck,
    OrderKey,
    OrderNotFound,
    RateLimiter,
)
from bybit_adapter.basics.orders_first import LONGEST_S, OrdersFirst
from bybit_adapter.http.by_requests import RequestsConnections, by_requests
from bybit_adapter.http.connections import DirectConnections, Line
from bybit_adapter.http.rate_limiter import AddressWindow
from bybit_adapter.http.thread_pool import PoolClosedError
from testkit.rest import ORDER, SERVER_TIME, connect

KEY = OrderKey(symbol="BTCUSDT", order_id="1")
CREATE, CANCEL, TIME = "/v5/order/create", "/v5/order/cancel", "/v5/market/time"
ACK = {"orderId": "o", "orderLinkId": ORDER.order_link_id}


class HandClock:
    """Stands still; who sleeps is noted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[tuple[str, float]] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append((threading.current_thread().name, seconds))
        self.seconds += seconds


@pytest.fixture
def rest(exchange: Any) -> Iterator[BybitRestClient]:
    with connect(exchange.port) as made:
        yield made


@pytest.fixture
def client(rest: BybitRestClient) -> Iterator[BybitAsyncClient]:
    made = BybitAsyncClient(rest)
    yield made
    made.close()


def without_the_loop(condition: Callable[[], bool]) -> None:
    """Wait while the event loop stands still."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it needs the event loop"
        time.sleep(0.005)


def threads_that_called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the thread of each request that is written or exchanged."""
    seen: list[str] = []
    for kind, name in ((Line, "write"), (DirectConnections, "exchange"),
                       (RequestsConnections, "exchange")):  # fmt: skip
        usual = getattr(kind, name)

        def noted(*args: Any, usual: Any = usual, name: str = name) -> Any:
            seen.append(f"{name} on {threading.current_thread().name.rstrip('0123456789')}")
            return usual(*args)

        monkeypatch.setattr(kind, name, noted)
    return seen


async def test_an_order_is_on_its_way_before_anybody_awaits_it(
    exchange: Any, client: BybitAsyncClient
) -> None:
    exchange.on(CREATE, exchange.reply(ACK))
    await client.place_order(ORDER)  # makes the connection
    underway = client.place_order(ORDER)
    without_the_loop(lambda: len(exchange.calls) == 2)
    assert (await underway).order_id == "o"
    assert len(exchange.calls) == 2
    assert exchange.calls[1].is_signed_with("the-secret")


async def test_what_needs_waiting_is_left_to_a_thread(
    exchange: Any, rest: BybitRestClient, client: BybitAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = threads_that_called(monkeypatch)
    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on(CANCEL, exchange.reply({"orderId": "1"}, delay_s=0.3))
    await client.place_order(ORDER)  # there is no connection yet
    await client.place_order(ORDER)
    slow = [client.cancel_order(KEY), client.cancel_order(KEY)]  # for the second one neither
    await asyncio.gather(*slow)
    promptly, later = "write on MainThread", "exchange on bybit-rest-"
    assert seen == [later, promptly, promptly, later]
    assert len(exchange.calls) == 4


async def test_errors_are_told_to_whoever_awaits(exchange: Any, client: BybitAsyncClient) -> None:
    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on(CANCEL, exchange.reply(code=110001))
    await client.place_order(ORDER)
    underway = client.cancel_order(KEY)
    with pytest.raises(OrderNotFound):
        await underway
    with pytest.raises(ValueError, match="give a new qty or price"):
        await client.amend_order(KEY)
    with connect(exchange.port, api_key="", api_secret="") as nobody:
        anonymous = BybitAsyncClient(nobody)
        with pytest.raises(AuthError, match="needs keys"):
            await anonymous.place_order(ORDER)
        anonymous.close()


async def test_the_answer_to_an_order_that_nobody_awaits_is_not_taken_for_another(
    exchange: Any, client: BybitAsyncClient
) -> None:
    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on(CANCEL, exchange.reply({"orderId": "1", "orderLinkId": ""}))
    await client.place_order(ORDER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.place_order(ORDER)
        task = asyncio.ensure_future(client.place_order(ORDER))
        task.cancel()  # before it runs
        await asyncio.gather(task, return_exceptions=True)
        gc.collect()
    for _ in range(20):
        assert (await client.cancel_order(KEY)).order_id == "1"
    assert [call.path for call in exchange.calls].count(CREATE) == 3


@pytest.mark.parametrize("failure", [{"hang_up": True}, {"body": b"<html>"}, {"status": 502}])
async def test_an_order_whose_answer_is_lost_is_in_doubt_and_never_sent_again(
    exchange: Any, client: BybitAsyncClient, failure: dict[str, Any]
) -> None:
    fine, lost = exchange.reply(ACK), exchange.reply(**failure)
    exchange.on(CREATE, fine, lost, fine)
    await client.place_order(ORDER)
    with pytest.raises(AmbiguousResult):
        await client.place_order(ORDER)
    assert len(exchange.calls) == 2
    assert (await client.place_order(ORDER)).order_id == "o"


async def test_no_answer_in_time_is_in_doubt(exchange: Any) -> None:
    exchange.on(CREATE, exchange.reply(ACK), exchange.reply(ACK, delay_s=5), exchange.reply(ACK))
    with connect(exchange.port, order_timeout_s=0.5) as rest:
        client = BybitAsyncClient(rest)
        await client.place_order(ORDER)
        with pytest.raises(AmbiguousResult, match="no answer in time"):
            await client.place_order(ORDER)
        assert (await client.place_order(ORDER)).order_id == "o"
        client.close()
    assert len(exchange.calls) == 3


async def test_many_orders_in_several_requests(
    exchange: Any, rest: BybitRestClient, client: BybitAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcomes(call: Any) -> Any:
        rows = call.json["request"]
        return exchange.reply(
            {"list": [{"orderId": str(i), "orderLinkId": row["orderLinkId"]}
                      for i, row in enumerate(rows)]},
            extra={"list": [{"code": 0, "msg": "OK"} for _ in rows]},
        )  # fmt: skip

    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on("/v5/order/create-batch", outcomes)
    await client.place_order(ORDER)
    seen = threads_that_called(monkeypatch)
    links = [f"0123456789abcdef-{number}" for number in range(25)]
    orders = [ORDER.__class__(**{**fields(ORDER), "order_link_id": link}) for link in links]
    acks = await client.place_batch(orders)
    assert [ack.order_link_id for ack in acks if isinstance(ack, OrderAck)] == links
    sizes = [len(call.json["request"]) for call in exchange.calls[1:]]
    assert sizes == [10, 10, 5]
    assert seen == ["write on MainThread", *["exchange on bybit-rest-"] * 2]


def fields(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in type(order).__dataclass_fields__}


async def test_the_limit_is_neither_waited_for_on_the_loop_nor_counted_twice(exchange: Any) -> None:
    clock = HandClock()
    limiter = RateLimiter(clock=clock, random=Random(1), address=AddressWindow())
    exchange.on(CREATE, exchange.reply(ACK))
    place = Environment.local(exchange.port)
    with BybitRestClient("key", "secret", place, limiter=limiter, clock=clock) as rest:
        client = BybitAsyncClient(rest)
        for _ in range(10):  # as many as a second allows, by a thread and promptly
            await client.place_order(ORDER)
        assert clock.slept == []
        await client.place_order(ORDER)
        assert len(clock.slept) == 1
        assert clock.slept[0][0].startswith("bybit-rest-")
        client.close()


async def test_a_pool_that_is_closed_meanwhile_leaves_the_order_in_doubt(
    exchange: Any, client: BybitAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been written must not be called unsent."""
    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on(CANCEL, exchange.reply({"orderId": "1", "orderLinkId": ""}))
    await client.place_order(ORDER)

    def closed(*_: Any) -> None:
        raise PoolClosedError("the pool is closed")

    with monkeypatch.context() as patched:
        patched.setattr(client._pool, "submit", closed)
        with pytest.raises(AmbiguousResult, match="answer was not read"):
            await client.place_order(ORDER)
    without_the_loop(lambda: len(exchange.calls) == 2)
    assert (await client.cancel_order(KEY)).order_id == "1"  # on another connection


async def test_where_no_thread_would_read_the_answer_nothing_is_written(exchange: Any) -> None:
    exchange.on(CREATE, exchange.reply(ACK, delay_s=1.0))
    with connect(exchange.port) as rest:
        many = BybitAsyncClient(rest)
        await asyncio.gather(*(many.place_order(ORDER) for _ in range(4)))
        many._pool.close()  # and not the connections
        client = BybitAsyncClient(rest, workers=4, turn_s=0.2)
        outcomes = await asyncio.gather(
            *(client.place_order(ORDER) for _ in range(3)), return_exceptions=True
        )
        # two of four threads are for placing
        assert [type(one) for one in outcomes] == [OrderAck, OrderAck, ExchangeUnavailable]
        assert len(exchange.calls) == 6
        client.close()


async def test_a_closed_client_sends_nothing(exchange: Any, client: BybitAsyncClient) -> None:
    exchange.on(CREATE, exchange.reply(ACK))
    await client.place_order(ORDER)
    client.close()
    with pytest.raises(ExchangeUnavailable, match="not sent"):
        await client.place_order(ORDER)
    assert len(exchange.calls) == 1


async def test_behind_a_proxy_the_loop_does_not_wait(
    exchange: Any, rest: BybitRestClient, client: BybitAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest.transport.writes = by_requests(rest.environment.rest_url, 15.0, 1, requests.Session())
    seen = threads_that_called(monkeypatch)
    exchange.on(CREATE, exchange.reply(ACK))
    for _ in range(3):
        assert (await client.place_order(ORDER)).order_id == "o"
    assert seen == ["exchange on bybit-rest-"] * 3


@pytest.mark.parametrize("closes", [False, True])
async def test_a_line_that_takes_nothing_in_holds_the_loop_up_for_a_moment_only(
    exchange: Any,
    rest: BybitRestClient,
    client: BybitAsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    closes: bool,
) -> None:
    """Part of the order may have been sent, also where no thread is there any more."""
    exchange.on(CREATE, exchange.reply(ACK))
    await client.place_order(ORDER)
    (line,) = [one for one in rest.transport.writes._pool.pool.queue if one]  # type: ignore[attr-defined]  # a direct one

    def closed(*_: Any) -> None:
        raise PoolClosedError("the pool is closed")

    exchange.freeze()
    try:
        line.sock.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                line.sock.send(bytes(1 << 20))
        if closes:
            monkeypatch.setattr(client._pool, "submit", closed)
        begun = time.monotonic()
        underway = client.place_order(ORDER)
        assert time.monotonic() - begun < 10  # the answer's own timeout is 15 s
        with pytest.raises(AmbiguousResult):
            await underway
    finally:
        exchange.thaw()


async def test_a_query_is_no_order(exchange: Any, client: BybitAsyncClient) -> None:
    exchange.on(TIME, exchange.reply(SERVER_TIME))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        never = client.get_server_time()
        await asyncio.sleep(0.2)
        assert exchange.calls == []
        never.close()


async def test_others_wait_until_the_loop_has_done_what_it_has_to_do() -> None:
    way = OrdersFirst()
    story: list[str] = []
    passed = threading.Event()

    def other() -> None:
        way.stand_back()
        story.append("other")
        passed.set()

    way.stand_back()  # nobody has taken it
    way.claim()
    asyncio.get_running_loop().call_soon(lambda: story.append(f"free {way._is_free.is_set()}"))
    way.claim()  # the next order
    way._until += 60  # in place of the limit, which another test looks at
    way.stand_back()  # who has taken it does not wait for itself
    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.1)  # noqa: ASYNC251 - the loop is busy
    assert story == []
    while not passed.is_set():  # noqa: ASYNC110 - of a thread
        await asyncio.sleep(0)
    thread.join()
    assert story == ["free False", "other"]


def test_nobody_waits_for_a_loop_that_has_gone() -> None:
    way = OrdersFirst()

    async def take() -> None:
        way.claim()
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    task = loop.create_task(take())
    loop.run_forever()
    del task
    loop.close()
    way._holder = 0
    for _ in range(3):
        way.stand_back()
    begun = time.monotonic()
    way.stand_back()
    assert time.monotonic() - begun < 50 * LONGEST_S
