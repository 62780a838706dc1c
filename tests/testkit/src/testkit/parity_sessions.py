"""Single steps from random orders, and whole sessions in which orders rest, fill and move."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from bbu_reference.positions import LastCheck
from gridcore import (
    DirectionType,
    GridConfig,
    GridEngine,
    GridSideType,
    Position,
    PositionState,
    SideType,
    calc_margin_ratio,
)
from testkit.parity_cases import (
    NOISY_PRICE,
    NOISY_PRICES,
    Contract,
    noisy_contracts,
    roomy_price,
    shape,
)
from testkit.parity_positions import compare_check, core_multipliers, random_limits
from testkit.parity_report import Deviation, Verdict, joined
from testkit.parity_steps import Deed, EnginePair
from testkit.parity_world import World, random_amount, random_qty

# one step from random resting orders


def compare_steps(rng: random.Random, contract: Contract, steps: int = 6) -> Iterator[Verdict]:
    """Yield a verdict for single steps, each from a random state and random resting orders."""
    config = shape(rng)
    yield from _steps(rng, contract, config, roomy_price(rng, contract, config), steps)


def compare_noisy_steps(rng: random.Random, _: Contract) -> Iterator[Verdict]:
    """Yield verdicts for steps where levels are floats beside their tick, mostly tick 0.2."""
    contracts = noisy_contracts()
    contract = contracts[0] if rng.random() < 0.6 else rng.choice(contracts)
    wide = shape(rng)
    config = GridConfig(rng.randint(10, 40), wide.grid_step, wide.rebalance_threshold)
    price = roomy_price(rng, contract, config)
    if contract is contracts[0] and rng.random() < 0.5:
        price = NOISY_PRICE
    yield from _steps(rng, contract, config, price, 12)


def _steps(
    rng: random.Random, contract: Contract, config: GridConfig, close: Decimal, steps: int
) -> Iterator[Verdict]:
    world = World(contract, config, random_amount(rng, contract))
    pair = EnginePair(world, afresh=True)
    yield pair.poll(close)[0]
    for _ in range(steps):
        fill: Verdict = None
        if rng.random() < 0.8:
            levels = pair.engine.grid.ticks
            fill = pair.fill(world.tick * rng.choice(levels), whole=rng.random() < 0.9)
        close = _wander(rng, close, config, world.tick, jump=0.1)
        scatter(rng, world, pair.engine)
        yield joined(fill, pair.poll(close)[0])


def scatter(rng: random.Random, world: World, engine: GridEngine) -> None:
    """Let random orders rest: right ones, missing, mismatched, outside, doubled, too many."""
    world.clear()
    ticks, sides = engine.grid.ticks, engine.grid.sides
    density = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    wrong, outside = rng.choice((0.0, 0.1, 0.5)), rng.choice((0, 0, 1, 5))
    doubled = rng.choice((0.0, 0.0, 0.0, 0.2))
    for leg in DirectionType:
        if rng.random() < 0.1:
            continue
        for price, level_side in zip(ticks, sides, strict=True):
            for _ in range(1 + (rng.random() < doubled)):
                if rng.random() < density:
                    side = SideType.SELL if level_side is GridSideType.SELL else SideType.BUY
                    side = side.opposite if rng.random() < wrong else side
                    qty, leaves = random_qty(rng, world.contract)
                    world.rest(leg, side, price, qty, leaves)
        present = set(ticks)
        extra = len(ticks) + 11 if rng.random() < 0.05 else outside
        for _ in range(extra):
            price = max(1, rng.choice(ticks) + rng.randint(-50, 50))
            if price not in present:
                present.add(price)
                world.rest(leg, rng.choice(list(SideType)), price, *random_qty(rng, world.contract))


def _wander(
    rng: random.Random, close: Decimal, config: GridConfig, tick: Decimal, *, jump: float
) -> Decimal:
    moved = rng.gauss(0, 1.5)
    if rng.random() < jump:
        moved = rng.choice((-1, 1)) * rng.uniform(0.4, 1.1) * config.grid_count
    ticks = round(float(close / tick) * max(0.3, 1 + moved * float(config.step_fraction)))
    return tick * max(1, ticks)


# sessions


@dataclass(slots=True)
class Holding:
    """One leg of the session's account."""

    size: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)

    def fill(self, qty: Decimal, price: Decimal, *, closing: bool) -> None:
        """Take one fill; price in USDT."""
        if closing:
            self.size -= qty
            return
        value = self.size * self.entry + qty * price
        self.size += qty
        self.entry = (value / self.size).quantize(Decimal("1E-10"))


