"""The direct way to the wire says what requests would have said, and fails as it would have."""

from __future__ import annotations

import gzip
import json
import os
import socket
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fcntl import ioctl
from typing import Any

import pytest
import requests

from bybit_adapter import (
    AmbiguousResult,
    BybitAsyncClient,
    BybitRestClient,
    ExchangeUnavailable,
    PlaceRequest,
)
from bybit_adapter.http import connections
from bybit_adapter.http.by_requests import by_requests
from bybit_adapter.http.connections import DirectConnections, NotSent
from bybit_adapter.http.signer import SignedRequest, as_signed
from testkit.rest import ORDER, SECRET, SERVER_TIME, connect
from testkit.waiting import eventually

ACK = {"orderId": "a", "orderLinkId": ORDER.order_link_id}
BODY = json.dumps({"retCode": 0, "retMsg": "OK", "result": ACK, "time": 1}).encode()


Seen = tuple[str, str, str, str, dict[str, str]]


def make_calls(exchange: Any, client: BybitRestClient, order: dict[str, Any]) -> list[Seen]:
    """Make calls of all shapes; return what the exchange saw of them."""
    ack = {"orderId": "o", "orderLinkId": ORDER.order_link_id}
    page = exchange.rows(order, cursor="a%3A1%2Cb:2,c d&e=f")
    exchange.on("/v5/order/create", exchange.reply(ack))
    exchange.on("/v5/order/realtime", page, exchange.rows())
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME))
    exchange.on("/v5/position/switch-mode", exchange.reply())
    del exchange.calls[:]
    client.place_order(ORDER)
    client.get_open_orders("BTCUSDT")
    client.get_server_time()
    client.switch_position_mode("BTCUSDT")
    for call in exchange.calls:
        if "x-bapi-sign" in call.headers:
            assert call.is_signed_with(SECRET)
    changing = ("x-bapi-timestamp", "x-bapi-sign", "user-agent", "connection")
    return [
        (
            call.method,
            call.path,
            call.query,
            call.body,
            {name: text for name, text in call.headers.items() if name not in changing},
        )
        for call in exchange.calls
    ]


def test_the_exchange_sees_what_requests_would_have_sent(
    exchange: Any, order_row: dict[str, Any]
) -> None:
    with connect(exchange.port) as direct, connect(exchange.port) as usual:
        plain = by_requests(usual.environment.rest_url, 15.0, 4, requests.Session())
        usual.transport.queries = usual.transport.writes = plain
        found = make_calls(exchange, direct, order_row)
        assert len(found) == 5
        assert found == make_calls(exchange, usual, order_row)


class LastWords(bytes):
    """An answer after which the server hangs up."""


class Line:
    """A server that keeps each read of the socket, and says and does what it is told."""

    def __init__(self, *answers: bytes) -> None:
        self.reads: list[bytes] = []
        self.connections = 0
        self.ended = threading.Semaphore(0)  # released once for each connection that has ended
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._answers:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._connection = connection
            with connection, suppress(ConnectionResetError):
                while self._answers and (data := connection.recv(65_536)):
                    self.reads.append(data)
                    words = self._answers.pop(0)
                    connection.sendall(words)
                    if isinstance(words, LastWords):
                        break
            self.ended.release()

    def say(self, words: bytes) -> None:
        """Send on the last connection, asked or not; return when it arrived or nobody listens."""
        with suppress(OSError, ValueError):  # it may be closed
            self._connection.sendall(words)
            eventually(lambda: not any(ioctl(self._connection, termios.TIOCOUTQ, bytes(4))))

    def close(self) -> None:
        self._answers.clear()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
        self._listener.close()
        self._thread.join(5)


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    made: list[Line] = []
    yield made
    for one in made:
        one.close()


def test_a_request_goes_out_in_one_piece(lines: list[Line]) -> None:
    lines.append(Line(answer(BODY), answer(BODY)))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        client.place_order(ORDER)
    assert len(lines[0].reads) == 2
    assert lines[0].connections == 1
    for read in lines[0].reads:
        head, _, body = read.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v5/order/create HTTP/1.1\r\n")
        assert json.loads(body)["orderLinkId"] == ORDER.order_link_id


def test_a_compressed_answer_is_read(lines: list[Line]) -> None:
    body = gzip.compress(json.dumps({"retCode": 0, "retMsg": "", "result": SERVER_TIME}).encode())
    lines.append(Line(answer(body, "Content-Encoding: gzip")))
    with connect(lines[0].port) as client:
        assert client.get_server_time().year == 2023


