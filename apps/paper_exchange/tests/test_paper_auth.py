"""Who is let in: keys, signatures, clocks, permissions, rates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paper_exchange.book.account import ApiKey
from paper_exchange.rest.auth import Credentials, signature
from paper_exchange.rest.rate_limits import RateLimits
from paper_exchange.rest.rest import RestRequest
from testkit.paper import KEY, SECRET, PaperWorld, order_params, signed

INFO = "/v5/account/info"
CREATE = "/v5/order/create"


@pytest.fixture
def world() -> PaperWorld:
    world = PaperWorld()
    world.trade("60000.0")
    return world


def code(world: PaperWorld, request: RestRequest) -> int:
    return int(world.parts.rest.answer(request).envelope["retCode"])


def test_a_right_signature_is_let_in(world: PaperWorld) -> None:
    assert code(world, signed("GET", INFO, {}, world.exchange.now_ms)) == 0


def test_an_unknown_key_is_10003(world: PaperWorld) -> None:
    assert code(world, signed("GET", INFO, {}, world.exchange.now_ms, key="who")) == 10003


def test_a_wrong_secret_is_10004_and_neither_secret_is_told(world: PaperWorld) -> None:
    request = signed("GET", INFO, {"a": "1"}, world.exchange.now_ms, secret="wrong")
    envelope = world.parts.rest.answer(request).envelope
    assert envelope["retCode"] == 10004
    assert "origin_string" in envelope["retMsg"]
    assert SECRET not in envelope["retMsg"]


def test_the_signature_is_of_the_raw_bytes(world: PaperWorld) -> None:
    """A body with other spaces is another text, though it means the same."""
    now = world.exchange.now_ms
    body = b'{"category": "linear",   "symbol": "BTCUSDT"}'
    sign = signature(SECRET, f"{now}{KEY}5000".encode() + body)
    given = Credentials(KEY, str(now), "5000", sign)
    path = "/v5/order/cancel-all"
    assert code(world, RestRequest("POST", path, b"", body, given)) == 0
    assert code(world, RestRequest("POST", path, b"", body.replace(b"   ", b" "), given)) == 10004


def test_the_query_is_signed_undecoded(world: PaperWorld) -> None:
    now = world.exchange.now_ms
    query = b"category=linear&settleCoin=USDT&cursor=page_args%3D7%26"
    given = Credentials(
        KEY, str(now), "5000", signature(SECRET, f"{now}{KEY}5000".encode() + query)
    )
    assert code(world, RestRequest("GET", "/v5/position/list", query, b"", given)) == 0
    decoded = query.replace(b"%3D", b"=").replace(b"%26", b"&")
    assert code(world, RestRequest("GET", "/v5/position/list", decoded, b"", given)) == 10004


@pytest.mark.parametrize(
    ("off_ms", "window", "expected"),
    [
        (-5_000, "5000", 0),
        (-5_001, "5000", 10002),
        (-9_000, "10000", 0),
        (999, "5000", 0),
        (1_000, "5000", 10002),
        (1_000, "60000", 10002),  # no window cures a clock that is fast
    ],
)
def test_the_time_rule(world: PaperWorld, off_ms: int, window: str, expected: int) -> None:
    now = world.exchange.now_ms + off_ms
    assert code(world, signed("GET", INFO, {}, now, window=window)) == expected


@pytest.mark.parametrize("field", ["key", "timestamp", "sign"])
def test_a_missing_header_is_10001(world: PaperWorld, field: str) -> None:
    request = signed("GET", INFO, {}, world.exchange.now_ms)
    given = replace(request.credentials, **{field: ""})
    assert code(world, replace(request, credentials=given)) == 10001


def test_a_timestamp_that_is_none_is_10001(world: PaperWorld) -> None:
    request = signed("GET", INFO, {}, world.exchange.now_ms)
    given = replace(request.credentials, timestamp="yesterday")
    assert code(world, replace(request, credentials=given)) == 10001


def test_what_a_key_may_not_do(world: PaperWorld) -> None:
    now = world.exchange.now_ms
    for key in (
        ApiKey(key="reader", secret="s", read_only=True),
        ApiKey(key="bound", secret="s", ips=("10.0.0.1",)),
        ApiKey(key="old", secret="s", expires_ms=now),
        ApiKey(key="revoked", secret="s", revoked=True),
    ):
        world.exchange.replace_key(world.account, key)

    def answer(key: str, method: str = "GET", path: str = INFO) -> int:
        params = order_params() if method == "POST" else {}
        return code(world, signed(method, path, params, now, key=key, secret="s"))

    assert answer("reader") == 0
    assert answer("reader", "POST", CREATE) == 10005
    assert answer("bound") == 10010
    assert code(world, signed("GET", INFO, {}, now, key="bound", secret="s", ip="10.0.0.1")) == 0
    assert answer("old") == 33004
    assert answer("revoked") == 10003


def test_keys_do_not_show_their_secret() -> None:
    assert "hidden" not in repr(ApiKey(key="k", secret="hidden"))


def test_the_eleventh_order_of_a_second_is_10006_and_the_headers_say_until_when() -> None:
    world = PaperWorld(limits=RateLimits())
    world.trade("60000.0")
    for number in range(10):
        reply = world.reply("POST", CREATE, order_params(price=str(59_000 - number)))
        assert reply.envelope["retCode"] == 0
        assert reply.headers["X-Bapi-Limit-Status"] == str(9 - number)
    reply = world.reply("POST", CREATE, order_params(price="58000"))
    assert reply.envelope["retCode"] == 10006
    reset = int(reply.headers["X-Bapi-Limit-Reset-Timestamp"])
    assert reset >= world.exchange.now_ms + 50
    # another endpoint has a bucket of its own
    assert world.code("POST", "/v5/order/cancel-all", {"category": "linear", "coin": "x"}) == 10001
    assert world.code("GET", INFO, {}) == 0
    world.advance(reset - world.exchange.now_ms)
    assert world.code("POST", CREATE, order_params(price="58000")) == 0


def test_an_address_that_calls_too_often_is_blocked_for_ten_minutes() -> None:
    world = PaperWorld(limits=RateLimits(per_ip=5))
    request = RestRequest("GET", "/v5/market/time")
    statuses = [world.parts.rest.answer(request).status for _ in range(6)]
    assert statuses == [200] * 5 + [403]
    world.advance(599_000)
    assert world.parts.rest.answer(request).status == 403
    world.advance(2_000)
    assert world.parts.rest.answer(request).status == 200


def test_what_is_not_there_says_so(world: PaperWorld) -> None:
    reply = world.parts.rest.answer(RestRequest("GET", "/v5/spot-margin-trade/data"))
    assert (reply.status, reply.envelope["retCode"]) == (404, 10017)
    assert "not supported" in reply.envelope["retMsg"]
    reply = world.parts.rest.answer(RestRequest("GET", CREATE))
    assert reply.status == 400


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"', b"\xff\xfe", b'{"a":' * 500])
def test_a_body_that_is_no_object_is_10001(world: PaperWorld, body: bytes) -> None:
    now = world.exchange.now_ms
    sign = signature(SECRET, f"{now}{KEY}5000".encode() + body)
    request = RestRequest("POST", CREATE, b"", body, Credentials(KEY, str(now), "5000", sign))
    assert code(world, request) == 10001
