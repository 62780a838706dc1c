"""The trading core of the bot on an exchange in process, in virtual time.

Nothing of the bot is replaced but sockets, threads and clocks: its sessions, executors and
reconcilers run as they are, against the exchange's own REST and stream protocol.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

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
from paper_exchange.market.market import Market
from paper_exchange.stream.session import Channel
from testkit.in_process_rest import DelayedRest, InProcessTransport
from testkit.in_process_stream import InProcessStream
from testkit.paper import PaperWorld
from testkit.virtual_network import EPOCH, LoopTime, Network


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
