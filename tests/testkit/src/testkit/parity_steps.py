"""One step of a gridcore engine and of the older bot over one world, and why they may differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bbu_reference.grid import Grid as OracleGrid
from bbu_reference.orders import AccountSeen, Direction
from bbu_reference.step import Action, Cancel, CancelAll, Place, Snapshot, check_pair
from bbu_reference.switches import LegacySwitches
from gridcore import (
    CancelIntent,
    CancelReason,
    DirectionType,
    GridEngine,
    GridError,
    GridSideType,
    Intent,
    LimitOrder,
    PlaceLimitIntent,
    is_covered,
)
from gridcore.qty import OrderSizer
from testkit.builders import execution, ticker
from testkit.parity_exact import Levels, in_ticks
from testkit.parity_grids import GridPair, brief
from testkit.parity_report import Deviation, Names, Verdict, joined, least
from testkit.parity_world import World, same_number, wire_side

SIDES: dict[DirectionType, Direction] = {DirectionType.LONG: "long", DirectionType.SHORT: "short"}
# rules of a step that are switched off, one by one, to find what makes a difference
SWITCHED = (Deviation.LAST_FILL, Deviation.RECENTRE_OUTERMOST, Deviation.FLOAT_PRICE)

# ("cancel", order id) or ("place", direction, side, ticks, quantity)
Deed = tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What one poll of the oracle led to."""

    grid: OracleGrid
    actions: Sequence[Action]
    died: bool = False  # of a level at price 0


