"""What goes wrong on the way to the exchange and back, over real sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter.basics.clock import SystemClock
from bybit_adapter.basics.environment import Environment
from bybit_adapter.basics.errors import (
    KIND_OF_CODE,
    AmbiguousResult,
    AuthError,
    BybitError,
    ClockSkew,
    ExchangeUnavailable,
    RateLimited,
)
from bybit_adapter.http.rate_limiter import AddressWindow, RateLimiter
from bybit_adapter.records.requests import OrderKey
from bybit_adapter.rest.client import BybitRestClient
from testkit.rest import KEY, ORDER, SECRET, SERVER_TIME, connect


@pytest.fixture
def client(exchange: Any) -> Iterator[BybitRestClient]:
    with connect(exchange.port, query_timeout_s=0.3, order_timeout_s=0.4) as made:
        yield made


CODES = [
    code for code in KIND_OF_CODE if KIND_OF_CODE[code] not in (ExchangeUnavailable, RateLimited)
]


@pytest.mark.parametrize("code", CODES)
def test_real_codes_come_through_pybit(exchange: Any, client: BybitRestClient, code: int) -> None:
    exchange.on("/v5/order/create", exchange.reply(code=code, message="no"))
    with pytest.raises(BybitError) as raised:
        client.place_order(ORDER)
    assert type(raised.value) is KIND_OF_CODE[code]
    assert raised.value.code == code
    assert raised.value.endpoint == "POST /v5/order/create"
    assert raised.value.request["orderLinkId"] == ORDER.order_link_id
    assert len(exchange.calls) == 1


@pytest.mark.parametrize("code", [10000, 10014, 10016, 10019, 10429, 429])
def test_codes_that_say_nothing_are_ambiguous_for_orders_and_repeated_for_queries(
    exchange: Any, code: int
) -> None:
    exchange.on("/v5/order/create", exchange.reply(code=code))
    exchange.on("/v5/market/time", exchange.reply(code=code), exchange.reply(SERVER_TIME))
    with connect(exchange.port) as client:
        with pytest.raises(AmbiguousResult):
            client.place_order(ORDER)
        assert len(exchange.calls) == 1
        assert client.get_server_time().year == 2023
        assert len(exchange.calls) == 3


@pytest.mark.parametrize("failure", [{"status": 502}, {"hang_up": True}, {"body": b"<html>"}])
def test_a_query_is_repeated_a_few_times(
    exchange: Any, client: BybitRestClient, failure: dict[str, Any]
) -> None:
    broken, fine = exchange.reply(**failure), exchange.reply(SERVER_TIME)
    exchange.on("/v5/market/time", broken, broken, fine)
    assert client.get_server_time().year == 2023
    exchange.on("/v5/market/time", broken)
    with pytest.raises(ExchangeUnavailable):
        client.get_server_time()
    assert len(exchange.calls) == 6


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 500},
        {"status": 503},
        {"status": 429},
        {"hang_up": True},
        {"delay_s": 2.0},
        {"body": b"<html>"},
        {"body": b""},
        {"body": b"[]"},
        {"body": b"5"},
        {"body": b"null"},
        {"body": b'"retCode"'},
        {"body": b"{}"},
        {"body": b'{"retCode": 1}'},
        {"body": b'{"retCode": "0"}'},
        {"body": b'{"retCode": [1], "retMsg": 5}'},
        {"body": b'{"retCode": 0}'},
        {"body": b'{"retCode": 0, "result": 5, "time": 1}'},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
        {"status": 307, "headers": {"Location": "/elsewhere"}},
    ],
)
def test_an_order_without_a_usable_answer_is_ambiguous_and_never_sent_again(
    exchange: Any, client: BybitRestClient, failure: dict[str, Any]
) -> None:
    exchange.on("/v5/order/create", exchange.reply(**failure))
    with pytest.raises(AmbiguousResult) as raised:
        client.place_order(ORDER)
    assert raised.value.request["orderLinkId"] == ORDER.order_link_id
    assert len(exchange.calls) == 1


def test_a_timeout_of_a_query_is_unavailable(exchange: Any) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME, delay_s=5))
    with connect(exchange.port, query_timeout_s=0.1, query_attempts=2) as client:
        started = time.monotonic()
        with pytest.raises(ExchangeUnavailable, match="no answer in time"):
            client.get_server_time()
    assert time.monotonic() - started < 3
    assert len(exchange.calls) == 2


def test_what_never_left_is_not_ambiguous() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with connect(port, query_attempts=1) as client:
        with pytest.raises(ExchangeUnavailable, match="was not sent"):
            client.place_order(ORDER)
        with pytest.raises(ExchangeUnavailable, match="was not sent"):
            client.get_server_time()


def test_a_connection_that_never_opens_is_not_ambiguous_either() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):  # nobody accepts: soon the machine answers no further attempt
            pending = waiting.enter_context(socket.socket())
            pending.setblocking(False)
            pending.connect_ex(("127.0.0.1", port))
        with (
            connect(port, order_timeout_s=0.3) as client,
            pytest.raises(ExchangeUnavailable, match="was not sent"),
        ):
            client.place_order(ORDER)


def test_refused_access(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/order/create", exchange.reply(status=401))
    with pytest.raises(AuthError):
        client.place_order(ORDER)


def test_without_keys_nothing_private_is_sent(exchange: Any) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME))
    with connect(exchange.port, api_key="", api_secret="") as client:
        client.get_server_time()
        with pytest.raises(AuthError, match="needs keys"):
            client.get_positions()
    assert len(exchange.calls) == 1


def limited(exchange: Any, reset_in_s: float) -> Any:
    reset = datetime.now(UTC) + timedelta(seconds=reset_in_s)
    headers = {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "0",
        "X-Bapi-Limit-Reset-Timestamp": str(int(reset.timestamp() * 1000)),
    }
    return exchange.reply(code=10006, message="Too many visits!", headers=headers)


@pytest.mark.parametrize("reset_in_s", [0.5, -3.0])
def test_a_rate_limited_query_waits_and_goes_again(
    exchange: Any, client: BybitRestClient, order_row: dict[str, Any], reset_in_s: float
) -> None:
    exchange.on("/v5/order/realtime", limited(exchange, reset_in_s), exchange.rows(order_row))
    started = time.monotonic()
    assert len(client.get_open_orders()) == 1
    assert time.monotonic() - started > (0.45 if reset_in_s > 0 else 0.2)


def test_a_rate_limited_order_says_when_to_come_back(
    exchange: Any, client: BybitRestClient
) -> None:
    exchange.on("/v5/order/create", limited(exchange, 2.0))
    with pytest.raises(RateLimited) as raised:
        client.place_order(ORDER)
    retry_at = raised.value.retry_at
    assert retry_at is not None
    assert timedelta(seconds=1) < retry_at - datetime.now(UTC) <= timedelta(seconds=2)
    assert len(exchange.calls) == 1


def test_a_banned_address_stops_calling(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/market/time", exchange.reply(status=403))
    with pytest.raises(RateLimited):
        client.get_server_time()
    with pytest.raises(RateLimited, match="not sent"):
        client.place_order(ORDER)
    assert len(exchange.calls) == 1


def test_a_wrong_clock_is_told_and_not_repeated(exchange: Any, client: BybitRestClient) -> None:
    exchange.on("/v5/position/list", exchange.reply(code=10002, message="req_timestamp[1]"))
    with pytest.raises(ClockSkew):
        client.get_positions()
    assert len(exchange.calls) == 1


class LateClock(SystemClock):
    """The machine's clock, set forward by a test."""

    late_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.late_s

    def sleep(self, seconds: float) -> None:
        self.late_s += seconds


