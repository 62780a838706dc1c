"""The way to the wire: sign, write, read; what cannot be written at once is neither sent nor
counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from pybit.unified_trading import HTTP  # type: ignore[import-untyped]  # it has no types

from bybit_adapter import (
    AmbiguousResult,
    AuthError,
    BybitRestClient,
    Environment,
    OrderKey,
    OrderNotFound,
    RateLimiter,
)
from bybit_adapter.http.rate_limiter import AddressWindow
from bybit_adapter.http.wire import NotNow, Pending, Wire
from bybit_adapter.rest import commands
from testkit.rest import ORDER, connect

CREATE, CANCEL = "/v5/order/create", "/v5/order/cancel"
ACK = {"orderId": "o", "orderLinkId": ORDER.order_link_id}
PLACE = commands.place_order(ORDER)
TAKE_BACK = commands.cancel_order(OrderKey(symbol="BTCUSDT", order_id="1"))


class StandingClock:
    """Stands still; who sleeps is noted."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def wire(exchange: Any, clock: StandingClock) -> Iterator[Wire]:
    """A wire of one connection, open already."""
    exchange.on(CREATE, exchange.reply(ACK))
    exchange.on(CANCEL, exchange.reply({"orderId": "1", "orderLinkId": ""}))
    limiter = RateLimiter(clock=clock, random=Random(1), address=AddressWindow())
    place = Environment.local(exchange.port)
    with BybitRestClient(
        "key", "the-secret", place, limiter=limiter, clock=clock, connections=1
    ) as rest:
        assert rest.wire.send(TAKE_BACK).order_id == "1"
        yield rest.wire


def written(wire: Wire, command: Any = PLACE) -> Pending[Any]:
    pending = wire.write(wire.sign(command))
    assert isinstance(pending, Pending)
    return pending


def test_one_thread_signs_and_writes_and_another_one_reads(exchange: Any, wire: Wire) -> None:
    pending = written(wire)
    with ThreadPoolExecutor(1) as other:
        ack = other.submit(pending.read).result()
    assert ack.order_id == "o"
    assert [call.path for call in exchange.calls] == [CANCEL, CREATE]
    assert exchange.calls[1].is_signed_with("the-secret")


def test_an_order_is_signed_but_not_sent_until_it_is_written(exchange: Any, wire: Wire) -> None:
    signed = wire.sign(PLACE)
    assert signed.request.target == CREATE
    assert "the-secret" not in repr(signed)
    assert "key" not in repr(signed.request)
    assert len(exchange.calls) == 1


def test_a_line_carries_one_order_at_a_time(exchange: Any, wire: Wire) -> None:
    first = written(wire)
    second = wire.write(wire.sign(PLACE))
    assert isinstance(second, NotNow)
    assert "connection" in second.reason
    assert first.read().order_id == "o"
    assert written(wire).read().order_id == "o"
    assert [call.path for call in exchange.calls] == [CANCEL, CREATE, CREATE]


def test_what_finds_no_connection_is_not_counted(wire: Wire, clock: StandingClock) -> None:
    first = written(wire)
    for _ in range(30):
        assert isinstance(wire.write(wire.sign(PLACE)), NotNow)
    first.read()
    for _ in range(9):  # ten a second are the limit
        written(wire).read()
    assert clock.slept == []


def test_what_finds_no_room_in_the_limits_leaves_the_line_to_others(
    exchange: Any, wire: Wire, clock: StandingClock
) -> None:
    for _ in range(10):
        written(wire).read()
    refused = wire.write(wire.sign(PLACE))
    assert isinstance(refused, NotNow)
    assert "limit" in refused.reason
    assert written(wire, TAKE_BACK).read().order_id == "1"
    assert clock.slept == []
    assert wire.send(PLACE).order_id == "o"  # a thread that may wait
    assert len(clock.slept) == 1
    assert [call.path for call in exchange.calls].count(CREATE) == 11


