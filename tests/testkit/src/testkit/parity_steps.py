"""One step, and whole sessions, with the same resting orders given to both."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from bbu_reference.orders import (
    Direction,
    Multipliers,
    Sizing,
    neutral_multipliers,
)
from bbu_reference.orders import LimitOrder as OracleOrder
from bbu_reference.step import Action, Cancel, CancelAll, Place, Snapshot, check_pair
from bbu_reference.switches import LegacySwitches
from gridcore import (
    AmountKind,
    AmountSpec,
    CancelIntent,
    CancelReason,
    DirectionType,
    GridConfig,
    GridEngine,
    GridError,
    GridSideType,
    Intent,
    LimitOrder,
    PlaceLimitIntent,
    Position,
    PositionState,
    SideType,
    calc_margin_ratio,
    is_covered,
    order_qty,
)
from testkit.builders import execution, ticker
from testkit.parity_cases import Contract, roomy_price, shape
from testkit.parity_exact import in_ticks
from testkit.parity_grids import GridPair, Verdict, brief
from testkit.parity_numbers import (
    LimitsPair,
    compare_multipliers,
    core_multipliers,
    random_limits,
    same_number,
    wire_side,
)
from testkit.parity_report import Deviation

# the exchange's exemption is compared in parity_numbers; here both follow it
SWITCHES = LegacySwitches(minimum_notional_for_closing_orders=False)
ENDLESS = Decimal(10) ** 12
SIDES: dict[DirectionType, Direction] = {
    DirectionType.LONG: "long",
    DirectionType.SHORT: "short",
}

# ("cancel", order id) or ("place", direction, side, ticks, quantity)
Deed = tuple[str, ...]


@dataclass(slots=True)
class World:
    """What both are told: the contract, the orders that rest, the legs, the wallet."""

    contract: Contract
    config: GridConfig
    amount: AmountSpec
    wallet: Decimal = Decimal(10_000)
    sizes: dict[DirectionType, Decimal] = field(
        default_factory=lambda: dict.fromkeys(DirectionType, ENDLESS)
    )
    orders: dict[str, LimitOrder] = field(default_factory=dict)
    multipliers: Multipliers = field(default_factory=neutral_multipliers)
    next_id: int = 0

    @property
    def tick(self) -> Decimal:
        """Tick size in USDT."""
        return self.contract.info.tick_size

    def rest(
        self,
        direction: DirectionType,
        side: SideType,
        ticks: int,
        qty: Decimal,
        leaves: Decimal | None = None,
    ) -> None:
        """Let one more order rest."""
        self.next_id += 1
        order_id = f"o{self.next_id}"
        self.orders[order_id] = LimitOrder(
            order_id=order_id,
            order_link_id="",
            direction=direction,
            side=side,
            price_ticks=ticks,
            qty=qty,
            leaves_qty=qty if leaves is None else leaves,
            age_rank=self.next_id,
        )

    def of(self, direction: DirectionType) -> list[LimitOrder]:
        """Return the orders of one leg, oldest first."""
        return [order for order in self.orders.values() if order.direction is direction]

    def for_oracle(self, order: LimitOrder) -> OracleOrder:
        """Return an order as the oracle sees it."""
        return OracleOrder(
            order_id=order.order_id,
            side="Buy" if order.side is SideType.BUY else "Sell",
            price=float(self.tick * order.price_ticks),
            qty=float(order.leaves_qty),
            reduce_only=order.reduce_only,
        )

    @property
    def sizing(self) -> Sizing:
        """The amount and the contract's rules, for the oracle."""
        info = self.contract.info
        form = {AmountKind.BASE: "b", AmountKind.WALLET_SHARE: "x"}[self.amount.kind]
        return Sizing(
            amount=f"{form}{self.amount.value}",
            qty_step=float(info.qty_step),
            min_qty=float(info.min_qty),
        )


