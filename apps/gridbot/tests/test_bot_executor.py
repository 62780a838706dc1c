"""Commands in doubt, over sockets: each comes to an outcome when the exchange answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from random import Random

import pytest

from bybit_adapter import (
    BybitAsyncClient,
    BybitError,
    BybitRestClient,
    Environment,
    RateLimiter,
    make_order_link_id,
)
from gridbot.actor.executor import IntentExecutor
from gridbot.ports import ExchangeClock, MachineTime
from gridcore import (
    DirectionType,
    Event,
    Intent,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    SideType,
)
from paper_exchange.host.control import ACTION
from testkit.paper import KEY, SECRET, PaperHost

pytestmark = [pytest.mark.integration, pytest.mark.exchange(priced=True)]

WORKERS = 4


class Notes:
    """Keeps what an executor says is wrong."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def auth_failed(self, error: BybitError) -> None: ...
    def leg_in_doubt(self, direction: DirectionType) -> None: ...
    def wallet_in_doubt(self) -> None: ...
    def trading_paused(self, error: BybitError) -> None: ...
    def trading_goes_on(self) -> None: ...
    def order_refused(self, intent: Intent, error: BybitError) -> None: ...
    def unresolved(self, intent: PlaceLimitIntent, seconds: float) -> None: ...
    def orders_in_doubt(self) -> None: ...


@pytest.fixture
def rest(host: PaperHost) -> Iterator[BybitAsyncClient]:
    blocking = BybitRestClient(
        KEY,
        SECRET,
        Environment.local(host.server.port),
        limiter=RateLimiter(random=Random(1)),
        query_timeout_s=0.4,
        order_timeout_s=0.5,
    )
    made = BybitAsyncClient(blocking, workers=WORKERS)
    yield made
    made.close()


def executor_of(
    rest: BybitAsyncClient,
    told: list[Event],
    notes: Notes,
    mint: Callable[[str, datetime], str] = make_order_link_id,
) -> IntentExecutor:
    clock = ExchangeClock(MachineTime())
    return IntentExecutor(rest, clock, told.append, lambda intent: True, notes, mint)


def buy(price: int) -> PlaceLimitIntent:
    return PlaceLimitIntent.create(
        "BTCUSDT", SideType.BUY, Decimal(price), Decimal("0.001"), 0, DirectionType.LONG
    )


async def test_orders_in_doubt_are_found_while_queries_hang_on_every_thread_they_may_have(
    host: PaperHost, rest: BybitAsyncClient
) -> None:
    for match, count in (("execution/list", None), ("order/create", 3)):
        lost = {"do": "fault", "kind": "timeout", "match": match, "count": count, "executed": True}
        host.do(lambda lost=lost: host.control.run(ACTION.validate_python(lost)))  # type: ignore[misc]
    asking = [asyncio.create_task(rest.get_executions_all("BTCUSDT")) for _ in range(40)]
    told: list[Event] = []
    executor = executor_of(rest, told, Notes())
    for price in (59_000, 59_100, 59_200):
        executor.submit([buy(price)])
    assert await executor.settle(8)
    assert not all(task.done() for task in asking)
    outcomes = [one for one in told if isinstance(one, PlaceResultEvent)]
    assert [one.outcome for one in outcomes] == [PlaceOutcome.ACCEPTED] * 3
    account = host.exchange.accounts["one"]
    placed = host.do(lambda: {one.order_id for one in account.orders_of("BTCUSDT")})
    assert {one.order_id for one in outcomes} == placed
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_a_command_that_fails_unexpectedly_is_told(rest: BybitAsyncClient) -> None:
    def mint(client_order_id: str, now: datetime) -> str:
        return "a link id that no exchange takes, and that no request can be made of"

    notes = Notes()
    executor = executor_of(rest, [], notes, mint)
    executor.submit([buy(59_000)])
    assert await executor.settle(5)
    assert [type(one) for one in notes.failures] == [ValueError]