def test_a_connection_that_was_closed_since_is_not_written_to(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FRESH_S", 0.0)
    lines.append(Line(LastWords(answer(BODY)), LastWords(answer(BODY))))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        client.place_order(ORDER)
    assert lines[0].connections == 2


async def test_nor_is_it_where_nobody_waits(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "FRESH_S", 0.0)
    lines.append(Line(LastWords(answer(BODY)), LastWords(answer(BODY))))
    with connect(lines[0].port) as rest:
        client = BybitAsyncClient(rest)
        await client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        await client.place_order(ORDER)
        client.close()
    assert lines[0].connections == 2


def test_a_write_on_a_connection_that_closed_right_after_an_answer_is_in_doubt(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked whether it lives, because that takes time; nothing is sent twice."""
    monkeypatch.setattr(connections, "FRESH_S", 60.0)
    lines.append(Line(*[LastWords(answer(BODY))] * 3))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        with pytest.raises(AmbiguousResult):
            client.place_order(ORDER)
        client.place_order(ORDER)
    assert len(lines[0].reads) == lines[0].connections == 2


def test_a_connection_that_closed_after_an_error_is_not_written_to(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is often the last that is heard, however lately the connection answered."""
    monkeypatch.setattr(connections, "FRESH_S", 60.0)
    error = LastWords(answer(b"oh", status="500 Internal Server Error"))
    lines.append(Line(answer(BODY), error, answer(BODY)))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        with pytest.raises(AmbiguousResult, match="500"):
            client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        assert client.place_order(ORDER).order_id == "a"
    assert lines[0].connections == 2


def answer_to(order: PlaceRequest) -> bytes:
    ack = {"orderId": "a", "orderLinkId": order.order_link_id}
    return answer(json.dumps({"retCode": 0, "retMsg": "OK", "result": ack, "time": 1}).encode())


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
NEXT = replace(ORDER, order_link_id="0123456789abcdef-2")


@pytest.mark.parametrize("comes", ["at once", "before the next order", "later"])
def test_an_answer_after_hints_is_not_taken_for_that_of_the_next_order(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch, comes: str
) -> None:
    """Python takes hints for all that is said, so the order is in doubt and its answer nobody's."""
    monkeypatch.setattr(connections, "FRESH_S", 60.0)
    hints = HINTS + answer_to(ORDER) if comes == "at once" else HINTS
    lines.append(Line(answer_to(ORDER), hints, answer_to(NEXT)))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        with pytest.raises(AmbiguousResult, match="103"):
            client.place_order(ORDER)
        if comes == "before the next order":
            lines[0].say(answer_to(ORDER))
        assert client.place_order(NEXT).order_link_id == NEXT.order_link_id
    assert lines[0].connections == 2


def test_nothing_is_sent_after_the_end(exchange: Any) -> None:
    exchange.on("/v5/order/create", exchange.reply(ACK))
    with connect(exchange.port, query_attempts=1) as client:
        client.place_order(ORDER)
        client.close()
        for call in (lambda: client.place_order(ORDER), client.get_server_time):
            with pytest.raises(ExchangeUnavailable, match="not sent"):
                call()
    assert len(exchange.calls) == 1


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_that_need_no_proxy_do_not_make_calls_slow(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A list of such hosts is usual also where there is no proxy."""
    for other in list(os.environ):
        if other.lower().endswith(("_proxy", "_ca_bundle")):
            monkeypatch.delenv(other)
    monkeypatch.setenv(name, "localhost,127.0.0.1")
    with BybitRestClient(testnet=True) as client:
        found = client.transport.queries, client.transport.writes
    assert [type(one) for one in found] == [DirectConnections, DirectConnections]


def test_nothing_goes_to_another_host() -> None:
    for url in ("http://127.0.0.1:12/v5/time", "http://127.0.0.1:1.example/v5", "https://x/v5"):
        with pytest.raises(ValueError, match="another host"):
            as_signed(requests.Request("GET", url, headers={}), "http://127.0.0.1:1", {})


def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    connections = DirectConnections(f"http://127.0.0.1:{port}", 1.0, 1)
    with pytest.raises(NotSent):
        connections.exchange(SignedRequest("GET", "/v5", None, {}))
    with connect(port, query_attempts=1) as client, pytest.raises(ExchangeUnavailable):
        client.place_order(ORDER)
