"""One call as the REST client makes it: wait for room, send, learn limits, repeat queries."""

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
from bybit_adapter.basics.orders_first import RIGHT_OF_WAY
from bybit_adapter.basics.row import Row
from bybit_adapter.wire.endpoints import Endpoint
from bybit_adapter.wire.passage import NotNow, current_passage
from bybit_adapter.wire.rate_limiter import RateLimiter, backoff_s
from bybit_adapter.wire.transport import Answer, Failure, Transport

T = TypeVar("T")

_REFUSED_FOR_LOAD = (403, 429, 10006, 10018, 10429)
_MAX_WAIT_S = 10.0
PATIENCE_S = 20.0  # no further attempt at a query begins after that


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
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


class Caller:
    """Calls of one account. Queries are repeated a few times, writes never. Thread-safe."""

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

    def query(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Answer], T],
        *,
        patience_s: float = PATIENCE_S,
    ) -> T:
        """Return the parsed answer. Raises BybitError; its cause is a MalformedFrame where the
        answer does not fit.
        """
        begun = self.clock.monotonic()
        for attempt in range(self._query_attempts):
            is_last = attempt == self._query_attempts - 1
            try:
                answer = self._send(endpoint, params, 1)
            except RateLimited as error:
                if is_last or not self._is_soon(error.retry_at):
                    raise
                continue  # the limiter lets the next attempt wait
            except ExchangeUnavailable:
                if is_last or self.clock.monotonic() - begun >= patience_s:
                    raise
                self.clock.sleep(backoff_s(attempt, self._random))
                continue
            return self._parsed(endpoint, params, answer, parse, ExchangeUnavailable)
        raise AssertionError("the last attempt returns or raises")

    def write(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Answer], T],
        cost: int = 1,
    ) -> T:
        """Send once. Raises AmbiguousResult where it may have happened, BybitError otherwise."""
        answer = self._send(endpoint, params, cost)
        return self._parsed(endpoint, params, answer, parse, AmbiguousResult)

    def pages(
        self,
        endpoint: Endpoint,
        params: Mapping[str, Any],
        parse: Callable[[Row, datetime], T],
        max_pages: int,
    ) -> Listing[T]:
        """Return the rows of `result.list` of all pages; parse gets a row and the answer's time."""
        rows: list[T] = []
        first: datetime | None = None
        cursor: str | None = None
        for _ in range(max_pages):
            page, cursor, time = self.page(endpoint, params, parse, cursor)
            rows += page
            first = first or time
            if cursor is None or not page:
                return Listing(tuple(rows), first)
        return Listing(tuple(rows), first or self.clock.now(), is_truncated=True)

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

        def parse_page(answer: Answer) -> tuple[list[T], str | None, datetime]:
            rows = []
            for row in answer.result.rows("list"):
                RIGHT_OF_WAY.give_way()
                rows.append(parse(row, answer.time))
            return rows, answer.result.opt_text("nextPageCursor"), answer.time

        return self.query(endpoint, {**params, "cursor": cursor}, parse_page, patience_s=patience_s)

    def _send(self, endpoint: Endpoint, params: Mapping[str, Any], cost: int) -> Answer:
        self._wait_for_room(endpoint, cost)
        outcome = self._transport.send(
            endpoint, {name: value for name, value in params.items() if value is not None}
        )
        if isinstance(outcome, Answer):
            self._limiter.observe(endpoint, outcome.headers)
            return outcome
        raise self._noted(endpoint, outcome)

    def _wait_for_room(self, endpoint: Endpoint, cost: int) -> None:
        passage = current_passage()
        if passage is not None and passage.take_room():
            return
        if passage is None or passage.may_wait:
            self._limiter.acquire(endpoint, cost=cost, max_wait_s=_MAX_WAIT_S)
            return
        try:
            self._limiter.acquire(endpoint, cost=cost, max_wait_s=0.0)
        except RateLimited:
            raise NotNow from None
        passage.has_room = True

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

    @staticmethod
    def _parsed(
        endpoint: Endpoint,
        params: Mapping[str, Any],
        answer: Answer,
        parse: Callable[[Answer], T],
        kind: type[BybitError],
    ) -> T:
        try:
            return parse(answer)
        except (MalformedFrame, ArithmeticError) as error:
            raise kind(
                f"the answer does not fit: {error}", endpoint=str(endpoint), request=params
            ) from error
