"""The trading core of the bot on an exchange in process, in virtual time.

Nothing of the bot is replaced but sockets, threads and clocks: its sessions, executors and
reconcilers run as they are, against the exchange's own REST and stream protocol.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import orjson

from bybit_adapter import (
    BybitError,
    BybitNormalizer,
    ConnectionState,
    MalformedFrame,
    RateLimiter,
    StreamState,
    StreamUpdate,
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
from gridbot.actor.executor import IntentExecutor
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey
from gridbot.ports import ExchangeClock, StreamCallbacks
from gridbot.records.state_store import StateInMemory
from gridbot.session.account_session import AccountSession
from gridbot.session.market_hub import MarketHub
from gridbot.settings.session_settings import SessionSettings
from gridcore import (
    AmountSpec,
    GridConfig,
    GridStrategy,
    RiskConfig,
    SafetyCaps,
    StrategyConfig,
)
from paper_exchange.basics.settings import MatchingSettings
from paper_exchange.book.account import PaperAccount
from paper_exchange.feeds import Feed
from paper_exchange.host.faults import FaultKind
from paper_exchange.market.market import Market
from paper_exchange.rest.auth import signature
from paper_exchange.stream.streams import Channel, StreamSession
from testkit.paper import KEY, SECRET, PaperWorld, signed

log = logging.getLogger(__name__)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Delays of the way to the exchange and back, ms, each between a least and a most."""

    up_ms: tuple[int, int] = (5, 40)
    down_ms: tuple[int, int] = (5, 40)
    stream_ms: tuple[int, int] = (3, 30)
    timeout_ms: int = 15_000
    reconnect_ms: tuple[int, int] = (500, 3_000)


class LoopTime:
    """The bot's clock: virtual, and off from the exchange's by `skew`."""

    def __init__(self, start_ms: int) -> None:
        self._start = EPOCH + timedelta(milliseconds=start_ms)
        self.skew = timedelta(0)

    def now(self) -> datetime:
        """Return the moment, aware UTC."""
        return self._start + timedelta(seconds=asyncio.get_running_loop().time()) + self.skew

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return asyncio.get_running_loop().time()

    def sleep(self, seconds: float) -> None:
        """Return at once: a call in process has no thread that could wait."""


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