class EnginePair:
    """A gridcore engine and an oracle poll over one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        info = world.contract.info
        self.engine = GridEngine(info.symbol, info.tick_size, world.config, "parity")
        self._short_changed_grid = False
        self.grids = GridPair(info.tick_size, world.config, self.engine.grid)

    def fill(self, price: Decimal) -> Verdict:
        """Tell gridcore of a fill (USDT); the oracle learns it with its next poll."""
        engine, grids = self.engine, self.grids
        before = grids.core_levels()
        close = engine.last_close
        assert close is not None
        engine.on_event(execution(price=price, symbol=engine.symbol))
        after = grids.core_levels()
        grids.oracle.update(float(price), float(close))
        verdict: Verdict = None
        if not grids.is_equal():
            verdict = grids.explain(before, price, close) or "fill: grids differ"
        elif after != before:
            verdict = Deviation.FILL_UPDATES_GRID
        grids.align()
        return verdict

    def poll(self, close: Decimal) -> tuple[Verdict, list[Deed]]:
        """Run one step of both; return how they compare, and what gridcore wants done."""
        world, engine, grids = self.world, self.engine, self.grids
        before = grids.core_levels()
        version = engine.grid.version
        filled = engine.last_filled_price
        orders = {leg.value: world.of(leg) for leg in DirectionType}
        try:
            intents = engine.on_event(ticker(close, symbol=engine.symbol), orders)
        except GridError:
            fresh = grids.exact.build(in_ticks(close, world.tick))
            if grids.exact.is_possible(fresh):
                return f"poll({close}) refused a possible grid", []
            return Deviation.GRID_REFUSED, []
        self._short_changed_grid = bool(world.of(DirectionType.SHORT)) and (
            engine.grid.version != version
        )
        deeds = self._deeds(intents)
        actions = check_pair(
            grids.oracle,
            Snapshot(
                limits=[world.for_oracle(order) for order in world.orders.values()],
                last_filled_price=None if filled is None else float(filled),
                last_price=float(close),
                position_sizes={SIDES[leg]: float(size) for leg, size in world.sizes.items()},
                wallet_usdt=float(world.wallet),
            ),
            sizing=world.sizing,
            multipliers=world.multipliers,
            switches=SWITCHES,
        )
        verdict = self._judge(before, filled, close, intents, deeds, actions)
        if isinstance(verdict, str):
            verdict = (
                f"{world.config}, tick {world.tick}, close {close}, fill {filled},"
                f" {brief(before)}, orders {[_brief(o) for o in world.orders.values()]}: {verdict}"
            )
        grids.align()
        return verdict, deeds

    # what each wants, in one form

    def _deeds(self, intents: Sequence[Intent]) -> list[Deed]:
        """Return gridcore's intents with the quantities and the cover that its parts decide."""
        world = self.world
        resting = dict(world.orders)
        held_back = {
            leg: sum((o.leaves_qty for o in world.of(leg) if o.reduce_only), Decimal(0))
            for leg in DirectionType
        }
        deeds: list[Deed] = []
        for intent in intents:
            if isinstance(intent, CancelIntent):
                order = resting.pop(intent.order_id)
                if order.reduce_only:
                    held_back[order.direction] -= order.leaves_qty
                deeds.append(("cancel", intent.order_id))
                continue
            qty = self._qty(intent)
            leg = intent.direction
            if intent.reduce_only:
                if not is_covered(world.sizes[leg], held_back[leg], qty):
                    continue
                held_back[leg] += qty
            ticks = str(int(in_ticks(intent.price, world.tick)))
            deeds.append(("place", leg.value, intent.side.value, ticks, same_number(qty)))
        return deeds

    def _qty(self, intent: PlaceLimitIntent) -> Decimal:
        qty = order_qty(
            self.world.amount,
            intent.price,
            self.world.contract.info,
            opening=not intent.reduce_only,
            multiplier=self.world.multipliers[SIDES[intent.direction], wire_side(intent.side)],
            wallet_balance=self.world.wallet,
        )
        assert qty is not None
        return qty

    def _oracle_deeds(self, actions: Sequence[Action]) -> list[Deed]:
        most = float(self.world.contract.info.max_qty)  # the cut is compared in parity_numbers
        deeds: list[Deed] = []
        for action in actions:
            if isinstance(action, Cancel):
                deeds.append(("cancel", action.order.order_id))
            elif isinstance(action, Place):
                order = action.order
                ticks = in_ticks(order.price, self.world.tick)
                deeds.append(
                    (
                        "place",
                        order.direction,
                        order.side,
                        str(ticks),
                        same_number(min(order.qty, most)),
                    )
                )
        return deeds

    # differences, named or not

    def _judge(
        self,
        before: tuple[tuple[str, int], ...],
        filled: Decimal | None,
        close: Decimal,
        intents: Sequence[Intent],
        deeds: list[Deed],
        actions: Sequence[Action],
    ) -> Verdict:
        wrong = self._form_errors(intents)
        if wrong:
            return wrong
        if any(isinstance(action, CancelAll) for action in actions):
            return self._judge_rebuild(close, intents)
        if not self.grids.is_equal():
            return self._judge_grids(before, filled, close)
        oracle_deeds = self._oracle_deeds(actions)
        if deeds == oracle_deeds:
            return None
        doubled = self._doubled_prices()
        if doubled and self._without(deeds, doubled) == self._without(oracle_deeds, doubled):
            return Deviation.DUPLICATES
        in_dispute = Counter(deeds) - Counter(oracle_deeds)
        in_dispute |= Counter(oracle_deeds) - Counter(deeds)
        exact, close_ticks = self.grids.exact, in_ticks(close, self.world.tick)
        if all(
            deed[0] == "place"
            and exact.is_half_step_noise(int(deed[3]), close_ticks)
            and (deed in deeds)
            == self.grids.exact.is_far_enough(deed[2], int(deed[3]), close_ticks)
            for deed in in_dispute
        ):
            return Deviation.FLOAT_THRESHOLD
        return f"gridcore only or elsewhere: {deeds[:6]}; oracle: {oracle_deeds[:6]}; {in_dispute}"

    def _form_errors(self, intents: Sequence[Intent]) -> str | None:
        """Return what is wrong with the intents by themselves."""
        for intent in intents:
            if isinstance(intent, PlaceLimitIntent):
                right = (
                    intent.reduce_only == intent.direction.is_closing(intent.side)
                    and intent.qty == 0
                    and self._is_level(intent)
                )
            else:
                order = self.world.orders[intent.order_id]
                right = (
                    intent.side is order.side
                    and intent.price == self.world.tick * order.price_ticks
                )
            if not right:
                return f"malformed {intent}"
        return None

    def _is_level(self, intent: PlaceLimitIntent) -> bool:
        """Tell whether an intent names its level of the grid as it was at the last decision.

        The short leg's update may have changed the grid after the long leg was decided.
        """
        if intent.direction is DirectionType.LONG and self._short_changed_grid:
            return True
        level = self.engine.grid.grid[intent.grid_level]
        return level["price"] == intent.price and level["side"].value == intent.side.value

    def _judge_rebuild(self, close: Decimal, intents: Sequence[Intent]) -> Verdict:
        world, grids = self.world, self.grids
        most = len(grids.core) + 10
        cancelled = [
            intent.order_id
            for intent in intents
            if isinstance(intent, CancelIntent) and intent.reason is CancelReason.REBUILD
        ]
        everything = [order.order_id for leg in DirectionType for order in world.of(leg)]
        fresh = grids.exact.build(in_ticks(close, world.tick))
        too_many = any(len(world.of(leg)) > most for leg in DirectionType)
        if (
            too_many
            and sorted(cancelled) == sorted(everything)
            and len(intents) == len(cancelled)
            and grids.core_levels() == fresh
        ):
            return Deviation.TOO_MANY_ORDERS
        return f"rebuild: gridcore wants {intents[:4]}"

    def _judge_grids(
        self, before: tuple[tuple[str, int], ...], filled: Decimal | None, close: Decimal
    ) -> Verdict:
        """Repeat the updates of the step one by one, each from gridcore's grid."""
        world = self.world
        if not before or filled is None:
            twin = GridPair(world.tick, world.config)
            return twin.build(close) or "grids differ without an update"
        twin = GridPair(world.tick, world.config)
        twin.core.restore([{"price": world.tick * ticks, "side": side} for side, ticks in before])
        twin.align()
        found: Verdict = None
        for leg in DirectionType:
            if 0 < len(world.of(leg)) < world.config.grid_count:
                verdict = twin.update(filled, close)
                if isinstance(verdict, str):
                    return verdict
                found = verdict or found
        if twin.core_levels() != self.grids.core_levels():
            return "the step is not its updates one after the other"
        return found or "grids differ, but no update does"

    def _doubled_prices(self) -> set[tuple[str, int]]:
        seen = Counter((o.direction.value, o.price_ticks) for o in self.world.orders.values())
        return {place for place, count in seen.items() if count > 1}

    def _without(self, deeds: Sequence[Deed], places: set[tuple[str, int]]) -> list[Deed]:
        def at(deed: Deed) -> tuple[str, int]:
            if deed[0] == "cancel":
                order = self.world.orders[deed[1]]
                return order.direction.value, order.price_ticks
            return deed[1], int(deed[3])

        return [deed for deed in deeds if at(deed) not in places]


