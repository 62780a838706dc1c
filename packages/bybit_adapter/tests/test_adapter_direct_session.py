"""The direct way to the wire says what requests would have said, and fails as it would have."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import requests

from bybit_adapter import (
    AmbiguousResult,
    BybitRestClient,
    Environment,
    ExchangeUnavailable,
    PlaceRequest,
    RateLimiter,
    direct_session,
)
from bybit_adapter.direct_session import DirectSession, NotSentError
from bybit_adapter.rate_limiter import AddressWindow
from gridcore import DirectionType, SideType

ORDER = PlaceRequest(
    symbol="BTCUSDT",
    side=SideType.BUY,
    direction=DirectionType.LONG,
    qty=Decimal("0.01"),
    price=Decimal(60000),
    order_link_id="0123456789abcdef-1",
    reduce_only=False,
)
ACK = {"orderId": "a", "orderLinkId": ORDER.order_link_id}
BODY = json.dumps({"retCode": 0, "retMsg": "OK", "result": ACK, "time": 1}).encode()
TIME = {"timeSecond": "1688639403", "timeNano": "1688639403423213947"}


def connect(port: int, **options: Any) -> BybitRestClient:
    return BybitRestClient(
        "key",
        "secret",
        Environment.local(port),
        limiter=RateLimiter(random=Random(1), address=AddressWindow()),
        random=Random(1),
        **options,
    )


Seen = tuple[str, str, str, str, dict[str, str]]


def make_calls(exchange: Any, client: BybitRestClient, order: dict[str, Any]) -> list[Seen]:
    """Make calls of all shapes; return what the exchange saw of them."""
    ack = {"orderId": "o", "orderLinkId": ORDER.order_link_id}
    page = exchange.rows(order, cursor="a%3A1%2Cb:2,c d&e=f")
    exchange.on("/v5/order/create", exchange.reply(ack))
    exchange.on("/v5/order/realtime", page, exchange.rows())
    exchange.on("/v5/market/time", exchange.reply(TIME))
    exchange.on("/v5/position/switch-mode", exchange.reply())
    del exchange.calls[:]
    client.place_order(ORDER)
    client.get_open_orders("BTCUSDT")
    client.get_server_time()
    client.switch_position_mode("BTCUSDT")
    for call in exchange.calls:
        if "x-bapi-sign" in call.headers:
            assert call.is_signed_with("secret")
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
        for session in usual._transport._http.values():
            plain = requests.Session()
            plain.headers.update(session.client.headers)
            session.client = plain
        found = make_calls(exchange, direct, order_row)
        assert len(found) == 5
        assert found == make_calls(exchange, usual, order_row)


class Line:
    """A server that keeps each read of the socket, and says and does what it is told."""

    def __init__(self, *answers: bytes, hangs_up: bool = False) -> None:
        self.reads: list[bytes] = []
        self.connections = 0
        self.ended = threading.Semaphore(0)  # released once for each connection that has ended
        self._answers = list(answers)
        self._hangs_up = hangs_up
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
            with connection:
                while self._answers and (data := connection.recv(65_536)):
                    self.reads.append(data)
                    connection.sendall(self._answers.pop(0))
                    if self._hangs_up:
                        break
            self.ended.release()

    def close(self) -> None:
        self._answers.clear()
        self._listener.close()
        self._thread.join(5)


def answer(body: bytes, *lines: str) -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines, "", ""]
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
    body = gzip.compress(json.dumps({"retCode": 0, "retMsg": "", "result": TIME}).encode())
    lines.append(Line(answer(body, "Content-Encoding: gzip")))
    with connect(lines[0].port) as client:
        assert client.get_server_time().year == 2023


def test_a_connection_that_was_closed_since_is_not_written_to(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_session, "FRESH_S", 0.0)
    lines.append(Line(answer(BODY), answer(BODY), hangs_up=True))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        client.place_order(ORDER)
    assert lines[0].connections == 2


def test_a_write_on_a_connection_that_closed_right_after_an_answer_is_in_doubt(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked whether it lives, because that takes time; nothing is sent twice."""
    monkeypatch.setattr(direct_session, "FRESH_S", 60.0)
    lines.append(Line(*[answer(BODY)] * 3, hangs_up=True))
    with connect(lines[0].port) as client:
        client.place_order(ORDER)
        assert lines[0].ended.acquire(timeout=60)
        with pytest.raises(AmbiguousResult):
            client.place_order(ORDER)
        client.place_order(ORDER)
    assert len(lines[0].reads) == lines[0].connections == 2


def test_nothing_goes_to_another_host() -> None:
    session = DirectSession("http://127.0.0.1:1", {}, 1)
    for url in ("http://127.0.0.1:12/v5/time", "http://127.0.0.1:1.example/v5", "https://x/v5"):
        with pytest.raises(requests.exceptions.InvalidURL, match="another host"):
            session.prepare_request(requests.Request("GET", url, headers={}))


def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    session = DirectSession(f"http://127.0.0.1:{port}", {}, 1)
    request = session.prepare_request(
        requests.Request("GET", f"http://127.0.0.1:{port}/v5", headers={})
    )
    with pytest.raises(NotSentError):
        session.send(request, 1.0)
    with connect(port, query_attempts=1) as client, pytest.raises(ExchangeUnavailable):
        client.place_order(ORDER)
