"""The way to the wire: sign, write, read.

    signed = wire.sign(command)
    pending = wire.write(signed)  # Pending, or NotNow
    ack = pending.read()

Whoever decides signs and writes, and waits for nothing; another thread reads. Handing a command to
another thread before it is written would cost milliseconds where many threads want the
interpreter's lock. What cannot be written at once is NotNow: nothing was sent, and `send`, on a
thread that may wait, does the whole. Queries are sent so too, and repeated a few times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Generic, TypeVar

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.errors import (
    AmbiguousResult,
    BybitError,
    ExchangeUnavailable,
    MalformedFrame,
    RateLimited,
)
from bybit_adapter.basics.orders_first import ORDERS_FIRST
from bybit_adapter.basics.row import Row
from bybit_adapter.http.answers import Failure, Reply
from bybit_adapter.http.connections import ConnectionFailed, Line
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.rate_limiter import RateLimiter, backoff_s
from bybit_adapter.http.signer import SignedRequest
from bybit_adapter.http.transport import Transport

T = TypeVar("T")

_REFUSED_FOR_LOAD = (403, 429, 10006, 10018, 10429)
_MAX_WAIT_S = 10.0
PATIENCE_S = 20.0  # no further attempt at a query begins after that


@dataclass(frozen=True, slots=True)
class PagedRows(Generic[T]):
    """Rows of all pages. They were true at `as_of`, the exchange's time of the first page.

    is_truncated tells that there is more than the pages that were allowed.
    """

    rows: tuple[T, ...]
    as_of: datetime
    is_truncated: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class SignedCall(Generic[T]):
    """A call that changes something, and what its answer becomes.

    cost is the number of orders in it. `parse` raises MalformedFrame where the answer does not fit.
    """

    endpoint: Endpoint
    params: Mapping[str, Any]
    parse: Callable[[Reply], T]
    cost: int = 1

    @property
    def first(self) -> SignedCall[T]:
        """Return the first request that is made."""
        return self

    def run(self, send: Send) -> T:
        """Make all requests that it takes by `send`, which raises BybitError."""
        outcome: T = send(self)
        return outcome


Send = Callable[[SignedCall[Any]], Any]


@dataclass(slots=True)
class Signed(Generic[T]):
    """A command that can be written, once; for some seconds, as the exchange looks at its time."""

    command: SignedCall[T]
    request: SignedRequest
    is_spent: bool = False  # it was written, or part of it


@dataclass(frozen=True, slots=True)
class NotNow:
    """A command cannot be written without waiting, for this reason; nothing was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pending(Generic[T]):
    """A command on the wire whose answer is to be read, by one thread, once."""

    _wire: Wire
    _command: SignedCall[T]
    _line: Line

    def read(self) -> T:
        """Wait for the answer. Raises what `Wire.send` raises."""
        return self._wire.told(self._command, self._line.read)

    def give_up(self) -> None:
        """Let nobody read the answer, which must not be taken for that of another call."""
        self._line.close()