def _brief(order: LimitOrder) -> str:
    return f"{order.order_id}:{order.direction}/{order.side}@{order.price_ticks}"


# one step from random resting orders


def compare_steps(rng: random.Random, contract: Contract, steps: int = 6) -> Iterator[Verdict]:
    """Yield a verdict for single steps, each from a random state and random resting orders."""
    config = shape(rng)
    world = World(contract, config, random_amount(rng, contract))
    pair = EnginePair(world)
    close = roomy_price(rng, contract, config)
    yield pair.poll(close)[0]
    for _ in range(steps):
        if rng.random() < 0.8:
            levels = pair.engine.grid.ticks
            yield pair.fill(world.tick * rng.choice(levels))
        close = _wander(rng, close, config, world.tick, jump=0.1)
        scatter(rng, world, pair.engine)
        yield pair.poll(close)[0]


def scatter(rng: random.Random, world: World, engine: GridEngine) -> None:
    """Let random orders rest: right ones, missing, mismatched, outside, doubled, too many."""
    world.orders.clear()
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
                    qty, leaves = _random_qty(rng, world.contract)
                    world.rest(leg, side, price, qty, leaves)
        present = set(ticks)
        extra = len(ticks) + 11 if rng.random() < 0.05 else outside
        for _ in range(extra):
            price = max(1, rng.choice(ticks) + rng.randint(-50, 50))
            if price not in present:
                present.add(price)
                world.rest(
                    leg, rng.choice(list(SideType)), price, *_random_qty(rng, world.contract)
                )


