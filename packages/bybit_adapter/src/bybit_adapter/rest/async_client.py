"""The REST client, awaitable."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from bybit_adapter.basics.errors import AmbiguousResult, BybitError, ExchangeUnavailable
from bybit_adapter.basics.orders_first import ORDERS_FIRST
from bybit_adapter.http.endpoints import Priority
from bybit_adapter.http.thread_pool import DaemonPool, Job, PoolClosedError
from bybit_adapter.http.wire import NotNow, Pending, Send, SignedCall
from bybit_adapter.rest import commands
from bybit_adapter.rest.client import BybitRestClient

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", covariant=True)  # noqa: PLC0105 -- it needs no longer name

_Rest = BybitRestClient
# the longest that waiting for room, connecting and both timeouts take together, with some to spare
WRITE_DEADLINE_S = 60.0
QUERY_DEADLINE_S = 60.0
LISTING_DEADLINE_S = 600.0  # of up to 200 pages; one page has the time of a query
TURN_S = 30.0  # until a thread is free


def _as_coroutine(
    call: Callable[Concatenate[BybitRestClient, P], T],
    priority: Priority = Priority.QUERY,
    deadline_s: float | None = None,
) -> Callable[Concatenate[BybitAsyncClient, P], Coroutine[Any, Any, T]]:
    """Return the same method as a coroutine, of the same arguments, result and errors."""

    @functools.wraps(call)
    async def method(self: BybitAsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = functools.partial(call, self.rest, *args, **kwargs)
        return await self._outcome(self._submit(priority, call.__name__, work, deadline_s))

    return method


def _as_listing(
    call: Callable[Concatenate[BybitRestClient, P], T],
) -> Callable[Concatenate[BybitAsyncClient, P], Coroutine[Any, Any, T]]:
    """Return a method that may read many pages as a coroutine."""
    return _as_coroutine(call, deadline_s=LISTING_DEADLINE_S)


class Underway(Generic[T]):
    """A call that has begun; await it, once, for its outcome. Nothing needs to."""

    __slots__ = ("_outcome",)

    def __init__(self, outcome: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._outcome = outcome

    def __await__(self) -> Generator[Any, None, T]:
        return self._outcome().__await__()


class _Requests(Protocol[R]):
    """One command, or several that follow each other: SignedCall or OrderBatch."""

    @property
    def first(self) -> SignedCall[Any] | None: ...
    def run(self, send: Send, /) -> R: ...


def _as_prompt(
    call: Callable[Concatenate[BybitRestClient, P], T],
    make: Callable[P, _Requests[T]],
    priority: Priority,
) -> Callable[Concatenate[BybitAsyncClient, P], Awaitable[T]]:
    """Return the same method such that its first request, which `make` makes, goes out with the
    call.

    What it returns is awaited for the outcome, or left alone: nothing depends on that.
    """

    @functools.wraps(call)
    def method(self: BybitAsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        try:
            requests = make(*args, **kwargs)
        except ValueError as error:
            return _failed(error)
        return self._begin(priority, call.__name__, requests)

    return method


def _over(requests: _Requests[T], send: Send) -> asyncio.Future[T]:
    """Return what is awaited for an outcome that is there: nothing was sent, or the first failed.

    After that no further request is made.
    """
    outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        outcome.set_result(requests.run(send))
    except BybitError as error:
        outcome.set_exception(error)
    return outcome


def _fail(error: BybitError, _: SignedCall[Any]) -> Any:
    raise error


def _failed(error: Exception) -> asyncio.Future[Any]:
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    outcome.set_exception(error)
    return outcome


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call that a thread makes; `pending` where its request is on the wire already."""

    name: str
    is_write: bool
    limit_s: float
    job: Job
    pending: Pending[Any] | None


