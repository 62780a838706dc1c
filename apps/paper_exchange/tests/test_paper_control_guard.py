"""Web pages cannot reach the control endpoint of an exchange on the same machine."""

from __future__ import annotations

import http.client
from decimal import Decimal

import orjson
import pytest

from testkit.paper import PaperHost

pytestmark = pytest.mark.exchange(priced=True)

TAKE_OUT = orjson.dumps({"do": "deposit", "account": "one", "amount": "-5000"})


def send(
    host: PaperHost, method: str = "POST", path: str = "/control/action", **headers: str
) -> tuple[int, str]:
    """Return status and text; Host is sent as it is given, underscores are hyphens."""
    connection = http.client.HTTPConnection("127.0.0.1", host.server.port, timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in named)
    for name, value in named.items():
        connection.putheader(name, value.replace("PORT", str(host.server.port)))
    body = TAKE_OUT if method == "POST" else b""
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def wallet(host: PaperHost) -> Decimal:
    return host.do(lambda: host.exchange.accounts["one"].money.wallet)


@pytest.mark.parametrize(
    ("headers", "status", "names"),
    [
        # what a page of another site can make a browser send
        ({"Content_Type": "text/plain", "Origin": "https://evil.example"}, 403, "Origin"),
        ({"Content_Type": "application/json", "Origin": "https://evil.example"}, 403, "Origin"),
        ({"Content_Type": "application/json", "Origin": "null"}, 403, "Origin"),
        ({"Content_Type": "text/plain"}, 415, "application/json"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        ({}, 415, "application/json"),
        # a page on another port of this machine
        ({"Content_Type": "application/json", "Origin": "http://127.0.0.1:1"}, 403, "Origin"),
        ({"Content_Type": "application/json", "Origin": "https://127.0.0.1:PORT"}, 403, "Origin"),
        # a name that was made to point here
        ({"Content_Type": "application/json", "Host": "evil.example:PORT"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "evil.example"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "127.0.0.1"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "127.0.0.1:1"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "localhost.evil.example:PORT"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "127.0.0.1:PORT@evil.example"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": "127.0.0.1:x"}, 403, "Host"),
        ({"Content_Type": "application/json", "Host": ""}, 403, "Host"),
    ],
)
def test_a_page_cannot_act(
    host: PaperHost, headers: dict[str, str], status: int, names: str
) -> None:
    before = wallet(host)
    answered, text = send(host, **headers)
    assert answered == status, text
    assert names in orjson.loads(text)["error"]
    assert wallet(host) == before


@pytest.mark.parametrize("path", ["/control/status", "/control/faults", "/control/nothing"])
def test_it_cannot_read_either(host: PaperHost, path: str) -> None:
    assert send(host, "GET", path, Host="evil.example:PORT")[0] == 403
    assert send(host, "GET", path, Origin="https://evil.example")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:PORT"},
        {"Host": "[::1]:PORT"},
        {"Host": "127.0.0.5:PORT", "Origin": "http://127.0.0.1:PORT"},
        {"Origin": "http://localhost:PORT"},
        {"Content_Type": "application/json; charset=utf-8"},
    ],
)
def test_a_program_of_this_machine_can(host: PaperHost, headers: dict[str, str]) -> None:
    host.do(lambda: host.exchange.operator.deposit(host.exchange.accounts["one"], Decimal(5_000)))
    before = wallet(host)
    answered, text = send(host, **({"Content_Type": "application/json"} | headers))
    assert answered == 200, text
    assert wallet(host) == before - 5_000
    assert send(host, "GET", "/control/status")[0] == 200


def test_clients_of_the_exchange_itself_are_not_asked(host: PaperHost) -> None:
    answered, text = send(host, "GET", "/v5/market/time", Host="api.example")
    assert answered == 200, text