def compare_session(rng: random.Random, contract: Contract, polls: int) -> Iterator[Verdict]:
    """Yield a verdict for each step while orders rest, fill and are replaced.

    What fills before a step, and the position check in it, are part of its verdict.
    """
    config = shape(rng)
    if config.grid_count > 60 and rng.random() < 0.5:  # the time of a step grows with its square
        config = GridConfig(config.grid_count // 5, config.grid_step, config.rebalance_threshold)
    if contract.highest > NOISY_PRICES[0]:  # where prices are floats each step is explained anew
        count = min(config.grid_count, 24)
        config = GridConfig(count, config.grid_step, config.rebalance_threshold)
    world = World(contract, config, random_amount(rng, contract))
    pair = EnginePair(world)
    limits = random_limits(rng)
    legs = Position.create_linked_pair(limits.core)
    last = LastCheck()
    holdings = {leg: Holding() for leg in DirectionType}
    price = roomy_price(rng, contract, config)
    if rng.random() < 0.5:  # what REST tells the older bot at its start, of an earlier life
        world.last_completed = _next_price(rng, price, config, world.tick, 0.0, 3.0)
    _open_both(rng, world, holdings, price)
    drift = rng.choice((-0.8, -0.2, 0.0, 0.0, 0.2, 0.8))
    waves = rng.choice((0.3, 1.0, 2.0))
    for number in range(polls):
        if number % 500 == 499:
            drift = -drift  # a market that goes one way only would end at zero
        price = _next_price(rng, price, config, world.tick, drift, waves)
        found: Verdict = None
        if pair.engine.last_close is not None:
            for filled, whole in _fills(rng, world, holdings, price):
                found = joined(found, pair.fill(filled, whole=whole))
        if number % 21 == 0:
            long, short = (_state(leg, holdings[leg], world.wallet) for leg in DirectionType)
            verdict, last = compare_check(long, short, price, world.wallet, limits, last, legs)
            found = joined(found, verdict)
            world.multipliers = core_multipliers(legs)
        verdict, deeds = pair.poll(price)
        yield joined(found, verdict)
        if verdict == (Deviation.GRID_REFUSED,):
            return
        _carry_out(rng, world, deeds)


def _open_both(
    rng: random.Random, world: World, holdings: dict[DirectionType, Holding], price: Decimal
) -> None:
    """Start hedged, long-heavy, short-heavy or empty."""
    long_share, short_share = rng.choice(((1, 1), (1, 1), (5, 1), (1, 5), (0, 0), (1, 0)))
    unit = world.contract.info.round_qty(world.wallet / 10 / price)
    for leg, share in ((DirectionType.LONG, long_share), (DirectionType.SHORT, short_share)):
        if share:
            holdings[leg].fill(unit * share, price, closing=False)
        world.sizes[leg] = holdings[leg].size


def _next_price(
    rng: random.Random,
    price: Decimal,
    config: GridConfig,
    tick: Decimal,
    drift: float,
    waves: float,
) -> Decimal:
    levels = rng.gauss(drift, waves)
    if rng.random() < 0.01:
        levels = rng.choice((-1, 1)) * rng.uniform(0.6, 1.1) * config.grid_count
    factor = max(0.3, 1 + levels * float(config.step_fraction))
    return tick * max(1, round(float(price / tick) * factor))


def _fills(
    rng: random.Random, world: World, holdings: dict[DirectionType, Holding], price: Decimal
) -> Iterator[tuple[Decimal, bool]]:
    """Fill what the market has reached, wholly or in part.

    Yield each fill's price in USDT, and whether it completes its order.
    """
    info = world.contract.info
    for order in list(world.orders.values()):
        at = world.tick * order.price_ticks
        if (at < price) if order.side is SideType.BUY else (at > price):
            continue
        qty = order.leaves_qty
        if rng.random() < 0.15 and qty > info.qty_step:
            qty = info.qty_step * rng.randint(1, int(qty / info.qty_step) - 1)
        if qty == order.leaves_qty:
            world.drop(order)
        else:
            world.change(order, replace(order, leaves_qty=order.leaves_qty - qty))
        leg = order.direction
        holdings[leg].fill(qty, at, closing=order.reduce_only)
        world.sizes[leg] = holdings[leg].size
        yield at, qty == order.leaves_qty


def _state(leg: DirectionType, holding: Holding, wallet: Decimal) -> PositionState:
    if not holding.size:
        return PositionState.empty(leg, Decimal(10))
    value = holding.size * holding.entry
    # far enough to be safe, near enough to matter now and then
    factor = Decimal("0.75") if leg is DirectionType.LONG else Decimal("1.25")
    return PositionState(
        direction=leg,
        size=holding.size,
        entry_price=holding.entry,
        unrealized_pnl=Decimal(0),
        margin=calc_margin_ratio(value, wallet),
        liquidation_price=(holding.entry * factor).quantize(Decimal("1E-10")) or None,
        leverage=Decimal(10),
        position_value=value,
    )


def _carry_out(rng: random.Random, world: World, deeds: Sequence[Deed]) -> None:
    """Do what gridcore wants; now and then a placement is lost or a stray order appears."""
    for deed in deeds:
        if deed[0] == "cancel":
            world.drop(world.orders[deed[1]])
        elif rng.random() > 0.02:
            _, leg, side, ticks, qty = deed
            world.rest(DirectionType(leg), SideType(side), int(ticks), Decimal(qty))
    if world.orders and rng.random() < 0.01:
        model = rng.choice(list(world.orders.values()))
        near = max(1, model.price_ticks + rng.choice((0, 1, -1, 7)))
        world.rest(model.direction, model.side, near, model.leaves_qty)