class EnginePair:
    """A gridcore engine and an oracle poll over one world.

    `engine` looks at the world's resting orders as they come and go, or, `afresh`, is given all
    of them at each poll. How quantities come about is compared in `parity_quantities`.
    """

    def __init__(self, world: World, *, afresh: bool = False) -> None:
        self.world = world
        info = world.contract.info
        self.engine = GridEngine(info.symbol, info.tick_size, world.config, "parity")
        self.grids = GridPair(info.tick_size, world.config, self.engine.grid)
        self._sizer = OrderSizer(world.amount, info)
        self._afresh = afresh
        self._short_changed_grid = False

    def fill(self, price: Decimal, *, whole: bool = True) -> Verdict:
        """Tell both of a fill (USDT), of the `whole` order or of a part.

        The older bot updates its grid at the next poll and would not hear of a part: it is given
        the same reading here.
        """
        engine, grids = self.engine, self.grids
        if whole:
            self.world.last_completed = price
        sides, ticks = engine.grid.sides, engine.grid.ticks
        version = engine.grid.version
        close = engine.last_close
        assert close is not None
        engine.on_event(execution(price=price, symbol=engine.symbol))
        grids.oracle.update(float(price), float(close))
        if grids.is_equal():
            return (Deviation.FILL_UPDATES_GRID,) if engine.grid.version != version else None
        before = tuple((side.value, at) for side, at in zip(sides, ticks, strict=True))
        verdict = grids.explain(before, price, close) or f"fill {price}: grids differ"
        grids.align()
        return verdict

    def poll(self, close: Decimal) -> tuple[Verdict, list[Deed]]:
        """Run one step of both; return how they compare, and what gridcore wants done."""
        world, engine, grids = self.world, self.engine, self.grids
        sides, ticks = engine.grid.sides, engine.grid.ticks
        version = engine.grid.version
        filled = engine.last_filled_price
        try:
            intents = self._step(close)
        except GridError:
            fresh = grids.exact.build(in_ticks(close, world.tick))
            if grids.exact.is_possible(fresh):
                return f"poll({close}) refused a possible grid", []
            return (Deviation.GRID_REFUSED,), []
        self._short_changed_grid = bool(world.resting[DirectionType.SHORT]) and (
            engine.grid.version != version
        )
        deeds = self._deeds(intents)
        verdict: Verdict = self._form_errors(intents)
        if verdict is None:
            verdict = self._compare(sides, ticks, filled, close, intents, deeds)
        if isinstance(verdict, str):
            before = tuple((side.value, at) for side, at in zip(sides, ticks, strict=True))
            verdict = (
                f"{world.config}, tick {world.tick}, close {close}, fill {filled},"
                f" {brief(before)}, orders {[_brief(o) for o in world.orders.values()]}: {verdict}"
            )
        return verdict, deeds

    def _step(self, close: Decimal) -> list[Intent]:
        world, engine = self.world, self.engine
        if self._afresh:
            orders = {leg.value: world.of(leg) for leg in DirectionType}
            return engine.on_event(ticker(close, symbol=engine.symbol), orders)
        return [engine.names.intent(want) for want in engine.step(close, world.resting)]

    # what each wants, in one form

    def _deeds(self, intents: Sequence[Intent]) -> list[Deed]:
        """Return gridcore's intents with the quantities and the cover that its parts decide."""
        world = self.world
        held_back = dict.fromkeys(DirectionType, Decimal(0))
        if any(isinstance(intent, PlaceLimitIntent) for intent in intents):
            for order in world.orders.values():
                if order.reduce_only:
                    held_back[order.direction] += order.leaves_qty
        deeds: list[Deed] = []
        for intent in intents:
            if isinstance(intent, CancelIntent):
                order = world.orders[intent.order_id]
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
            ticks = str(int(intent.price / world.tick))
            deeds.append(("place", leg.value, intent.side.value, ticks, same_number(qty)))
        return deeds

    def _qty(self, intent: PlaceLimitIntent) -> Decimal:
        qty = self._sizer.qty(
            int(intent.price / self.world.tick),
            opening=not intent.reduce_only,
            multiplier=self.world.multipliers[SIDES[intent.direction], wire_side(intent.side)],
            long_koef=Decimal(1),
            wallet_balance=self.world.wallet,
        )
        assert qty is not None
        return qty

    def _oracle_deeds(self, actions: Sequence[Action]) -> list[Deed]:
        most = float(self.world.contract.info.max_qty)  # the cut is compared with the quantities
        deeds: list[Deed] = []
        for action in actions:
            if isinstance(action, Cancel):
                deeds.append(("cancel", action.order.order_id))
            elif isinstance(action, Place):
                order = action.order
                ticks = str(self.grids.ticks_of(order.price))
                qty = same_number(min(order.qty, most))
                deeds.append(("place", order.direction, order.side, ticks, qty))
        return deeds

    # the older bot's poll

    def _poll_oracle(
        self,
        grid: OracleGrid,
        filled: Decimal | None,
        close: Decimal,
        switched_off: frozenset[Deviation],
    ) -> Outcome:
        """Run the oracle's poll on a grid, as written but for what is switched off."""
        world = self.world
        switches = LegacySwitches(
            recentre_upwards_from_highest_sell=Deviation.RECENTRE_OUTERMOST not in switched_off,
            prices_compared_as_floats=Deviation.FLOAT_PRICE not in switched_off,
            minimum_notional_for_closing_orders=False,
            quantity_rounded_before_multiplying=False,
        )
        grid.switches = switches
        fill = filled if Deviation.LAST_FILL in switched_off else world.last_completed
        seen = Snapshot(
            limits=world.exchange_list(),
            last_filled_price=None if fill is None else float(fill),
            last_price=float(close),
            position_sizes={SIDES[leg]: float(size) for leg, size in world.sizes.items()},
            account=AccountSeen(wallet_usdt=float(world.wallet)),
        )
        try:
            actions = check_pair(
                grid, seen, sizing=world.sizing, multipliers=world.multipliers, switches=switches
            )
        except ZeroDivisionError:
            return Outcome(grid, [], died=True)
        return Outcome(grid, actions)

    def _compare(
        self,
        sides: list[GridSideType],
        ticks: list[int],
        filled: Decimal | None,
        close: Decimal,
        intents: Sequence[Intent],
        deeds: list[Deed],
    ) -> Verdict:
        """Compare with the oracle as written, then with the fewest of its rules switched off."""
        grids = self.grids
        # the grid that is polled as written is the one that goes on
        found = {
            frozenset[Deviation](): self._poll_oracle(grids.oracle, filled, close, frozenset())
        }
        verdicts: dict[frozenset[Deviation], Verdict] = {}

        def judged(switched_off: frozenset[Deviation]) -> Verdict:
            if switched_off not in verdicts:
                if switched_off not in found:
                    grid = OracleGrid(
                        tick_size=grids.oracle.tick_size,
                        count=grids.oracle.count,
                        step_pct=grids.oracle.step_pct,
                        rebalance_threshold=grids.oracle.rebalance_threshold,
                        levels=grids.oracle_form(sides, ticks),
                    )
                    found[switched_off] = self._poll_oracle(grid, filled, close, switched_off)
                verdicts[switched_off] = self._judge(found[switched_off], close, intents, deeds)
            return verdicts[switched_off]

        names = least(SWITCHED, lambda switched_off: not isinstance(judged(switched_off), str))
        verdict: Verdict
        if names is not None:
            verdict = joined(self._named(names, found[frozenset()]), judged(frozenset(names)))
        else:
            verdict = judged(frozenset(SWITCHED))
            if not grids.is_equal(found[frozenset(SWITCHED)].grid):
                before = tuple((side.value, at) for side, at in zip(sides, ticks, strict=True))
                verdict = self._judge_grids(before, filled, close)
        if not grids.is_equal():
            grids.align()
        return verdict

    def _named(self, names: Names, written: Outcome) -> Names:
        """Return the names, with that of a lost side where the older bot appended price 0."""
        zero = written.died or any(level.price == 0 for level in written.grid.levels)
        return tuple(
            Deviation.RECENTRE_NO_SELLS if zero and name is Deviation.RECENTRE_OUTERMOST else name
            for name in names
        )

    # differences, named or not

    def _judge(
        self, outcome: Outcome, close: Decimal, intents: Sequence[Intent], deeds: list[Deed]
    ) -> Verdict:
        if outcome.died:
            return "the older bot divides by a price of 0"
        if any(isinstance(action, CancelAll) for action in outcome.actions):
            return self._judge_rebuild(close, intents)
        if not self.grids.is_equal(outcome.grid):
            return f"grids differ: {brief(self.grids.core_levels())}"
        oracle_deeds = self._oracle_deeds(outcome.actions)
        if deeds == oracle_deeds:
            return None
        names: Names = (Deviation.OUTSIDE_ORDER,)
        deeds, oracle_deeds = self._in_one_order(deeds), self._in_one_order(oracle_deeds)
        if deeds == oracle_deeds:
            return names
        doubled = self._doubled_prices()
        if doubled and self._without(deeds, doubled) == self._without(oracle_deeds, doubled):
            return (Deviation.DUPLICATES,)
        in_dispute = Counter(deeds) - Counter(oracle_deeds)
        in_dispute |= Counter(oracle_deeds) - Counter(deeds)
        exact, close_ticks = self.grids.exact, in_ticks(close, self.world.tick)
        if all(
            deed[0] == "place"
            and exact.is_half_step_noise(int(deed[3]), close_ticks)
            and (deed in deeds) == exact.is_far_enough(deed[2], int(deed[3]), close_ticks)
            for deed in in_dispute
        ):
            return (Deviation.FLOAT_THRESHOLD,) if in_dispute else "another order of the same"
        return f"gridcore only or elsewhere: {deeds[:6]}; oracle: {oracle_deeds[:6]}; {in_dispute}"

    def _in_one_order(self, deeds: Sequence[Deed]) -> list[Deed]:
        """Return deeds with each run of cancels on no level in the order of their ids."""
        levels = set(self.engine.grid.ticks)
        result: list[Deed] = []
        outside: list[Deed] = []
        for deed in deeds:
            order = self.world.orders[deed[1]] if deed[0] == "cancel" else None
            is_outside = order is not None and order.price_ticks not in levels
            of_other_leg = (
                outside
                and order is not None
                and (self.world.orders[outside[-1][1]].direction is not order.direction)
            )
            if outside and (not is_outside or of_other_leg):
                result += sorted(outside)
                outside = []
            if is_outside:
                outside.append(deed)
            else:
                result.append(deed)
        return result + sorted(outside)

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
        grid, level = self.engine.grid, intent.grid_level
        price = self.world.tick * grid.ticks[level]
        return price == intent.price and grid.sides[level].value == intent.side.value

    def _judge_rebuild(self, close: Decimal, intents: Sequence[Intent]) -> Verdict:
        world, grids = self.world, self.grids
        most = len(grids.core) + 10
        cancelled = [
            intent.order_id
            for intent in intents
            if isinstance(intent, CancelIntent) and intent.reason is CancelReason.REBUILD
        ]
        fresh = grids.exact.build(in_ticks(close, world.tick))
        too_many = any(len(world.of(leg)) > most for leg in DirectionType)
        if (
            too_many
            and sorted(cancelled) == sorted(world.orders)
            and len(intents) == len(cancelled)
            and grids.core_levels() == fresh
        ):
            return (Deviation.TOO_MANY_ORDERS,)
        return f"rebuild: gridcore wants {intents[:4]}"

    def _judge_grids(self, before: Levels, filled: Decimal | None, close: Decimal) -> Verdict:
        """Repeat the updates of the step one by one, each from gridcore's grid."""
        world = self.world
        twin = GridPair(world.tick, world.config)
        if not before or filled is None:
            return twin.build(close) or "grids differ without an update"
        twin.core.restore([{"price": world.tick * ticks, "side": side} for side, ticks in before])
        twin.align()
        found: Verdict = None
        for leg in DirectionType:
            if 0 < len(world.resting[leg]) < world.config.grid_count:
                found = joined(found, twin.update(filled, close))
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