def _random_qty(rng: random.Random, contract: Contract) -> tuple[Decimal, Decimal]:
    steps = rng.randint(2, 50)
    left = rng.randint(1, steps) if rng.random() < 0.2 else steps
    return contract.info.qty_step * steps, contract.info.qty_step * left


def random_amount(rng: random.Random, contract: Contract) -> AmountSpec:
    """Return an amount in base coin or as a share of the wallet."""
    if rng.random() < 0.5:
        return AmountSpec(AmountKind.BASE, contract.info.qty_step * rng.randint(1, 500))
    return AmountSpec(AmountKind.WALLET_SHARE, Decimal(rng.randint(1, 500)).scaleb(-4))


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
    """Yield a verdict for everything compared while orders rest, fill and are replaced."""
    config = shape(rng)
    world = World(contract, config, random_amount(rng, contract))
    pair = EnginePair(world)
    limits = random_limits(rng)
    legs = Position.create_linked_pair(limits.core)
    holdings = {leg: Holding() for leg in DirectionType}
    price = roomy_price(rng, contract, config)
    _open_both(rng, world, holdings, price)
    drift = rng.choice((-0.8, -0.2, 0.0, 0.0, 0.2, 0.8))
    waves = rng.choice((0.3, 1.0, 2.0))
    for number in range(polls):
        price = _next_price(rng, price, config, world.tick, drift, waves)
        if pair.engine.last_close is not None:
            for filled in _fills(rng, world, holdings, price):
                yield pair.fill(filled)
        if number % 21 == 0:
            yield _check_positions(world, holdings, legs, limits, price)
        verdict, deeds = pair.poll(price)
        yield verdict
        if verdict is Deviation.GRID_REFUSED:
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
) -> Iterator[Decimal]:
    """Fill what the market has reached, wholly or in part; yield each fill's price in USDT."""
    info = world.contract.info
    for order in list(world.orders.values()):
        at = world.tick * order.price_ticks
        if (at < price) if order.side is SideType.BUY else (at > price):
            continue
        qty = order.leaves_qty
        if rng.random() < 0.15 and qty > info.qty_step:
            qty = info.qty_step * rng.randint(1, int(qty / info.qty_step) - 1)
        if qty == order.leaves_qty:
            del world.orders[order.order_id]
        else:
            world.orders[order.order_id] = replace(order, leaves_qty=order.leaves_qty - qty)
        leg = order.direction
        holdings[leg].fill(qty, at, closing=order.reduce_only)
        world.sizes[leg] = holdings[leg].size
        yield at


def _check_positions(
    world: World,
    holdings: dict[DirectionType, Holding],
    legs: tuple[Position, Position],
    limits: LimitsPair,
    price: Decimal,
) -> Verdict:
    long, short = (_state(leg, holdings[leg], world.wallet, price) for leg in DirectionType)
    verdict = compare_multipliers(long, short, price, world.wallet, limits, legs)
    world.multipliers = core_multipliers(legs)
    return verdict


def _state(leg: DirectionType, holding: Holding, wallet: Decimal, price: Decimal) -> PositionState:
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
            del world.orders[deed[1]]
        elif rng.random() > 0.02:
            _, leg, side, ticks, qty = deed
            world.rest(DirectionType(leg), SideType(side), int(ticks), Decimal(qty))
    if world.orders and rng.random() < 0.01:
        model = rng.choice(list(world.orders.values()))
        near = max(1, model.price_ticks + rng.choice((0, 1, -1, 7)))
        world.rest(model.direction, model.side, near, model.leaves_qty)
