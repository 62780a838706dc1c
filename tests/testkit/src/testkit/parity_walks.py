"""Sequences of grids: builds, updates and re-centring under markets and fills of all kinds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

from gridcore import GridConfig
from testkit.parity_cases import NOISY_PRICE, Contract, noisy_contracts, roomy_price, shape
from testkit.parity_grids import GridPair
from testkit.parity_report import Verdict

THRESHOLDS = ("0.3", "0.3", "0.1", "0.25", "0.5")


def compare_grids(rng: random.Random, contract: Contract, steps: int = 40) -> Iterator[Verdict]:
    """Yield one verdict for each build or update of a random sequence."""
    config = shape(rng, thresholds=THRESHOLDS)
    tick = contract.info.tick_size
    pair = GridPair(tick, config)
    yield pair.build(tick * rng.randint(5, 3000))  # often too fine for the tick
    price = roomy_price(rng, contract, config)
    yield pair.build(_off_tick(rng, price) if rng.random() < 0.5 else price)
    if not pair.core.ticks:
        return
    drift = rng.choice((-2.0, -0.6, 0.0, 0.6, 2.0))  # in steps per update
    close, filled = price, price
    for _ in range(steps):
        close = _moved(rng, close, config, tick, drift)
        if rng.random() < 0.7:
            filled = _next_fill(rng, pair, close)
        if rng.random() < 0.05:
            close = rng.choice(pair.core.bounds)
        elif rng.random() < 0.1:
            close = tick * rng.choice(pair.core.ticks)
        yield pair.update(filled, close)
    if rng.random() < 0.2:
        yield pair.update(None, close)
        yield pair.update(filled, None)


def compare_fills_at_every_level(rng: random.Random, contract: Contract) -> Iterator[Verdict]:
    """Yield a verdict for a fill at each level in turn, the market following or staying."""
    config = shape(rng)
    tick = contract.info.tick_size
    pair = GridPair(tick, config)
    price = roomy_price(rng, contract, config)
    yield pair.build(price)
    levels = list(pair.core.ticks)
    if rng.random() < 0.5:
        levels.reverse()
    follow = rng.random() < 0.5
    for ticks in levels:
        filled = tick * ticks
        yield pair.update(filled, filled if follow else price)
        quarter = config.step_fraction / 4 * ticks
        # the last tick that still waits, the first that does not, and the boundary if on a tick
        for offset in (int(quarter), int(quarter) + 1):
            edge = tick * max(1, ticks + rng.choice((-1, 1)) * offset)
            yield pair.update(edge, filled if follow else price)


def compare_walk(rng: random.Random, contract: Contract, steps: int) -> Iterator[Verdict]:
    """Yield a verdict for every update of one grid while a market walks through it.

    What the market reaches is filled, level by level, and each leg's look updates the grid again.
    """
    config = shape(rng, thresholds=THRESHOLDS)
    yield from _walk(rng, contract, config, roomy_price(rng, contract, config), steps)


def compare_noisy_walk(rng: random.Random, _: Contract, steps: int) -> Iterator[Verdict]:
    """Yield verdicts for walks where levels are floats beside their tick, mostly tick 0.2."""
    contracts = noisy_contracts()
    contract = contracts[0] if rng.random() < 0.6 else rng.choice(contracts)
    config = shape(rng)
    price = roomy_price(rng, contract, config)
    if contract is contracts[0] and rng.random() < 0.5:
        price = NOISY_PRICE
    yield from _walk(rng, contract, config, price, steps)


def _walk(
    rng: random.Random, contract: Contract, config: GridConfig, price: Decimal, steps: int
) -> Iterator[Verdict]:
    tick = contract.info.tick_size
    pair = GridPair(tick, config)
    yield pair.build(price)
    drift = rng.choice((-0.5, -0.1, 0.0, 0.0, 0.1, 0.5))
    waves = rng.choice((0.3, 0.8, 1.5))
    at, filled = int(price / tick), price
    lowest, highest = (int(end / tick) for end in (contract.lowest, contract.highest))
    for _ in range(steps):
        levels = rng.gauss(drift, waves)
        if rng.random() < 0.005:
            levels = rng.choice((-1, 1)) * rng.uniform(0.3, 1.2) * config.grid_count
        target = round(at * max(0.2, 1 + levels * float(config.step_fraction)))
        if rng.random() < 0.1:
            target = rng.choice(pair.core.ticks)
        target = min(max(target, lowest, 1), highest)
        close = tick * at
        for reached in _between(pair.core.ticks, at, target)[:3]:
            filled = tick * reached
            yield pair.update(filled, close)
        at, close = target, tick * target
        for _leg in range(2):
            yield pair.update(filled, close)
        if target in (lowest, highest):
            drift = -drift


def _between(levels: list[int], one: int, other: int) -> list[int]:
    """Return the levels that a market reaches on its way, in their order."""
    if one < other:
        return [ticks for ticks in levels if one < ticks <= other]
    return [ticks for ticks in reversed(levels) if other <= ticks < one]


def compare_waiting_ends(rng: random.Random, contract: Contract) -> Iterator[Verdict]:
    """Yield verdicts for grids whose bottom or top waits, with one side empty or nearly so."""
    config = shape(rng, thresholds=("0.3", "0.3", "0.1", "0.5", "1"))
    if rng.random() < 0.3:
        config = GridConfig(rng.randint(4, 12), config.grid_step, config.rebalance_threshold)
    tick = contract.info.tick_size
    pair = GridPair(tick, config)
    # now and then so low that a step is about a tick, and there is no room for a level
    least = int(1 / config.step_fraction)
    scarce = rng.random() < 0.2
    price = tick * rng.randint(least, 3 * least) if scarce else roomy_price(rng, contract, config)
    yield pair.build(price)
    if not pair.core.ticks:
        return
    for _ in range(rng.randint(1, 4)):
        end = rng.choice((0, -1))
        for _ in range(rng.randint(1, 6)):
            ticks = pair.core.ticks
            near = sorted((ticks[end], ticks[1 if end == 0 else -2]))
            filled = tick * ticks[end]
            close = tick * rng.choice((near[0] + 1, near[1] - 1, near[0], near[1], sum(near) // 2))
            for _ in range(rng.randint(1, 4)):
                yield pair.update(filled, close)


def _off_tick(rng: random.Random, price: Decimal) -> Decimal:
    digits = Decimal(rng.randint(1, 9999)).scaleb(-8)
    return price * (1 + digits)


def _moved(
    rng: random.Random, close: Decimal, config: GridConfig, tick: Decimal, drift: float
) -> Decimal:
    """Return the next market price: a walk in steps, sometimes a jump out of the grid."""
    levels = rng.gauss(drift, 1.0)
    if rng.random() < 0.04:
        levels = rng.choice((-1, 1)) * rng.uniform(0.3, 1.2) * config.grid_count
    factor = max(0.2, 1 + levels * float(config.step_fraction))
    ticks = max(1, round(float(close / tick) * factor))
    return tick * ticks


def _next_fill(rng: random.Random, pair: GridPair, close: Decimal) -> Decimal:
    tick = pair.tick_size
    if rng.random() < 0.8:
        return tick * rng.choice(pair.core.ticks)
    return max(tick, close + tick * rng.randint(-20, 20))
