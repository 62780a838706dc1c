"""Scenes: the bot on an exchange in process, in virtual time, one thing happening to it.

A scene begins with a bot whose grids rest on a market that hardly moves. What it is told, how it is
and what rests on the exchange are looked at from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from bybit_adapter.http.endpoints import Endpoint
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import AlertKey
from gridbot.settings.session_settings import SessionSettings
from gridcore import SafetyCaps, StrategyConfig
from paper_exchange.feeds import SyntheticFeed, SyntheticSettings, merged
from paper_exchange.market.market import Market
from testkit.bot_world import BotWorld, StrategySpec, at_once
from testkit.paper import paper_account, paper_listing, paper_market
from testkit.virtual_loop import run_virtually

PRICES = {"BTCUSDT": 60_000, "ETHUSDT": 3_000}
AMOUNTS = {"BTCUSDT": "b0.002", "ETHUSDT": "b0.05"}
QUIET = 0.02  # volatility: tickers come, and no order fills
LIVELY = 3.0


@dataclass(slots=True)
class SceneSpec(StrategySpec):
    """One strategy of a scene."""

    max_margin: float = 8.0  # times the wallet

    def config(self, market: Market) -> StrategyConfig:
        """Return what the strategy is told."""
        config = StrategySpec.config(self, market)
        return replace(config, risk=replace(config.risk, max_margin=self.max_margin))


class Scene:
    """One bot, one account, one or more symbols; strategies are named after their symbols."""

    def __init__(
        self,
        symbols: Sequence[str] = ("BTCUSDT",),
        *,
        deposit: str = "10000",
        caps: SafetyCaps | None = None,
        volatility: float = QUIET,
        trades_per_s: float = 1.0,
        seed: int = 3,
        settings: SessionSettings | None = None,
        **spec: Any,
    ) -> None:
        self.symbols = tuple(symbols)
        specs = [
            SceneSpec(
                **{"symbol": one, "strat_id": one.lower(), "amount": AMOUNTS[one]}
                | {"caps": caps or SafetyCaps()}
                | spec
            )
            for one in self.symbols
        ]
        self.world = BotWorld(
            [paper_market(one) for one in self.symbols],
            [paper_account(deposit=deposit)],
            specs,
            seed=seed,
            settings=settings or SessionSettings(blocking=at_once),
        )
        self._market = [
            SyntheticFeed(
                paper_listing(one).instrument,
                SyntheticSettings(
                    start_price=Decimal(PRICES[one]), kind="mean_reversion",
                    volatility=volatility, trades_per_s=trades_per_s, seed=seed,
                ),
            )
            for one in self.symbols
        ]  # fmt: skip
        self._from = 0
        self._player: asyncio.Task[None] | None = None

    async def run(self, story: Callable[[Scene], Awaitable[None]], *, settle_s: float) -> None:
        """Let the market begin, start the bot, and let the story happen."""
        world = self.world
        self.market_goes_on()
        await asyncio.sleep(1)
        await world.start()
        await asyncio.sleep(settle_s)
        await story(self)
        self.market_ends()

    # the market

    def market_goes_on(self) -> None:
        """Let the market move from now on."""
        work = self.world.play(merged(self._market), self.world.exchange.now_ms + 10**9)
        self._player = asyncio.get_running_loop().create_task(work, name="world market")

    def market_ends(self) -> None:
        """Let the market say nothing more."""
        if self._player is not None:
            self._player.cancel()
            self._player = None

    # what happens

    def act(self, **action: Any) -> None:
        """Carry out an action of the exchange."""
        self.world.paper.run(**action)

    def fault(self, kind: str, **more: Any) -> None:
        """Let something of the wire go wrong."""
        self.act(do="fault", kind=kind, **more)

    def heal(self) -> None:
        """End all faults of the wire."""
        self.act(do="heal")

    # looks

    def runner(self, symbol: str = "BTCUSDT") -> StrategyRunner:
        """Return the strategy of a symbol."""
        assert self.world.session is not None
        return self.world.session.runners[symbol]

    def health(self, symbol: str = "BTCUSDT") -> tuple[str, str]:
        """Return how a strategy is, and why, in one text."""
        health, reasons = self.runner(symbol).health.state()
        return health.value, "; ".join(reasons)

    def orders(self, symbol: str = "BTCUSDT") -> int:
        """Return how many orders rest on the exchange."""
        return sum(1 for _ in self.world.paper.account.orders_of(symbol))

    def from_now(self) -> None:
        """Look only at alerts that come from here on."""
        self._from = len(self.world.alerts.all)

    def told(self, key: AlertKey | None = None) -> list[str]:
        """Return the texts of the alerts of a kind, or of all."""
        return [
            text for one, text in self.world.alerts.all[self._from :] if key is None or one is key
        ]

    def kinds(self) -> list[AlertKey]:
        """Return the kinds of all alerts, in their order."""
        return [key for key, _ in self.world.alerts.all[self._from :]]

    async def until(self, condition: Callable[[], object], within_s: float, what: str) -> float:
        """Wait for a condition, in virtual time; return how long it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not condition():
            if loop.time() - begun > within_s:
                raise AssertionError(
                    f"{what}: not within {within_s:g} s; {[self.health(s) for s in self.symbols]},"
                    f" told {self.world.alerts.all[self._from :]}"
                )
            await asyncio.sleep(0.25)
        return loop.time() - begun

    def listen(self) -> list[Endpoint]:
        """Return a list that gets every call from here on."""
        calls: list[Endpoint] = []
        send = self.world.transport.send

        def heard(endpoint: Endpoint, params: Any) -> Any:
            calls.append(endpoint)
            return send(endpoint, params)

        self.world.transport.send = heard  # type: ignore[method-assign]
        return calls


def play(
    story: Callable[[Scene], Awaitable[None]], *, settle_s: float = 15.0, **options: Any
) -> Scene:
    """Play one scene; return it, with all that was told."""
    scene = Scene(**options)
    run_virtually(scene.run(story, settle_s=settle_s))
    return scene
