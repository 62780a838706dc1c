"""GridStrategy: a restarted process goes on as if nothing had happened."""

import json
import random
from decimal import Decimal

import pytest

from gridcore import GridConfig, GridStrategy, SafetyCaps, SnapshotError
from testkit.builders import at, full_account, strategy_config, ticker
from testkit.world import KIND, World

CONFIG = strategy_config(
    grid=GridConfig(10, 0.2),
    safety_caps=SafetyCaps(session_loss_limit=Decimal(500), max_orders_per_minute=20),
)


@pytest.mark.parametrize("seed", range(15))
def test_a_restart_at_any_moment_changes_no_later_intent(seed: int) -> None:
    through, restarted = (World(random.Random(seed), CONFIG, faults=KIND) for _ in range(2))
    moment = random.Random(seed).randint(50, 400)
    for world in (through, restarted):
        for number in range(700):
            if number % 200 == 0:
                world.resync()
            if number == moment:
                world.drain()
                world.exchange.now = at(1_000_000)
                if world is restarted:
                    stored = json.loads(json.dumps(world.strategy.snapshot()))
                    world.strategy = GridStrategy(CONFIG)
                    world.strategy.restore(stored)
                world.resync()
            world.step()
    assert [repr(i) for i in through.intents] == [repr(i) for i in restarted.intents]
    assert through.exchange.executions
    assert restarted.strategy.snapshot() == through.strategy.snapshot()


def started() -> GridStrategy:
    strategy = GridStrategy(CONFIG)
    strategy.on_event(full_account())
    strategy.adopt_orders([], at(0))
    strategy.on_event(ticker("60000"))
    return strategy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 99),
        ("strat_id", "other"),
        ("symbol", "ETHUSDT"),
        ("tick_size", "0.5"),
        ("grid_count", 50),
        ("grid_step", "0.3"),
    ],
)
def test_a_snapshot_of_something_else_is_refused(name: str, value: object) -> None:
    state = started().snapshot() | {name: value}
    with pytest.raises(SnapshotError, match=name):
        GridStrategy(CONFIG).restore(state)


@pytest.mark.parametrize(
    "name", ["levels", "guards", "guards loss", "guards orders", "executions", "multipliers"]
)
def test_a_damaged_snapshot_is_refused(name: str) -> None:
    state = started().snapshot()
    *outer, inner = name.split()
    part = state
    for one in outer:
        part = part[one]
    del part[inner]
    fresh = GridStrategy(CONFIG)
    before = fresh.snapshot()
    with pytest.raises(SnapshotError, match="damaged"):
        fresh.restore(state)
    assert fresh.snapshot() == before


def test_a_snapshot_before_the_first_ticker_restores() -> None:
    fresh = GridStrategy(CONFIG)
    fresh.restore(json.loads(json.dumps(GridStrategy(CONFIG).snapshot())))
    assert fresh.engine.grid.grid == []


def test_a_fill_from_before_the_restart_is_not_counted_again() -> None:
    world = World(random.Random(3), CONFIG, faults=KIND)
    world.run(400)
    world.heal()
    again = GridStrategy(CONFIG)
    again.restore(json.loads(json.dumps(world.strategy.snapshot())))
    world.strategy = again
    world.resync()
    assert again.view.duplicate_executions == len(world.exchange.executions[-200:])
    world.check_agreement()