@pytest.mark.parametrize(
    ("hangs_s", "look_ups", "queries"), [(0.0, 3, 3), (6.0, 1, 3), (21.0, 1, 1)]
)
def test_an_answer_that_hung_is_not_waited_for_again_and_again(
    exchange: Any, hangs_s: float, look_ups: int, queries: int
) -> None:
    clock = LateClock()

    def fail(call: Any) -> Any:
        clock.late_s += hangs_s
        return exchange.reply(status=503)

    exchange.on("/v5/order/realtime", fail)
    with connect(exchange.port, clock=clock) as rest:
        with pytest.raises(ExchangeUnavailable):
            rest.find_order(OrderKey(symbol="BTCUSDT", order_link_id="x"))
        assert len(exchange.calls) == look_ups
        with pytest.raises(ExchangeUnavailable):
            rest.get_open_orders("BTCUSDT")
        assert len(exchange.calls) == look_ups + queries


def test_no_secret_shows_in_what_a_failure_prints(
    exchange: Any, client: BybitRestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    message = f"error sign! origin_string[1690000000000{KEY}5000symbol=X] {KEY} {SECRET}"
    exchange.on("/v5/position/list", exchange.reply(code=10004, message=message))
    with pytest.raises(AuthError) as raised:
        client.get_positions()
    signature = exchange.calls[0].headers["x-bapi-sign"]
    error = raised.value
    shown = [f"{error} {error!r} {error.args} {error.__dict__} {client!r}"]
    shown += [record.getMessage() for record in caplog.records]
    cause: BaseException | None = error
    while cause is not None:  # what a traceback would print
        shown.append(str(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    for text in shown:
        for secret in (KEY, SECRET, signature):
            assert secret not in text


@pytest.mark.parametrize("wrong", ["ke y", "key\n", "k\u00e9y"])
def test_keys_that_cannot_be_are_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="api_secret holds") as raised:
        connect(1, api_secret=wrong)
    assert wrong not in str(raised.value)


def test_a_ban_of_one_exchange_does_not_concern_another(exchange: Any) -> None:
    exchange.on("/v5/market/time", exchange.reply(status=403))
    here = Environment.local(exchange.port)
    there = Environment.local(exchange.port, "127.0.0.2")
    with BybitRestClient(environment=here) as first, BybitRestClient(environment=here) as second:
        with pytest.raises(RateLimited):
            first.get_server_time()
        with pytest.raises(RateLimited, match="not sent"):
            second.get_server_time()
    with (
        BybitRestClient(environment=there, query_attempts=1) as other,
        pytest.raises(ExchangeUnavailable),
    ):
        other.get_server_time()


def test_a_proxy_of_the_surroundings_is_used_for_the_exchange(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine api-testnet.bybit.com login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with (
            BybitRestClient(
                testnet=True,
                limiter=RateLimiter(address=AddressWindow()),
                query_timeout_s=0.3,
                query_attempts=1,
            ) as rest,
            pytest.raises(ExchangeUnavailable),
        ):
            rest.get_server_time()
        connection, _ = proxy.accept()
        with connection:
            assert connection.recv(100).startswith(b"CONNECT api-testnet.bybit.com:443 ")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_surroundings_are_used_for_the_exchange(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    missing = tmp_path / "company.pem"
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(name, str(missing))
    with (
        BybitRestClient(
            testnet=True, limiter=RateLimiter(address=AddressWindow()), query_attempts=1
        ) as rest,
        pytest.raises(ExchangeUnavailable, match=r"company\.pem"),
    ):
        rest.get_server_time()


def test_a_proxy_of_the_surroundings_is_not_used_for_this_machine(
    exchange: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME))
    with connect(exchange.port) as client:
        assert client.get_server_time().year == 2023


def test_many_threads_share_one_client(exchange: Any) -> None:
    exchange.on("/v5/market/time", exchange.reply(SERVER_TIME, delay_s=0.05))
    answers: list[datetime] = []
    with connect(exchange.port) as client:
        threads = [
            threading.Thread(target=lambda: answers.append(client.get_server_time()))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(answers) == 20


def test_the_order_limit_is_kept_without_any_refusal(exchange: Any) -> None:
    moments: list[float] = []

    def answer(call: Any) -> Any:
        moments.append(time.monotonic())
        return exchange.reply({"orderId": "1", "orderLinkId": ""})

    exchange.on("/v5/order/create", answer)
    with connect(exchange.port) as client:
        for _ in range(25):
            client.place_order(ORDER)
    assert all(later - earlier > 1.0 for earlier, later in zip(moments, moments[10:], strict=False))


def test_pybit_adds_no_log_handlers(exchange: Any) -> None:
    before = list(logging.getLogger("pybit._http_manager").handlers)
    for _ in range(3):
        connect(exchange.port).close()
    assert logging.getLogger("pybit._http_manager").handlers == before
