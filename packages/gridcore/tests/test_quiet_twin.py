"""The quiet band against a twin that knows of none and looks at every tick.

Both are told the same messages: facts of an unkind exchange, commands of a person. The market
likes to stand at the edges of the band, and time makes leaps. Whatever ends the quiet and is
forgotten shows as a tick at which the twin does what the strategy does not.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from gridcore import (
    AmountSpec,
    Decision,
    GridConfig,
    GridStrategy,
    LossReset,
    Message,
    QuietBand,
    Refusal,
    SafetyCaps,
    StrategyView,
    TickerEvent,
)
from testkit.builders import risk, strategy_config
from testkit.world import UNKIND, World

pytestmark = pytest.mark.untraced

LIVELY = replace(UNKIND, operator=0.03, foreign=0.02, by_hand=0.003)
OF_LAST_LOOK = {*Refusal, "starved"}
LEAPS_S = (1, 5, 31, 63, 400, 1_000, 30_000)


class Attentive(GridStrategy):
    """Looks at every ticker as if it knew of no quiet band."""

    def pass_quiet(self, price: Decimal, now: datetime) -> bool:
        return False


def seen(strategy: GridStrategy) -> tuple[object, ...]:
    """Return what a quiet tick may not change, and what it may not hide.

    Left out is what tells of the last whole look: the orders that it refused, and since when, and
    orders of more than a minute ago that still stand in the list of the rate.
    """
    view, kept = strategy.view, strategy.snapshot()
    del kept["guards"]["rate"]
    told = {name: why for name, why in view.trips.items() if name not in OF_LAST_LOOK}
    return kept, told, view.orders, view.multipliers


@dataclass
class TwinWorld(World):
    """A world of two strategies that have to say the same at every message."""

    quiet: int = 0
    band: QuietBand | None = None
    attentive: GridStrategy = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.attentive = Attentive(self.config)

    def ask(self, message: Message) -> Decision:
        is_ticker = isinstance(message, TickerEvent)
        self.band = self.strategy.quiet_band() if is_ticker else None
        before = self.strategy.view
        decision = self.strategy.handle(message)
        theirs = self.attentive.handle(message)
        assert theirs.intents == decision.intents, (message, self.band)
        assert theirs.fills == decision.fills
        for ours, other in zip(seen(self.strategy), seen(self.attentive), strict=True):
            assert ours == other, (message, self.band)
        if not decision.changed:
            assert not decision.intents
            assert lasting(self.strategy.view) == lasting(before)
        self.quiet += is_ticker and not decision.changed
        return decision

    def move(self, price_ticks: int | None = None) -> None:
        if self.rng.random() < 0.05:
            self.exchange.now += timedelta(seconds=self.rng.choice(LEAPS_S))
        if self.rng.random() < 0.05:
            share = self.rng.choice([0, 0, 1]) * Decimal("0.9")
            self.exchange.margin_elsewhere = self.exchange.wallet * share
            self.deliver(self.exchange.account_report())
        band = self.strategy.quiet_band()
        if price_ticks is None and band is not None and self.rng.random() < 0.4:
            edges = (band.low_ticks - 1, band.low_ticks, band.high_ticks, band.high_ticks + 1)
            near = [one for one in edges if abs(one - self.price_ticks) < 8 * self.volatility_ticks]
            price_ticks = self.rng.choice(near) if near else None
        super().move(price_ticks)


def lasting(view: StrategyView) -> StrategyView:
    """Return a view without what a message that changes nothing may change.

    The last price, what depends on it or on time, and how often something was told again.
    """
    times = {"newest": None, "contained": None}
    view = replace(view, long=replace(view.long, **times), short=replace(view.short, **times))
    return replace(view, last_price=None, trips={}, limits={}, refused={}, duplicate_executions=0)


def twins(seed: int) -> TwinWorld:
    rng = random.Random(seed)
    caps = SafetyCaps(
        session_loss_limit=rng.choice([None, Decimal(3), Decimal(30)]),
        session_loss_reset=rng.choice(list(LossReset)),
        max_orders_per_minute=rng.choice([None, 5, 40]),
        max_notional=rng.choice([None, Decimal(1000)]),
        max_open_orders=rng.choice([None, None, 12]),
    )
    config = strategy_config(
        grid=GridConfig(rng.choice([6, 10, 20]), rng.choice([0.1, 0.2, 0.4])),
        amount=AmountSpec.parse(rng.choice(["100", "x0.01", "b0.002"])),
        risk=rng.choice(
            [risk(), risk(min_liq_ratio=0.5, max_liq_ratio=2.0, min_total_margin=20.0)]
        ),
        safety_caps=caps,
        cancel_foreign_orders=rng.random() < 0.5,
        post_only=rng.random() < 0.3,
    )
    faults = replace(
        LIVELY,
        cancel_fail=rng.choice([0.03, 0.6]),
        no_position=rng.choice([0, 0, 0.7]),
        reject=rng.choice([0.03, 0.3]),
    )
    world = TwinWorld(
        rng,
        config,
        faults=faults,
        deposit=Decimal(rng.choice([60, 200, 10_000])),
        volatility_ticks=rng.choice([150, 500, 1_500]),
    )
    if world.exchange.wallet > 1_000:
        for leg in world.exchange.legs.values():
            leg.size = Decimal(rng.choice(["0", "0.01", "0.2"]))
            leg.cost = leg.size * 60_000
    return world


@pytest.mark.parametrize("seed", range(30))
def test_whoever_looks_at_every_tick_says_the_same(seed: int) -> None:
    world = twins(seed)
    for number in range(600):
        if number % 100 == 0:
            world.resync()
        world.step()
    assert world.quiet > 20