class InProcessStream:
    """A stream of the exchange with delays; frames of one connection stay in order."""

    def __init__(
        self,
        world: PaperWorld,
        channel: Channel,
        topics: Sequence[str],
        callbacks: StreamCallbacks,
        clock: LoopTime,
        network: Network,
        chance: random.Random,
    ) -> None:
        self._world = world
        self._channel = channel
        self._topics = topics
        self._callbacks = callbacks
        self._clock = clock
        self._network = network
        self._chance = chance
        self._session: StreamSession | None = None
        self._normalizer = BybitNormalizer()
        self._last_arrival = 0.0
        self._lost_at: datetime | None = None
        self._generation = 0
        self.malformed = 0

    def connect(self, timeout_s: float = 10.0) -> bool:
        """Connect at once."""
        self._open()
        return True

    def disconnect(self) -> None:
        """End."""
        self._close()

    def get_connection_state(self) -> ConnectionState:
        """Return how it is."""
        alive = self._session is not None
        return ConnectionState(
            state=StreamState.CONNECTED if alive else StreamState.RECONNECTING,
            is_alive=alive,
            traffic_age_s=0.0,
            data_age_s=0.0,
            disconnected_at=self._lost_at,
            reconnects=0,
            rebuilds=0,
            received=0,
            malformed=self.malformed,
            callback_errors=0,
            rejected_topics={},
            auth_error=None,
        )

    def _open(self) -> None:
        self._generation += 1
        generation = self._generation
        hub = self._world.parts.hub
        self._normalizer.reset()
        session = hub.open(self._channel, lambda frame: self._sent(generation, frame), lambda: None)
        self._session = session
        if self._channel is Channel.PRIVATE:
            expires = self._world.exchange.now_ms + 10_000
            sign = signature(SECRET, f"GET/realtime{expires}".encode())
            hub.on_text(session, orjson.dumps({"op": "auth", "args": [KEY, expires, sign]}))
        hub.on_text(session, orjson.dumps({"op": "subscribe", "args": list(self._topics)}))

    def _close(self) -> None:
        session, self._session = self._session, None
        self._generation += 1
        if session is not None:
            self._world.parts.hub.closed(session)

    def cut(self, *, for_s: float | None = None) -> None:
        """Lose the connection, and have it back after a while."""
        if self._session is None:
            return
        self._close()
        lost_at = self._lost_at = self._clock.now()
        self._callbacks.on_disconnect(lost_at)
        wait = (
            for_s if for_s is not None else self._chance.randint(*self._network.reconnect_ms) / 1e3
        )
        asyncio.get_running_loop().call_later(wait, self._back, lost_at)

    def _back(self, lost_at: datetime) -> None:
        self._open()
        # ready is what has been acknowledged
        delay = self._world.parts.hub.ack_delay_ms / 1000 + 0.05
        asyncio.get_running_loop().call_later(delay, self._ready, lost_at, self._generation)

    def _ready(self, lost_at: datetime, generation: int) -> None:
        if generation == self._generation:
            self._lost_at = None
            self._callbacks.on_reconnect(lost_at, self._clock.now())

    def _sent(self, generation: int, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        delay = self._chance.randint(*self._network.stream_ms) / 1000
        arrival = max(loop.time() + delay, self._last_arrival)
        self._last_arrival = arrival
        loop.call_at(arrival, self._arrived, generation, frame)

    def _arrived(self, generation: int, frame: bytes) -> None:
        if generation != self._generation:
            return
        content = orjson.loads(frame)
        if "topic" not in content:
            return
        updates: Sequence[StreamUpdate]
        try:
            updates = self._normalizer.normalize(content, self._clock.now())
        except MalformedFrame as error:
            self.malformed += 1
            updates = error.fitting
        for update in updates:
            self._callbacks.on_event(update)


class CollectedAlerts:
    """Keeps alerts for the test to look at."""

    def __init__(self) -> None:
        self.all: list[tuple[AlertKey, str]] = []

    def alert(self, key: AlertKey, text: str, *, about: str = "") -> None:
        """Keep an alert."""
        self.all.append((key, text))

    def count(self, key: AlertKey) -> int:
        """Return how many of a kind there were."""
        return sum(one is key for one, _ in self.all)


def _age(task: asyncio.Task[Any]) -> tuple[int, str]:
    """Return what sorts tasks by when they were made: the loop numbers those without a name."""
    name = task.get_name()
    number = name.rpartition("-")[2]
    return (int(number) if number.isdigit() else 0), name


class FailingStore(StateInMemory):
    """A disk that is full for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def save(self, strat_id: str, saved_at: datetime, snapshot: Mapping[str, Any]) -> None:
        """Keep a snapshot."""
        self._need_room()
        super().save(strat_id, saved_at, snapshot)

    def save_guards(self, strat_id: str, saved_at: datetime, guards: Mapping[str, Any]) -> None:
        """Keep newer guards."""
        self._need_room()
        super().save_guards(strat_id, saved_at, guards)

    def _need_room(self) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")


async def at_once(call: Callable[[], Any]) -> Any:
    """Run what would block a thread where there is none."""
    return call()


@dataclass(slots=True)
class StrategySpec:
    """One strategy of a simulated bot."""

    symbol: str = "BTCUSDT"
    strat_id: str = "grid"
    grid_count: int = 20
    grid_step: str = "0.1"
    amount: str = "b0.002"
    leverage: str = "10"
    caps: SafetyCaps = field(default_factory=SafetyCaps)

    def config(self, market: Market) -> StrategyConfig:
        """Return what the strategy is told."""
        return StrategyConfig(
            strat_id=self.strat_id,
            instrument=market.listing.instrument,
            amount=AmountSpec.parse(self.amount),
            risk=RiskConfig(
                min_liq_ratio=0.8, max_liq_ratio=1.2, max_margin=8.0, min_total_margin=0.15
            ),
            grid=GridConfig(self.grid_count, Decimal(self.grid_step), Decimal("0.3")),
            leverage=Decimal(self.leverage),
            safety_caps=self.caps,
        )


class BotWorld:
    """An exchange, a feed and a bot; `run` inside of `run_virtually`."""

    def __init__(
        self,
        markets: Sequence[Market],
        accounts: Sequence[PaperAccount],
        specs: Sequence[StrategySpec],
        *,
        seed: int,
        network: Network | None = None,
        matching: MatchingSettings | None = None,
        settings: SessionSettings | None = None,
    ) -> None:
        self.seed = seed
        self.paper = PaperWorld(markets, accounts, settings=matching, seed=seed)
        self.exchange = self.paper.exchange
        self.network = network or Network()
        self.chance = random.Random(seed)
        self.clock = LoopTime(self.exchange.now_ms)
        self.alerts = CollectedAlerts()
        self.store = FailingStore()
        self.settings = settings or SessionSettings(blocking=at_once)
        self.specs = list(specs)
        self.transport = InProcessTransport(self.paper, self.clock)
        self.session: AccountSession | None = None
        self.hub: MarketHub | None = None
        self.private: InProcessStream | None = None
        self.public: InProcessStream | None = None
        self.after_event: Callable[[], None] = lambda: None
        self.starts = 0
        self._links = 0

    # the market

    async def play(self, feed: Feed, until_ms: int) -> None:
        """Let the feed move the market in virtual time until a time of the exchange."""
        for event in feed.events(self.exchange.now_ms):
            if event.ts_ms > until_ms:
                break
            await self.until(event.ts_ms)
            self.exchange.feed(event)
        await self.until(until_ms)

    async def until(self, ts_ms: int) -> None:
        """Let virtual time pass until a time of the exchange, with what falls due on the way."""
        while True:
            due = self.exchange.schedule.next_ms
            target = ts_ms if due is None else min(ts_ms, max(due, self.exchange.now_ms))
            wait = target - self._now_ms()
            if wait > 0:
                await asyncio.sleep(wait / 1000)
            self.exchange.advance(max(target, self.exchange.now_ms))
            if target >= ts_ms:
                return

    def _now_ms(self) -> int:
        moment = self.clock.now() - self.clock.skew
        return int((moment - EPOCH) / timedelta(milliseconds=1))

    # the bot

    def _mint(self, client_order_id: str, now: datetime) -> str:
        self._links += 1
        return f"{client_order_id}-{self._links:x}"

    async def start(self) -> None:
        """Start the bot, as a process would."""
        self.starts += 1
        clock = ExchangeClock(self.clock)
        self.rest = rest = DelayedRest(self.transport, self.clock, self.network, self.chance)
        runners = []
        for spec in self.specs:
            strategy = GridStrategy(spec.config(self.exchange.market(spec.symbol)))
            runner = StrategyRunner(strategy, "one", clock, self.alerts, store=self.store)
            runner.restore()
            runners.append(runner)
        self.session = session = AccountSession(
            "one",
            rest,
            self._open_private,
            runners,
            clock,
            self.alerts,
            self.settings,
        )
        for runner in runners:
            runner.use(
                IntentExecutor(
                    rest,
                    clock,
                    runner.tell,
                    runner.still_wants,
                    session.outcome_handler(runner),
                    self._mint,
                )
            )
        await session.prepare()
        await session.start()
        self.hub = MarketHub(
            "paper", self._open_public, runners, self.clock, self.alerts, self.settings
        )
        await self.hub.start()

    def _open_private(self, callbacks: StreamCallbacks) -> InProcessStream:
        topics = ("order", "execution", "position", "wallet")
        self.private = self._stream(Channel.PRIVATE, topics, callbacks)
        return self.private

    def _open_public(self, symbols: Sequence[str], callbacks: StreamCallbacks) -> InProcessStream:
        topics = [f"{kind}.{one}" for one in symbols for kind in ("tickers", "publicTrade")]
        self.public = self._stream(Channel.PUBLIC, topics, callbacks)
        return self.public

    def _stream(
        self, channel: Channel, topics: Sequence[str], callbacks: StreamCallbacks
    ) -> InProcessStream:
        return InProcessStream(
            self.paper, channel, topics, callbacks, self.clock, self.network, self.chance
        )

    async def stop(self, *, cancel_orders: bool = False, timeout_s: float = 20.0) -> None:
        """Stop the bot in order."""
        if self.hub is not None:
            await self.hub.stop()
        if self.session is not None:
            await self.session.stop(timeout_s, cancel_orders=cancel_orders)
        self.session = self.hub = None

    def kill(self) -> None:
        """Let the bot be gone in the middle of whatever it does."""
        current = asyncio.current_task()
        # a set has another order in every process; the same seed has to end in the same way
        for task in sorted(asyncio.all_tasks(), key=_age):
            if task is not current and not task.get_name().startswith("world"):
                task.cancel()
        for stream in (self.private, self.public):
            if stream is not None:
                stream.disconnect()
        self.session = self.hub = self.private = self.public = None

    # judgement

    def disagreements(self) -> list[str]:
        """Return how the bot's books differ from the exchange's."""
        if self.session is None:
            return ["the bot does not run"]
        account = self.paper.account
        found = []
        for runner in self.session.runners.values():
            view, symbol = runner.strategy.view, runner.symbol
            book = account.books[symbol]
            for leg in (view.long, view.short):
                real = book.pair.leg(leg.direction).size
                if leg.size != real:
                    found.append(f"{symbol} {leg.direction}: {leg.size} here, {real} there")
            mine = {order.order_id: order.leaves_qty for order in view.orders}
            theirs = {
                one.order_id: one.leaves_qty for one in account.orders_of(symbol) if one.link_id
            }
            if mine != theirs:
                only_here, only_there = mine.keys() - theirs.keys(), theirs.keys() - mine.keys()
                found.append(f"{symbol}: orders only here {only_here}, only there {only_there}")
            if view.wallet_balance != account.money.wallet:
                found.append(f"wallet {view.wallet_balance} here, {account.money.wallet} there")
        return found

    def broken_promises(self) -> list[str]:
        """Return which invariants the exchange's own books show to be broken."""
        account = self.paper.account
        found = []
        for symbol, book in account.books.items():
            places: dict[tuple[str, Decimal, str], int] = {}
            for order in account.orders_of(symbol):
                if not order.link_id:
                    continue  # somebody's own order
                key = order.direction.value, order.price, order.side.value
                places[key] = places.get(key, 0) + 1
            found += [f"{symbol}: {count} orders at {key}" for key, count in places.items()
                      if count > 1]  # fmt: skip
            for direction, covered in book.orders.closing_qty.items():
                size = book.pair.leg(direction).size
                waiting = book.arriving_closing[direction]
                if covered + waiting > size:
                    found.append(f"{symbol} {direction}: {covered + waiting} closing of {size}")
        return found
