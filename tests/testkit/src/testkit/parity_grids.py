"""Grids compared level by level, through whole sequences of build, update and re-centre."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal

from bbu_reference.grid import Grid as OracleGrid
from bbu_reference.grid import Level as OracleLevel
from bbu_reference.grid import LevelSide
from gridcore import Grid, GridConfig, GridError, GridSideType
from testkit.parity_cases import Contract, roomy_price, shape
from testkit.parity_exact import ExactGrid, Level, Levels, Recentre, guide_from, in_ticks
from testkit.parity_report import Deviation

SHOWN_LEVELS = 24
Verdict = Deviation | str | None
ORACLE_SIDES: dict[GridSideType, LevelSide] = {
    GridSideType.BUY: "Buy",
    GridSideType.SELL: "Sell",
    GridSideType.WAIT: "wait",
}


class GridPair:
    """The same grid twice; after each comparison the oracle takes over what gridcore has.

    So a difference is judged where it arises, and noise in the last digits does not add up.
    """

    def __init__(self, tick_size: Decimal, config: GridConfig, core: Grid | None = None) -> None:
        self.tick_size = tick_size
        self.config = config
        self.exact = ExactGrid(config)
        if core is None:
            core = Grid(tick_size, config.grid_count, config.grid_step, config.rebalance_threshold)
        self.core = core
        self.oracle = OracleGrid(
            tick_size=float(tick_size),
            count=config.grid_count,
            step_pct=float(config.grid_step),
            rebalance_threshold=float(config.rebalance_threshold),
        )
        self.align()

    # the two states

    def core_levels(self) -> Levels:
        """Return gridcore's levels as (side, ticks)."""
        return tuple(
            (side.value, ticks)
            for side, ticks in zip(self.core.sides, self.core.ticks, strict=True)
        )

    def oracle_levels(self) -> Levels | None:
        """Return the oracle's levels as (side, ticks); None when a price is off the tick."""
        levels: list[Level] = []
        for level in self.oracle.levels:
            ticks = in_ticks(level.price, self.tick_size)
            if ticks.denominator != 1:
                return None
            levels.append((level.side.capitalize(), int(ticks)))
        return tuple(levels)

    def is_equal(self) -> bool:
        """Tell whether both hold the same sides at the same prices."""
        core, oracle = self.core, self.oracle.levels
        return len(core) == len(oracle) and all(
            ORACLE_SIDES[side] == level.side
            and float(self.tick_size * ticks) == round(level.price, 8)
            for side, ticks, level in zip(core.sides, core.ticks, oracle, strict=True)
        )

    def align(self) -> None:
        """Give the oracle gridcore's levels."""
        self.oracle.levels = [
            OracleLevel(ORACLE_SIDES[side], float(self.tick_size * ticks))
            for side, ticks in zip(self.core.sides, self.core.ticks, strict=True)
        ]

    # one operation on both

    def build(self, price: Decimal) -> Verdict:
        """Build both around a price (USDT) and compare."""
        try:
            self.core.build_grid(price)
        except GridError:
            fresh = self.exact.build(in_ticks(price, self.tick_size))
            if self.exact.is_possible(fresh):
                return self._failure(f"build({price}) refused, though all levels are distinct")
            return Deviation.GRID_REFUSED
        self.oracle.build(float(price))
        verdict = None if self._is_settled() else self._explain_build(price)
        self.align()
        return verdict

    def update(self, filled: Decimal | None, close: Decimal | None) -> Verdict:
        """Update both with the last fill and the market (USDT) and compare."""
        before = self.core_levels()
        try:
            self.core.update_grid(filled, close)
        except GridError:
            assert close is not None
            fresh = self.exact.build(in_ticks(close, self.tick_size))
            if self.exact.is_possible(fresh):
                return self._failure(f"update({filled}, {close}) refused a possible grid")
            return Deviation.GRID_REFUSED
        self.oracle.update(
            None if filled is None else float(filled), None if close is None else float(close)
        )
        verdict: Verdict = None
        if self._is_settled():
            pass
        elif filled is None or close is None:
            verdict = self._failure(f"update({filled}, {close}) changed something")
        else:
            verdict = self._explain_update(before, filled, close)
        self.align()
        return verdict

    def _is_settled(self) -> bool:
        """Tell whether both are equal and possible."""
        core = self.core
        return self.is_equal() and core.is_price_sorted() and core.ticks[0] > 0

    # differences, named or not

    def _explain_build(self, price: Decimal) -> Verdict:
        ticks = in_ticks(price, self.tick_size)
        exact, core, oracle = self.exact, self.core_levels(), self.oracle_levels()
        if (
            oracle is not None
            and core == exact.build(ticks)
            and oracle == exact.build(ticks, guide=guide_from(oracle))
        ):
            return Deviation.FLOAT_TIE
        return self._failure(f"build({price})")

    def explain(self, before: Levels, filled: Decimal, close: Decimal) -> Deviation | None:
        """Return why the two differ after one update of `before`, None when no name fits."""
        return explain_update(
            self.exact,
            before,
            core=self.core_levels(),
            oracle=self.oracle_levels(),
            filled=filled,
            close=close,
            tick_size=self.tick_size,
        )

    def _explain_update(self, before: Levels, filled: Decimal, close: Decimal) -> Verdict:
        found = self.explain(before, filled, close)
        return found or self._failure(f"update({filled}, {close}) of {brief(before)}")

    def _failure(self, what: str) -> str:
        oracle = self.oracle_levels()
        return (
            f"{self.config}, tick {self.tick_size}: {what}: gridcore {brief(self.core_levels())},"
            f" oracle {'off the tick' if oracle is None else brief(oracle)}"
        )