class Wire:
    """Calls of one account. Queries are repeated a few times, commands never. Thread-safe."""

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        clock: Clock,
        random: Random,
        query_attempts: int,
    ) -> None:
        self.clock = clock
        self._transport = transport
        self._limiter = limiter
        self._random = random
        self._query_attempts = query_attempts

    def sign(self, command: SignedCall[T]) -> Signed[T]:
        """Return what can be written. Raises AuthError without keys."""
        return Signed(command, self._transport.signer.sign(command.endpoint, command.params))

    def write(self, signed: Signed[T]) -> Pending[T] | NotNow:
        """Write a command, once, where that needs no waiting: neither for a connection nor for room
        in the limits.

        Raises AmbiguousResult where the connection fails meanwhile: part may have been sent.
        Raises ValueError for what was written before.
        """
        if signed.is_spent:
            raise ValueError(f"{signed.command.endpoint} was written before; sign it anew")
        command = signed.command
        line = self._transport.writes.free_line()
        if line is None:
            return NotNow("no connection is open and free")
        if not self._limiter.may_go(command.endpoint, command.cost):
            line.release()
            return NotNow("the rate limit leaves no room")
        signed.is_spent = True
        try:
            line.write(signed.request)
        except ConnectionFailed as failure:
            raise self._transport.no_answer(command.endpoint, command.params, failure) from failure
        return Pending(self, command, line)

    def send(self, command: SignedCall[T]) -> T:
        """Sign, write and read, once; waits for whatever there is to wait for.

        Raises AmbiguousResult where it may have happened, BybitError otherwise.
        """
        endpoint = command.endpoint
        self._limiter.acquire(endpoint, cost=command.cost, max_wait_s=_MAX_WAIT_S)
        return self._result(command, self._transport.send(endpoint, command.params))

    def told(self, command: SignedCall[T], read: Callable[[], Any]) -> T:
        """Return what the answer to a written command becomes; `read` brings it."""
        reply = self._transport.answer(command.endpoint, command.params, read)
        return self._result(command, reply)

    def query(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Reply], T],
        *,
        patience_s: float = PATIENCE_S,
    ) -> T:
        """Return the parsed answer. Raises BybitError; its cause is a MalformedFrame where the
        answer does not fit.
        """
        params = {name: value for name, value in params.items() if value is not None}
        begun = self.clock.monotonic()
        for attempt in range(self._query_attempts):
            is_last = attempt == self._query_attempts - 1
            try:
                self._limiter.acquire(endpoint, max_wait_s=_MAX_WAIT_S)
                answer = self._learned(endpoint, self._transport.send(endpoint, params))
            except RateLimited as error:
                if is_last or not self._is_soon(error.retry_at):
                    raise
                continue  # the limiter lets the next attempt wait
            except ExchangeUnavailable:
                if is_last or self.clock.monotonic() - begun >= patience_s:
                    raise
                self.clock.sleep(backoff_s(attempt, self._random))
                continue
            return _parsed(endpoint, params, answer, parse, ExchangeUnavailable)
        raise AssertionError("the last attempt returns or raises")

    def pages(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Row, datetime], T],
        max_pages: int,
    ) -> PagedRows[T]:
        """Return the rows of `result.list` of all pages; parse gets a row and the answer's time."""
        rows: list[T] = []
        first: datetime | None = None
        cursor: str | None = None
        for _ in range(max_pages):
            page, cursor, time = self.page(endpoint, params, parse, cursor)
            rows += page
            first = first or time
            if cursor is None or not page:
                return PagedRows(tuple(rows), first)
        return PagedRows(tuple(rows), first or self.clock.now(), is_truncated=True)

    def page(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Row, datetime], T],
        cursor: str | None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> tuple[list[T], str | None, datetime]:
        """Return one page, the cursor of the next (None at the end), and the answer's time."""

        def parse_page(answer: Reply) -> tuple[list[T], str | None, datetime]:
            rows = []
            for row in answer.result.rows("list"):
                ORDERS_FIRST.stand_back()
                rows.append(parse(row, answer.time))
            return rows, answer.result.opt_text("nextPageCursor"), answer.time

        return self.query(endpoint, {**params, "cursor": cursor}, parse_page, patience_s=patience_s)

    def _result(self, command: SignedCall[T], reply: Reply | Failure) -> T:
        answer = self._learned(command.endpoint, reply)
        return _parsed(command.endpoint, command.params, answer, command.parse, AmbiguousResult)

    def _learned(self, endpoint: Endpoint, reply: Reply | Failure) -> Reply:
        """Let the limiter know what a reply says. Raises BybitError for a failure."""
        if isinstance(reply, Reply):
            self._limiter.observe(endpoint, reply.headers)
            return reply
        raise self._noted(endpoint, reply)

    def _noted(self, endpoint: Endpoint, failure: Failure) -> BybitError:
        error = failure.error
        if error.code in _REFUSED_FOR_LOAD:
            retry_at = self._limiter.refused(endpoint, error.code, failure.headers)
            if isinstance(error, RateLimited):
                error.retry_at = retry_at
        return error

    def _is_soon(self, retry_at: datetime | None) -> bool:
        now = self.clock.now()
        return retry_at is not None and (retry_at - now).total_seconds() < _MAX_WAIT_S


def _parsed(
    endpoint: Endpoint,
    params: Mapping[str, Any],
    answer: Reply,
    parse: Callable[[Reply], T],
    kind: type[BybitError],
) -> T:
    try:
        return parse(answer)
    except (MalformedFrame, ArithmeticError) as error:
        raise kind(
            f"the answer does not fit: {error}", endpoint=str(endpoint), request=params
        ) from error
