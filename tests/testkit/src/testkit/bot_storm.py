"""Seeded storms over a simulated bot: what goes wrong, when, and what has to hold all the while."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from exchange_model.rules.codes import RefusalError
from gridbot.actor.runner import StrategyRunner
from gridbot.session.reconciler import NotConfirmedError
from gridbot.settings.session_settings import SessionSettings
from gridcore import SafetyCaps
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings, merged
from paper_exchange.host.control import ACTION
from paper_exchange.host.faults import FaultKind, FaultRule
from testkit.bot_books import disagreements
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import paper_account, paper_listing, paper_market
from testkit.storm_watch import StormWatch

WIRE_FAULTS: tuple[tuple[FaultKind, dict[str, Any]], ...] = (
    (FaultKind.TIMEOUT, {"match": "order/", "executed": True}),
    (FaultKind.TIMEOUT, {"match": "order/", "executed": False}),
    (FaultKind.TIMEOUT, {"match": "create", "executed": True}),
    (FaultKind.HTTP_ERROR, {"executed": True}),
    (FaultKind.HTTP_ERROR, {"executed": False}),
    (FaultKind.RET_CODE, {"code": 10016, "executed": True}),
    (FaultKind.RET_CODE, {"code": 10016, "executed": False}),
    (FaultKind.RATE_LIMIT, {}),
    (FaultKind.LOSE, {"channel": "private"}),
    (FaultKind.LOSE, {"channel": "private", "match": "execution"}),
    (FaultKind.LOSE, {"channel": "private", "match": "order"}),
    (FaultKind.DUPLICATE, {"channel": "private"}),
    (FaultKind.REORDER, {"channel": "private"}),
    (FaultKind.DELAY, {"channel": "private", "delay_ms": 3_000}),
    (FaultKind.LOSE, {"channel": "public"}),
    (FaultKind.DELAY, {"channel": "public", "delay_ms": 2_000}),
    # a connection that is reset, while what was sent arrives late
    (FaultKind.LATENCY, {"match": "order/", "delay_ms": 3_000}),
    (FaultKind.LATENCY, {"match": "order/create", "executed": True, "delay_ms": 4_000}),
    (FaultKind.BATCH_ITEMS, {"match": "create-batch", "every": 2, "code": 10006}),
    (FaultKind.BATCH_ITEMS, {"match": "create-batch", "every": 3, "code": 10016, "executed": True}),
    # lists that lag
    (FaultKind.LAG, {"match": "position/list", "delay_ms": 3_000}),
    (FaultKind.LAG, {"match": "position/list", "delay_ms": 12_000}),
    (FaultKind.LAG, {"match": "order/realtime", "delay_ms": 4_000}),
    (FaultKind.LAG, {"match": "order/", "delay_ms": 9_000}),
    (FaultKind.LAG, {"match": "execution/list", "delay_ms": 6_000}),
    (FaultKind.LAG, {"match": "wallet-balance", "delay_ms": 5_000}),
    # forced closes that one channel alone tells
    (FaultKind.LOSE, {"channel": "private", "where": {"execType": ["AdlTrade", "BustTrade"]}}),
    (FaultKind.HIDE, {"match": "execution/list", "where": {"execType": ["AdlTrade", "BustTrade"]}}),
)
RULES: tuple[dict[str, str], ...] = (
    {"min_notional": "10"},
    {"min_notional": "5"},
    {"qty_step": "0.002", "min_qty": "0.002"},
    {"qty_step": "0.001", "min_qty": "0.001"},
    {"tick_size": "0.5"},
    {"tick_size": "0.1"},
)
CLOCK_STEPS_S = (-3.0, -0.8, 0.6, -40.0, 90.0)
DAY_MS = 86_400_000
LONGEST_OUTAGE_S = 45.0


@dataclass(slots=True)
class StormReport:
    """What a storm brought."""

    seed: int
    faults: list[str] = field(default_factory=list)
    fills: int = 0
    starts: int = 0
    hours: float = 0.0
    problems: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    digest: str = ""


class Storm:
    """One seeded session: a market, a bot, faults for a while, then quiet, then judgement."""

    def __init__(
        self,
        seed: int,
        *,
        minutes: float = 20.0,
        kills: bool = True,
        symbols: tuple[str, ...] = ("BTCUSDT",),
    ) -> None:
        self.chance = random.Random(seed)
        self.report = StormReport(seed)
        self._minutes = minutes
        self._kills = kills
        self.world = BotWorld(
            [paper_market(symbol) for symbol in symbols],
            [paper_account(deposit=str(self.chance.choice([2_000, 10_000])))],
            [
                StrategySpec(
                    symbol=symbol,
                    strat_id=f"grid_{symbol.lower()}",
                    amount="b0.002" if symbol == "BTCUSDT" else "b0.05",
                    grid_step=self.chance.choice(["0.05", "0.1", "0.2"]),
                    caps=SafetyCaps(max_notional=self.chance.choice([None, Decimal(4_000)])),
                )
                for symbol in symbols
            ],
            seed=seed,
            # a wallet frame that is lost without a trace is made up for by the next read only
            settings=SessionSettings(blocking=at_once, wallet_interval_s=60.0),
        )
        self.watch = StormWatch(self.world, self._problem)
        prices = {"BTCUSDT": Decimal(60_000), "ETHUSDT": Decimal(3_000)}
        self._feeds = [
            SyntheticFeed(
                paper_listing(symbol).instrument,
                SyntheticSettings(
                    start_price=prices[symbol],
                    kind=self.chance.choice(["mean_reversion", "gbm", "gbm+jumps", "sine"]),
                    volatility=self.chance.choice([0.8, 2.0, 4.0]),
                    trades_per_s=1.0,
                    jumps_per_day=200,
                    jump_ratio=0.004,
                    seed=seed,
                ),
            )
            for symbol in symbols
        ]

    async def run(self) -> StormReport:
        """Run it."""

        world = self.world
        loop = asyncio.get_running_loop()
        end = world.exchange.now_ms + DAY_MS
        player = loop.create_task(world.play(merged(self._feeds), end), name="world market")
        looks = loop.create_task(self.watch.look_now_and_then(), name="world looks")
        await asyncio.sleep(1)
        await world.start()
        await self._weather(self._minutes * 60)
        await self._heal()
        # the longest outage may have begun just now
        await asyncio.sleep(LONGEST_OUTAGE_S + 30)
        player.cancel()
        looks.cancel()
        # of two facts of one millisecond nobody knows the order; the next comparison settles it
        await asyncio.sleep(world.settings.sync_interval_s + 5)
        self._judge()
        self.report.digest = self.watch.digest
        if world.session is not None:
            await world.stop()
        self.report.fills = len(world.paper.account.executions)
        self.report.starts = world.starts
        self.report.hours = loop.time() / 3600
        return self.report

    def _problem(self, text: str) -> None:
        if text not in self.report.problems:
            self.report.problems.append(text)

    async def _weather(self, seconds: float) -> None:
        passed = 0.0
        while passed < seconds:
            wait = min(self.chance.expovariate(1 / 25), seconds - passed)
            await asyncio.sleep(wait)
            passed += wait
            await self._strike()

    async def _strike(self) -> None:
        world, chance = self.world, self.chance
        kind = chance.random()
        if kind < 0.5:
            fault, options = chance.choice(WIRE_FAULTS)
            rule = FaultRule(
                kind=fault,
                probability=chance.choice([0.2, 0.6, 1.0]),
                duration_s=chance.choice([2.0, 10.0, 40.0]),
                **options,
            )
            world.paper.parts.faults.add(rule)
            self._note(f"{fault.value} {options} {rule.probability} for {rule.duration_s} s")
        elif kind < 0.65 and world.private is not None:
            for_s = chance.choice([None, 5.0, LONGEST_OUTAGE_S])
            self._note(f"private stream gone for {for_s}")
            world.private.cut(for_s=for_s)
        elif kind < 0.72 and world.public is not None:
            self._note("public stream gone")
            world.public.cut(for_s=chance.choice([None, 20.0]))
        elif kind < 0.78:
            seconds = chance.choice([3.0, 20.0])
            self._note(f"no connection for {seconds} s")
            world.transport.is_cut = True
            asyncio.get_running_loop().call_later(seconds, self._reconnect)
        elif kind < 0.84:
            self._market_event()
        elif kind < 0.9:
            self._by_hand()
        elif kind < 0.93:
            await self._out_of_order()
        elif self._kills and world.session is not None:
            await self._restart()

    def _reconnect(self) -> None:
        self.world.transport.is_cut = False

    def _market_event(self) -> None:
        chance = self.chance
        symbol = chance.choice(list(self.world.exchange.markets))
        adl_qty = "0.003" if symbol == "BTCUSDT" else "0.05"
        actions = [
            {"do": "jump_price", "symbol": symbol, "percent": str(chance.uniform(-1.5, 1.5))[:6]},
            {"do": "adl", "account": "one", "symbol": symbol,
             "direction": chance.choice(["long", "short"]), "qty": adl_qty},
            {"do": "liquidate", "account": "one", "by": "reduce", "symbol": symbol,
             "direction": chance.choice(["long", "short"])},
            {"do": "cancel_orders", "account": "one", "symbol": symbol},
            {"do": "change_rules", "symbol": symbol, **chance.choice(RULES)},
        ]  # fmt: skip
        if symbol != "BTCUSDT":
            actions.pop()
        self._act(chance.choice(actions))

    def _by_hand(self) -> None:
        """Let a person trade on the account, or change it, in the exchange's own app."""
        chance = self.chance
        symbol = chance.choice(list(self.world.exchange.markets))
        direction = chance.choice(["long", "short"])
        qty = "0.004" if symbol == "BTCUSDT" else "0.06"
        side = "Buy" if direction == "long" else "Sell"
        place = {"account": "one", "symbol": symbol}
        opens = {"direction": direction, "side": side, "qty": qty}
        self._act(
            chance.choice(
                [
                    {"do": "place_order", **place, **opens},
                    {"do": "close_position", **place, "direction": direction},
                    {"do": "cancel_orders", **place, "cancel_type": "CancelByUser"},
                    {"do": "set_leverage", **place, "leverage": chance.choice(["5", "10"])},
                ]
            )
        )

    async def _out_of_order(self) -> None:
        """Let something be wrong for a while that a person, or the exchange, then sets right."""
        chance, world = self.chance, self.world
        symbol = chance.choice(list(world.exchange.markets))
        mode = {"do": "set_margin_mode", "account": "one"}
        loop = asyncio.get_running_loop()
        seconds = chance.choice([8.0, 70.0])
        match chance.choice(["margin", "halt", "clock", "disk"]):
            case "margin":
                self._act(mode | {"mode": "ISOLATED_MARGIN"})
                loop.call_later(seconds, self._act, mode | {"mode": "REGULAR_MARGIN"})
            case "halt":
                halt = {"do": "halt", "symbol": symbol, "code": chance.choice([110063, 110066])}
                self._act(halt)
                loop.call_later(seconds, self._act, halt | {"halted": False})
            case "clock":
                step = chance.choice(CLOCK_STEPS_S)
                self._note(f"the clock steps by {step} s")
                world.clock.skew += timedelta(seconds=step)
                # what is too far off is set right, or no call would ever be taken
                if abs(step) > 1:
                    loop.call_later(seconds, self._set_clock)
            case _:
                self._note("the disk is full")
                world.store.is_full = True
                loop.call_later(seconds, self._make_room)

    def _set_clock(self) -> None:
        self.world.clock.skew = timedelta(0)

    def _make_room(self) -> None:
        self.world.store.is_full = False

    def _act(self, action: dict[str, Any]) -> None:
        self._note(str(action))
        try:
            self.world.paper.control.run(ACTION.validate_python(action))
        except (ValueError, RefusalError) as error:
            self._note(f"refused: {error}"[:100])

    async def _restart(self) -> None:
        world, chance = self.world, self.chance
        if chance.random() < 0.6:
            self._note("killed")
            world.kill()
        else:
            self._note("stopped in order")
            await world.stop()
        await asyncio.sleep(chance.choice([0.0, 0.5, 5.0, 60.0]))
        await self._start()

    async def _start(self) -> None:
        """Start as a supervisor of processes would: again until it succeeds."""

        for _ in range(100):
            try:
                await self.world.start()
            except NotConfirmedError as error:
                self._note(f"start refused: {error}"[:120])
                self.world.kill()
                await asyncio.sleep(10)
            else:
                return

    async def _heal(self) -> None:
        self._note("quiet from here")
        self.world.paper.parts.faults.remove()
        self._reconnect()
        self._make_room()
        self._set_clock()
        self._act({"do": "set_margin_mode", "account": "one", "mode": "REGULAR_MARGIN"})
        for symbol in self.world.exchange.markets:
            self._act({"do": "set_leverage", "account": "one", "symbol": symbol, "leverage": "10"})
            self._act({"do": "halt", "symbol": symbol, "halted": False})
        for stream in (self.world.private, self.world.public):
            if stream is not None and stream.get_connection_state().disconnected_at is not None:
                self._note("a stream is still coming back")

    def _judge(self) -> None:
        world = self.world
        if world.session is None:
            self._problem("the bot does not run any more")
            return
        if world.session.stopped_because is not None:
            self.report.stopped.append(world.session.stopped_because)
        runners = list(world.session.runners.values())
        self.report.stopped += [
            runner.stopped_because for runner in runners if runner.stopped_because is not None
        ]
        if self.report.stopped:
            return
        for text in disagreements(world):
            self._problem(f"after the storm: {text}")
        self.watch.judge_alerts()
        for runner in runners:
            self._judge_runner(runner)

    def _judge_runner(self, runner: StrategyRunner) -> None:
        trips = runner.strategy.trips
        if "account_unknown" in trips or "stream_lost" in trips or "starting" in trips:
            self._problem(f"{runner.strat_id} is still blocked: {trips}")

    def _note(self, text: str) -> None:
        seconds = asyncio.get_running_loop().time()
        self.report.faults.append(f"{seconds:.1f} s: {text}")