def brief(levels: Levels) -> str:
    """Return levels as text, in ticks: '[B980 W1000 S1010]'; only the ends of a long list."""
    words = [f"{side[0]}{ticks}" for side, ticks in levels]
    if len(words) > SHOWN_LEVELS:
        half = SHOWN_LEVELS // 2
        words = [*words[:half], f"...{len(words)} levels...", *words[-half:]]
    return "[" + " ".join(words) + "]"


def explain_update(
    exact: ExactGrid,
    before: Levels,
    *,
    core: Levels,
    oracle: Levels | None,
    filled: Decimal,
    close: Decimal,
    tick_size: Decimal,
) -> Deviation | None:
    """Return why two updates of one grid differ, None when no name fits.

    gridcore must have the one exact outcome; the oracle one that the older rule allows, with or
    without float noise.
    """
    fill_ticks, close_ticks = in_ticks(filled, tick_size), in_ticks(close, tick_size)
    (wanted,) = exact.updates(before, fill_ticks, close_ticks, Recentre.OUTERMOST)
    if oracle is None or core != wanted:
        return None
    (older,) = exact.updates(before, fill_ticks, close_ticks, Recentre.OUTERMOST_OF_SIDE)
    if oracle == older or oracle in exact.updates(
        before, fill_ticks, close_ticks, Recentre.OUTERMOST_OF_SIDE, seen=oracle
    ):
        if older != wanted:
            same_levels = [ticks for _, ticks in core] == [ticks for _, ticks in before]
            return Deviation.RECENTRE_NO_ROOM if same_levels else Deviation.RECENTRE_OUTERMOST
        sides_only = [ticks for _, ticks in core] == [ticks for _, ticks in oracle]
        return Deviation.FLOAT_THRESHOLD if sides_only else Deviation.FLOAT_TIE
    return None


# sequences


def compare_grids(rng: random.Random, contract: Contract, steps: int = 40) -> Iterator[Verdict]:
    """Yield one verdict for each build or update of a random sequence."""
    config = shape(rng, thresholds=("0.3", "0.3", "0.1", "0.25", "0.5"))
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