class BybitAsyncClient:
    """BybitRestClient's methods to be awaited, over a bounded pool of daemon threads.

    One per account. To place, amend or cancel takes place with the call where that needs no
    waiting, not when the outcome is awaited; all other methods are coroutines.

    Every call ends: one that finds no thread within turn_s is not made and raises
    ExchangeUnavailable; one that has no outcome after its deadline, where a socket hangs in spite
    of its timeouts, raises AmbiguousResult if it writes and ExchangeUnavailable if it reads. A
    deadline counts from where the call begins, so a write is not sent long after it was given up.
    Calls after `close` raise ExchangeUnavailable. Cancelling whoever awaits does not call back
    what has been sent.
    """

    def __init__(
        self,
        rest: BybitRestClient,
        *,
        workers: int = 8,
        write_deadline_s: float = WRITE_DEADLINE_S,
        query_deadline_s: float = QUERY_DEADLINE_S,
        turn_s: float = TURN_S,
    ) -> None:
        self.rest = rest
        self._pool = DaemonPool(workers, "bybit-rest")
        self._write_deadline_s = write_deadline_s
        self._query_deadline_s = query_deadline_s
        self._turn_s = turn_s

    get_server_time = _as_coroutine(_Rest.get_server_time)
    get_instrument = _as_coroutine(_Rest.get_instrument)
    get_tickers = _as_coroutine(_Rest.get_tickers)
    get_recent_trades = _as_coroutine(_Rest.get_recent_trades)
    get_klines = _as_coroutine(_Rest.get_klines)
    get_funding_history = _as_coroutine(_Rest.get_funding_history)
    get_risk_limit = _as_listing(_Rest.get_risk_limit)

    get_open_orders = _as_listing(_Rest.get_open_orders)
    find_order = _as_coroutine(_Rest.find_order, Priority.LOOK_UP)
    get_order_history = _as_listing(_Rest.get_order_history)
    get_executions = _as_coroutine(_Rest.get_executions)
    get_executions_all = _as_listing(_Rest.get_executions_all)
    get_positions = _as_listing(_Rest.get_positions)
    get_wallet_balance = _as_coroutine(_Rest.get_wallet_balance)
    get_account_info = _as_coroutine(_Rest.get_account_info)
    is_read_only = _as_coroutine(_Rest.is_read_only)
    get_fee_rates = _as_coroutine(_Rest.get_fee_rates)
    get_transaction_log = _as_listing(_Rest.get_transaction_log)

    place_order = _as_prompt(_Rest.place_order, commands.place_order, Priority.PLACE)
    amend_order = _as_prompt(_Rest.amend_order, commands.amend_order, Priority.PLACE)
    cancel_order = _as_prompt(_Rest.cancel_order, commands.cancel_order, Priority.CANCEL)
    cancel_all_orders = _as_prompt(
        _Rest.cancel_all_orders, commands.cancel_all_orders, Priority.CANCEL
    )
    place_batch = _as_prompt(_Rest.place_batch, commands.place_batch, Priority.PLACE)
    cancel_batch = _as_prompt(_Rest.cancel_batch, commands.cancel_batch, Priority.CANCEL)
    set_leverage = _as_coroutine(_Rest.set_leverage, Priority.PLACE)
    switch_position_mode = _as_coroutine(_Rest.switch_position_mode, Priority.PLACE)
    set_dcp = _as_coroutine(_Rest.set_dcp, Priority.PLACE)

    def close(self) -> None:
        """Begin no further call and close the connections; returns at once."""
        self._pool.close()
        self.rest.close()

    def _begin(self, priority: Priority, name: str, requests: _Requests[T]) -> Awaitable[T]:
        """Write the first request now, if that needs no waiting; let a thread do the rest."""
        ORDERS_FIRST.claim()
        wire, first = self.rest.wire, requests.first
        if first is None:
            return _over(requests, wire.send)
        written: Pending[Any] | NotNow = NotNow("no thread would read the answer")
        if self._pool.has_room(priority):
            try:
                written = wire.write(wire.sign(first))
            except BybitError as error:
                return _over(requests, functools.partial(_fail, error))
        pending = written if isinstance(written, Pending) else None

        def send(command: SignedCall[Any]) -> Any:
            if pending is not None and command is first:
                return pending.read()
            return wire.send(command)

        try:
            work = functools.partial(requests.run, send)
            call = self._submit(priority, name, work, None, pending)
        except BybitError as error:
            return _failed(error)
        return Underway(lambda: self._outcome(call))

    def _submit(
        self,
        priority: Priority,
        name: str,
        work: Callable[[], T],
        deadline_s: float | None,
        pending: Pending[Any] | None = None,
    ) -> _Call[T]:
        is_write = priority in (Priority.CANCEL, Priority.PLACE)
        limit = deadline_s or (self._write_deadline_s if is_write else self._query_deadline_s)
        try:
            job = self._pool.submit(priority, work)
        except PoolClosedError as error:
            raise _not_taken(name, pending, str(error)) from error
        return _Call(name, is_write, limit, job, pending)

    async def _outcome(self, call: _Call[T]) -> T:
        job, limit = call.job, call.limit_s
        try:
            turn = min(self._turn_s, limit)
            await asyncio.wait([job.future], timeout=turn)
            if not job.future.done() and self._pool.withdraw(job):
                job.future.cancel()
                raise _not_taken(call.name, call.pending, f"no thread was free for {turn:g} s")
            if not job.future.done() and job.begun is not None:
                left = job.begun + limit - time.monotonic()
                await asyncio.wait([job.future], timeout=max(left, 0.0))
            if job.future.done():
                result: T = job.future.result()
                return result
        except PoolClosedError as error:
            raise _not_taken(call.name, call.pending, str(error)) from error
        except asyncio.CancelledError:
            if self._pool.withdraw(job) and call.pending is not None:
                call.pending.give_up()
            job.future.cancel()
            raise
        job.future.cancel()
        self._pool.abandon(job)
        kind = AmbiguousResult if call.is_write else ExchangeUnavailable
        raise kind(f"no outcome after {limit:g} s", endpoint=call.name)


def _not_taken(name: str, pending: Pending[Any] | None, why: str) -> BybitError:
    """Return the error of a call that no thread has taken."""
    if pending is None:
        return ExchangeUnavailable(f"not sent: {why}", endpoint=name)
    pending.give_up()
    return AmbiguousResult(f"sent, but the answer was not read: {why}", endpoint=name)