def test_an_answer_that_nobody_reads_is_not_taken_for_another(exchange: Any, wire: Wire) -> None:
    written(wire).give_up()
    assert isinstance(wire.write(wire.sign(PLACE)), NotNow)  # the line is closed
    assert wire.send(TAKE_BACK).order_id == "1"
    assert written(wire, TAKE_BACK).read().order_id == "1"


def test_what_is_signed_is_written_once(exchange: Any, wire: Wire) -> None:
    signed = wire.sign(PLACE)
    pending = wire.write(signed)
    assert isinstance(pending, Pending)
    pending.read()
    with pytest.raises(ValueError, match="written before"):
        wire.write(signed)
    assert [call.path for call in exchange.calls] == [CANCEL, CREATE]


def test_an_answer_is_read_once(wire: Wire) -> None:
    """The line is another call's by then, and so would be the answer."""
    first = written(wire)
    first.read()
    second = written(wire, TAKE_BACK)
    with pytest.raises(RuntimeError, match="read once"):
        first.read()
    first.give_up()  # closes nothing of others
    assert second.read().order_id == "1"


@pytest.mark.parametrize("failure", [{"hang_up": True}, {"body": b"<html>"}, {"status": 502}])
def test_an_answer_that_is_lost_leaves_the_order_in_doubt(
    exchange: Any, wire: Wire, failure: dict[str, Any]
) -> None:
    exchange.on(CREATE, exchange.reply(**failure))
    with pytest.raises(AmbiguousResult):
        written(wire).read()
    assert [call.path for call in exchange.calls] == [CANCEL, CREATE]


def test_a_refusal_is_told_by_whoever_reads(exchange: Any, wire: Wire) -> None:
    exchange.on(CANCEL, exchange.reply(code=110001))
    pending = written(wire, TAKE_BACK)
    with pytest.raises(OrderNotFound):
        pending.read()


def test_nothing_is_signed_without_keys(exchange: Any) -> None:
    with connect(exchange.port, api_key="", api_secret="") as rest, pytest.raises(AuthError):
        rest.wire.sign(PLACE)


def test_many_threads_write_and_each_reads_its_own_answer(exchange: Any) -> None:
    """Each order has an id of its own, and an acknowledgement of another one is an error."""
    exchange.on(CREATE, lambda call: exchange.reply({"orderId": "o", **ids_of(call)}))
    orders = [
        commands.place_order(type(ORDER)(**{**fields(ORDER), "order_link_id": f"link-{number}"}))
        for number in range(60)
    ]
    with connect(exchange.port, connections=4) as rest:
        prompt: list[bool] = []

        def place(command: Any) -> str | None:
            outcome = rest.wire.write(rest.wire.sign(command))
            prompt.append(isinstance(outcome, Pending))
            ack = outcome.read() if isinstance(outcome, Pending) else rest.wire.send(command)
            assert isinstance(ack.order_link_id, str)
            return str(ack.order_link_id)

        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(place, orders))
    assert told == [f"link-{number}" for number in range(60)]
    assert len(exchange.calls) == 60
    assert any(prompt)
    assert threading.active_count() < 20


def ids_of(call: Any) -> dict[str, str]:
    return {"orderLinkId": call.json["orderLinkId"]}


def fields(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in type(order).__dataclass_fields__}


def test_pybit_by_itself_would_have_sent_the_same(exchange: Any, wire: Wire) -> None:
    pybit = HTTP(api_key="key", api_secret="the-secret", recv_window=5000)
    pybit.endpoint = f"http://127.0.0.1:{exchange.port}"
    written(wire).read()
    pybit.place_order(**PLACE.params)
    pybit.client.close()
    ours, theirs = exchange.calls[1:]
    assert (ours.method, ours.path, ours.body) == (theirs.method, theirs.path, theirs.body)
    changing = {"x-bapi-timestamp", "x-bapi-sign"}
    assert ours.is_signed_with("the-secret")
    assert theirs.is_signed_with("the-secret")
    left = [{n: v for n, v in call.headers.items() if n not in changing} for call in (ours, theirs)]
    assert left[0] == left[1]
