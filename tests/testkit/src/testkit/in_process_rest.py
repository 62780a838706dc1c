"""REST calls to an exchange in process, with faults and delays; the client is the adapter's own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from bybit_adapter import (
    BybitError,
    RateLimiter,
)
from bybit_adapter.basics.errors import AmbiguousResult, ExchangeUnavailable, error_for_code
from bybit_adapter.basics.row import Row, time_of_ms
from bybit_adapter.http.answers import Failure, Reply
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.rate_limiter import LimitHeaders
from bybit_adapter.http.wire import Wire
from bybit_adapter.rest.account import AccountCalls
from bybit_adapter.rest.market import MarketCalls
from bybit_adapter.rest.trade import TradeCalls
from paper_exchange.host.faults import FaultKind
from testkit.paper import PaperWorld, signed
from testkit.virtual_network import EPOCH, LoopTime, Network


class Unlimited(RateLimiter):
    """Lets every call go: the exchange of a simulation has limits of its own, or none."""

    def acquire(self, endpoint: Endpoint, *, cost: int = 1, max_wait_s: float = 10.0) -> None:
        """Return at once."""


class InProcessTransport:
    """Hands calls to the exchange's REST, faults included.

    `hangs` tells of an answer lost, `late_s` of one that comes late. `on_request` sees what reaches
    the exchange, before it does.
    """

    def __init__(self, world: PaperWorld, clock: LoopTime) -> None:
        self._world = world
        self._clock = clock
        self.is_cut = False
        self.hangs = False
        self.late_s = 0.0
        self.on_request: Callable[[str, Mapping[str, Any]], None] = lambda path, params: None

    def close(self) -> None:
        """Nothing is open."""

    def send(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Reply | Failure:
        """Make one call."""
        self.hangs, self.late_s = False, 0.0
        if self.is_cut:
            error = ExchangeUnavailable("no connection", endpoint=str(endpoint), request=params)
            return Failure(error, LimitHeaders())
        rule = self._world.parts.faults.rest(endpoint.path)
        kind = None if rule is None else rule.kind
        reply = self._call(endpoint, params) if rule is None or rule.executed else None
        if rule is None or (kind is FaultKind.LATENCY and rule.executed):
            assert reply is not None
            self.late_s = 0.0 if rule is None else rule.delay_ms / 1000
            return self._parsed(endpoint, params, reply)
        if kind is FaultKind.LATENCY:
            # the connection was reset, and what had been sent arrives all the same
            signed_ms = self._machine_ms()
            asyncio.get_running_loop().call_later(
                rule.delay_ms / 1000, self._call, endpoint, params, signed_ms
            )
        if kind is FaultKind.RATE_LIMIT:
            return self._refused(endpoint, params, 10006, "Too many visits!")
        if kind is FaultKind.RET_CODE:
            return self._refused(endpoint, params, rule.code, rule.message)
        self.hangs = kind is FaultKind.TIMEOUT
        problem = AmbiguousResult if endpoint.is_write else ExchangeUnavailable
        return Failure(
            problem(f"fault {kind}", endpoint=str(endpoint), request=params), LimitHeaders()
        )

    def _machine_ms(self) -> int:
        return int((self._clock.now() - EPOCH) / timedelta(milliseconds=1))

    def _call(
        self, endpoint: Endpoint, params: Mapping[str, Any], signed_ms: int | None = None
    ) -> dict[str, Any]:
        now_ms = self._machine_ms() if signed_ms is None else signed_ms
        self._world.exchange.advance(self._exchange_ms())
        self.on_request(endpoint.path, params)
        sent = {name: value for name, value in params.items() if value is not None}
        if endpoint.method == "GET":
            sent = {name: str(value) for name, value in sorted(sent.items())}
            urlencode(sent)
        reply = self._world.parts.rest.answer(signed(endpoint.method, endpoint.path, sent, now_ms))
        self._world.exchange.outbox.flush()
        content: dict[str, Any] = orjson.loads(reply.body())
        return content

    def _exchange_ms(self) -> int:
        moment = self._clock.now() - self._clock.skew
        return max(self._world.exchange.now_ms, int((moment - EPOCH) / timedelta(milliseconds=1)))

    def _parsed(
        self, endpoint: Endpoint, params: Mapping[str, Any], body: Mapping[str, Any]
    ) -> Reply | Failure:
        if body["retCode"]:
            return self._refused(endpoint, params, body["retCode"], body["retMsg"])
        return Reply(
            Row(str(endpoint), body["result"], "result."),
            Row(str(endpoint), body["retExtInfo"], "retExtInfo."),
            time_of_ms(body["time"]),
            LimitHeaders(),
        )

    @staticmethod
    def _refused(endpoint: Endpoint, params: Mapping[str, Any], code: int, message: str) -> Failure:
        error = error_for_code(
            code, message, endpoint=str(endpoint), request=params, is_write=endpoint.is_write
        )
        return Failure(error, LimitHeaders())


class InProcessRest(MarketCalls, AccountCalls, TradeCalls):
    """The adapter's own REST client over the in-process transport."""

    def __init__(self, transport: InProcessTransport, clock: LoopTime) -> None:
        limiter = Unlimited(clock=clock)
        chance = random.Random(0)
        super().__init__(Wire(transport, limiter, clock, chance, 1))  # type: ignore[arg-type]


class DelayedRest:
    """The client's calls as coroutines with the network's delays."""

    def __init__(
        self,
        transport: InProcessTransport,
        clock: LoopTime,
        network: Network,
        chance: random.Random,
    ) -> None:
        self._transport = transport
        self._rest = InProcessRest(transport, clock)
        self._network = network
        self._chance = chance
        self.calls = Counter[str]()  # by the name of the method

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._rest, name)

        async def delayed(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            await self._wait(self._network.up_ms)
            try:
                result = call(*args, **kwargs)
            except BybitError:
                if self._transport.hangs:
                    await asyncio.sleep(self._network.timeout_ms / 1000)
                await self._wait(self._network.down_ms)
                raise
            late_s = self._transport.late_s
            await self._wait(self._network.down_ms)
            await asyncio.sleep(late_s)
            return result

        return delayed

    async def _wait(self, span: tuple[int, int]) -> None:
        await asyncio.sleep(self._chance.randint(*span) / 1000)
