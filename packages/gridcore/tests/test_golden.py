"""The same events give the same intents, byte for byte, on every machine.

The script is 10,000 events of a seeded world with faults. A change of the hash is a change of
behaviour: it has to be wanted, and said in the commit that changes it.
"""

import hashlib
import random
from decimal import Decimal

from gridcore import Event, GridConfig, GridStrategy, Intent, SafetyCaps
from testkit.builders import strategy_config
from testkit.world import UNKIND, World

EVENTS = 10_000
GOLDEN = (648, "4369ee2652eb8a5c4801870ec95f98750c3372f01a05b36e9c1adf48360d44bc")


def test_ten_thousand_events() -> None:
    caps = SafetyCaps(session_loss_limit=Decimal(400), max_orders_per_minute=60)
    config = strategy_config(grid=GridConfig(20, 0.2), safety_caps=caps)
    world = World(random.Random(20260101), config, faults=UNKIND, volatility_ticks=600)
    script: list[Event | None] = []  # None is the operator, who ends a same-order error by hand
    deliver = world.deliver

    def record(event: Event) -> None:
        script.append(event)
        deliver(event)

    world.deliver = record  # type: ignore[method-assign]
    steps = 0
    while len(script) < EVENTS:
        if steps % 100 == 0:
            script.append(None)
            world.strategy.reset_same_order()
            world.resync()
        world.step()
        steps += 1

    replayed = GridStrategy(config)
    intents: list[Intent] = []
    for event in script:
        if event is None:
            replayed.reset_same_order()
        else:
            intents += replayed.on_event(event)
    said = "\n".join(repr(intent) for intent in intents)
    assert said == "\n".join(repr(intent) for intent in world.intents)
    assert replayed.snapshot() == world.strategy.snapshot()
    digest = hashlib.sha256(said.encode() + repr(replayed.snapshot()).encode())
    assert (len(intents), digest.hexdigest()) == GOLDEN
