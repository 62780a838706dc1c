"""The promises of a strategy against an exchange that answers late, twice and in any order."""

import os
import random
from decimal import Decimal

import pytest

from gridcore import DirectionType, GridConfig, Hold, SafetyCaps
from testkit.builders import strategy_config
from testkit.world import KIND, UNKIND, UNTRUE, Faults, World

pytestmark = pytest.mark.simulation

# `make test-simulation SEEDS=10000` runs as many; a failure names its seed
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "40"))


def world(seed: int, faults: Faults, **config: object) -> World:
    rng = random.Random(seed)
    grid = GridConfig(rng.choice([10, 20, 50]), rng.choice([0.1, 0.2, 0.4]))
    wallet = Decimal(rng.choice([300, 10_000]))
    return World(rng, strategy_config(grid=grid, **config), faults=faults, deposit=wallet)


@pytest.mark.parametrize("seed", range(12))
def test_books_agree_with_a_kind_exchange(seed: int) -> None:
    kind = world(seed, KIND)
    kind.run(700)
    kind.heal()
    kind.check_agreement()
    assert kind.exchange.executions


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants_hold_and_books_agree_after_faults(seed: int) -> None:
    unkind = world(seed + 1000, UNKIND)
    unkind.run(700)
    unkind.heal()
    unkind.check_agreement()
    assert unkind.intents


@pytest.mark.parametrize("seed", range(SEEDS))
def test_invariants_hold_while_answers_lag_and_people_trade(seed: int) -> None:
    untrue = world(seed + 3000, UNTRUE)
    untrue.run(700, resync_every=40)
    untrue.heal()
    untrue.check_agreement()
    assert untrue.intents


@pytest.mark.parametrize("seed", range(6))
def test_caps_hold_under_faults(seed: int) -> None:
    caps = SafetyCaps(max_notional=Decimal(1500), max_open_orders=15, max_orders_per_minute=30)
    capped = world(seed + 2000, UNKIND, safety_caps=caps)
    for number in range(700):
        if number % 150 == 0:
            capped.resync()
            capped.strategy.reset_same_order()
        capped.step()
        exposure = sum((leg.cost for leg in capped.exchange.legs.values()), Decimal(0)) + sum(
            (o.leaves * o.price for o in capped.exchange.orders.values() if not o.reduce_only),
            Decimal(0),
        )
        assert exposure <= 1500
        assert len(capped.exchange.orders) <= 15
    assert capped.exchange.executions


def test_same_seed_same_session() -> None:
    first, second = world(7, UNKIND), world(7, UNKIND)
    first.run(500)
    second.run(500)
    assert [repr(intent) for intent in first.intents] == [repr(i) for i in second.intents]


@pytest.mark.parametrize("seed", range(4))
def test_a_position_changed_by_hand_is_taken_over(seed: int) -> None:
    changed = world(seed, KIND)
    changed.run(300)
    changed.heal()
    leg = changed.exchange.legs[DirectionType.LONG]
    changed.strategy.handle(Hold("test"))
    for order in list(changed.exchange.orders.values()):
        if order.reduce_only and order.direction is DirectionType.LONG:
            del changed.exchange.orders[order.order_id]
    leg.size, leg.cost = Decimal("0.5"), Decimal(30_000)
    leg.changed(changed.exchange.now, leg.seq + 10_000)
    changed.heal()
    changed.check_agreement()
    assert changed.strategy.account.legs[DirectionType.LONG].unexplained != 0
