"""All endpoints under one roof: from a request to the bytes of its answer, without a socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

import orjson

from exchange_model.rules.codes import RefusalError, RetCode, parameter_error
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.rest import rest_account, rest_market, rest_orders
from paper_exchange.rest.auth import Credentials, Gatekeeper
from paper_exchange.rest.calls import HIDING_PATHS, LAGGING_PATHS, Answer, Call, Route
from paper_exchange.rest.rate_limits import RateLimits, Verdict
from paper_exchange.rest.rest_orders import BATCHES, BatchSpoiler, batch_items, run_batch

log = logging.getLogger(__name__)
NOBODY = Credentials("", "", "", "")
MOST_BODY = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A request as it came: the raw query string, the raw body."""

    method: str
    path: str
    query: bytes = b""
    body: bytes = b""
    credentials: Credentials = NOBODY
    ip: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RestReply:
    """Status, envelope and limit headers of an answer."""

    status: int
    envelope: Row
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the envelope as JSON."""
        return orjson.dumps(self.envelope)


class Meddler(Protocol):
    """Spoils answers on demand; `path` is that of a REST call."""

    def lag_ms(self, path: str) -> int:
        """Return how old the list is that a call shows; 0 for the present."""

    def hides(self, path: str) -> Callable[[Row], bool] | None:
        """Return what tells the rows that a list leaves out, None when it shows all."""

    def spoils(self, path: str) -> BatchSpoiler | None:
        """Return which items of a batch fail, None when all go their way."""


class RestApi:
    """Routes, authentication, rate limits.

    `server_ms` is the clock that clients are checked against.
    """

    def __init__(
        self,
        exchange: PaperExchange,
        limits: RateLimits | None = None,
        server_ms: Callable[[], int] | None = None,
    ) -> None:
        self.exchange = exchange
        self.gatekeeper = Gatekeeper(exchange)
        self.limits = limits or RateLimits()
        self.server_ms = server_ms or (lambda: exchange.now_ms)
        self.meddler: Meddler | None = None
        every = [*rest_market.routes(), *rest_orders.routes(), *rest_account.routes()]
        self._routes = {(route.method, route.path): route for route in every}
        self._paths = {route.path for route in every}

    def answer(self, request: RestRequest) -> RestReply:
        """Answer one request. Nothing escapes: what is wrong becomes a code and a sentence."""
        now = self.server_ms()
        if not self.limits.admits_ip(request.ip, now):
            return RestReply(403, self._envelope(RetCode.RATE_LIMIT, "access too frequent"))
        route = self._routes.get((request.method, request.path))
        if route is None:
            return self._no_route(request)
        headers: dict[str, str] = {}
        try:
            account: PaperAccount | None = None
            key: ApiKey | None = None
            if route.signed:
                payload = request.query if request.method == "GET" else request.body
                account, key = self.gatekeeper.admit(request.credentials, payload, now, request.ip)
            params = _parameters(request)
            answer = self.run(route, params, account, key, headers)
        except RefusalError as refusal:
            return RestReply(200, self._envelope(refusal.code, refusal.message), headers)
        except Exception:
            # the client learns that it failed, not where
            log.exception("%s %s failed", request.method, request.path)
            return RestReply(200, self._envelope(RetCode.SERVER_ERROR, "Server error."), headers)
        envelope = self._envelope(answer.code, answer.message, answer.result, answer.ext)
        return RestReply(200, envelope, headers)

    def run(
        self,
        route: Route,
        params: Mapping[str, Any],
        account: PaperAccount | None,
        key: ApiKey | None,
        headers: dict[str, str],
    ) -> Answer:
        """Carry out a call that is admitted; fills the limit headers. Raises RefusalError."""
        call = self._call(route, params, account, key)
        if account is None or key is None or route.limit is None:
            return route.handler(call)
        if route.writes and key.read_only:
            raise RefusalError(
                RetCode.PERMISSION_DENIED,
                "Permission denied, please check your API key permissions.",
            )
        name = route.path.removeprefix("/v5/order/")
        batch = BATCHES.get(name) if route.writes else None
        count = len(batch_items(params)) if batch else 1
        verdict = self.limits.take(account.uid, route.path, route.limit, self.server_ms(), count)
        headers.update(limit_headers(verdict))
        if not verdict.passed:
            raise RefusalError(RetCode.RATE_LIMIT, "Too many visits!")
        if batch:
            single, creates = batch
            spoiler = None if self.meddler is None else self.meddler.spoils(route.path)
            return run_batch(call, single, verdict.passed, creates=creates, spoiler=spoiler)
        return route.handler(call)

    def _call(
        self,
        route: Route,
        params: Mapping[str, Any],
        account: PaperAccount | None,
        key: ApiKey | None,
    ) -> Call:
        """Return the call on what it is to see: the exchange as it is, or as it was."""
        exchange, hides = self.exchange, None
        if route.writes and account is not None:
            exchange.past.touch(account)
        if self.meddler is not None and route.method == "GET":
            if route.path in LAGGING_PATHS:
                ago_ms = self.meddler.lag_ms(route.path)
                if ago_ms:
                    exchange, account = exchange.as_of(ago_ms, account)
            if route.path in HIDING_PATHS:
                hides = self.meddler.hides(route.path)
        return Call(exchange, params, account, key, self.server_ms(), hides)

    def route(self, method: str, path: str) -> Route | None:
        """Return an endpoint, None for one that is not there."""
        return self._routes.get((method, path))

    def _no_route(self, request: RestRequest) -> RestReply:
        if request.path in self._paths:
            text = f"{request.method} is not the method of {request.path}"
            return RestReply(400, self._envelope(RetCode.PARAMETER_ERROR, text))
        text = f"{request.path[:100]} is not supported by this exchange"
        return RestReply(404, self._envelope(RetCode.ROUTE_NOT_FOUND, text))

    def _envelope(
        self, code: int, message: str, result: Row | None = None, ext: Row | None = None
    ) -> Row:
        return {
            "retCode": int(code),
            "retMsg": message,
            "result": result or {},
            "retExtInfo": ext or {},
            "time": self.server_ms(),
        }


def limit_headers(verdict: Verdict) -> dict[str, str]:
    """Return the three headers that tell of a limit."""
    return {
        "X-Bapi-Limit": str(verdict.limit),
        "X-Bapi-Limit-Status": str(verdict.remaining),
        "X-Bapi-Limit-Reset-Timestamp": str(verdict.reset_ms),
    }


def _parameters(request: RestRequest) -> Mapping[str, Any]:
    if request.method == "GET":
        try:
            text = request.query.decode()
            return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
        except ValueError:
            raise parameter_error("the query string cannot be read") from None
    if len(request.body) > MOST_BODY:
        raise parameter_error(f"the body is larger than {MOST_BODY} bytes")
    if not request.body.strip():
        return {}
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise parameter_error(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise parameter_error("the body is no JSON object")
    return body
