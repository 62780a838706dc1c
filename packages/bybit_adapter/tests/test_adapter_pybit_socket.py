"""Every attempt to connect that fails is told once, whoever notices first: writer or reader."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bybit_adapter.streams.pybit_socket import PybitSocket
from testkit.streams import PUBLIC
from testkit.waiting import eventually

SUBSCRIPTION = '{"op": "subscribe", "req_id": "1", "args": ["tickers.BTCUSDT"]}'


class Subscriptions(dict[str, str]):
    """Subscriptions of an attempt; `between` runs when one is sent, and tells what follows."""

    def __init__(self, between: Callable[[], Iterator[str]]) -> None:
        super().__init__({"1": SUBSCRIPTION})
        self._between = between

    def items(self) -> Any:
        yield "1", SUBSCRIPTION
        for message in self._between():
            yield "2", message


class Owner:
    """Notes what it is told. What the first attempt does between two messages is up to a test."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.first: Callable[[], Iterator[str]] = lambda: iter(())
        self.at_failure: Callable[[], None] = lambda: None
        self.attempts = 0
        self.failures: list[tuple[int, bool]] = []  # number of the attempt, was it open
        self.was_told = threading.Event()  # of a failure
        self.reads = threading.Event()
        self.may_read = threading.Event()
        self.next_may_begin = threading.Event()
        self.next_may_begin.set()
        self.left_reading = False  # a reader whose connection is gone
        self.socket: PybitSocket | None = None

    def connecting(self, pybit_socket: PybitSocket) -> dict[str, str]:
        self.attempts += 1
        self.socket = pybit_socket
        return Subscriptions(self.first if self.attempts == 1 else lambda: iter(()))

    def opened(self) -> None: ...

    def ponged(self) -> None: ...

    def received(self, text: str | bytes) -> None:
        self.reads.set()
        self.may_read.wait(60)

    def failed(self, error: BaseException, *, was_open: bool) -> None:
        self.failures.append((self.attempts, was_open))
        if len(self.failures) == 1:
            self.at_failure()
        self.was_told.set()
        self.may_read.set()
        assert self.socket is not None
        reader = self.socket.wst
        if threading.current_thread() is not reader:
            reader.join(60)  # whatever it has to say about this attempt, it says now
            self.left_reading = reader.is_alive()
        self.next_may_begin.wait(60)


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def connect(exchange: Any, owner: Owner) -> Iterator[Callable[[], PybitSocket]]:
    made: list[PybitSocket] = []

    def connect() -> PybitSocket:
        url = f"ws://127.0.0.1:{exchange.port}{PUBLIC}"
        made.append(PybitSocket(url, owner, None, ping_interval_s=200, ping_timeout_s=100))
        return made[-1]

    yield connect
    owner.stopping.set()
    owner.may_read.set()
    for one in made:
        one.end()


def break_while_the_reader_is_busy(
    exchange: Any, owner: Owner, more: bytes = b""
) -> Callable[[], Iterator[str]]:
    """Return what makes the writer fail while the reader is held up with one frame and `more`."""
    exchange.acks = lambda path, asked: None

    def between() -> Iterator[str]:
        eventually(lambda: exchange.frames)
        exchange.write_raw(PUBLIC, b"\x81\x02{}" + more)
        assert owner.reads.wait(60)
        exchange.close_streams(PUBLIC, abort=True)
        while True:  # until it fails: the first one may still go out
            yield SUBSCRIPTION

    return between


@pytest.mark.parametrize("more", [b"", b"\x81\x7e"])  # nothing, and a frame that begins
def test_a_failure_that_the_writer_notices_first_is_told_once(
    exchange: Any, owner: Owner, connect: Callable[[], PybitSocket], more: bytes
) -> None:
    owner.first = break_while_the_reader_is_busy(exchange, owner, more)
    assert connect().is_connected()
    assert owner.failures == [(1, True)]
    assert not owner.left_reading
    assert owner.attempts == 2
    eventually(lambda: exchange.connections[PUBLIC] == 2)


def test_news_of_the_reader_that_come_while_the_writer_tells_are_not_told_again(
    exchange: Any, owner: Owner, connect: Callable[[], PybitSocket]
) -> None:
    def tell_as_the_reader_would() -> None:
        assert owner.socket is not None
        app = owner.socket.ws
        app.on_error(app, ConnectionResetError("late"))

    owner.first = break_while_the_reader_is_busy(exchange, owner)
    owner.at_failure = tell_as_the_reader_would
    assert connect().is_connected()
    assert owner.failures == [(1, True)]


@pytest.mark.parametrize("is_last", [False, True])  # is anything sent after that
def test_a_failure_that_the_reader_notices_first_is_told_once(
    exchange: Any, owner: Owner, connect: Callable[[], PybitSocket], is_last: bool
) -> None:
    exchange.acks = lambda path, asked: None

    def break_and_wait_for_the_reader() -> Iterator[str]:
        eventually(lambda: exchange.frames)
        exchange.close_streams(PUBLIC, abort=True)
        assert owner.was_told.wait(60)
        if not is_last:
            yield SUBSCRIPTION

    owner.first = break_and_wait_for_the_reader
    assert connect().is_connected()
    assert owner.failures == [(1, True)]
    assert owner.attempts == 2
    eventually(lambda: exchange.connections[PUBLIC] == 2)


def test_a_refused_attempt_is_told_once_and_was_never_open(
    exchange: Any, owner: Owner, connect: Callable[[], PybitSocket]
) -> None:
    exchange.refuses_streams = True
    owner.next_may_begin.clear()
    building = threading.Thread(target=connect)
    building.start()
    assert owner.was_told.wait(60)
    exchange.refuses_streams = False
    owner.next_may_begin.set()
    building.join(60)
    assert not building.is_alive()
    assert owner.failures == [(1, False)]
    eventually(lambda: exchange.connections[PUBLIC] == 1)
