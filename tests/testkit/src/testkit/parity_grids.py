"""The same grid twice: operations on both, and what may make them differ."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from bbu_reference.grid import Grid as OracleGrid
from bbu_reference.grid import Level as OracleLevel
from bbu_reference.grid import LevelSide
from bbu_reference.rounding import shed_noise
from gridcore import Grid, GridConfig, GridError, GridSideType
from testkit.parity_exact import ExactGrid, Level, Levels, Recentre, guide_from, in_ticks
from testkit.parity_report import Deviation, Names, Verdict

SHOWN_LEVELS = 24
ORACLE_SIDES: dict[GridSideType, LevelSide] = {
    GridSideType.BUY: "Buy",
    GridSideType.SELL: "Sell",
    GridSideType.WAIT: "wait",
}


class GridPair:
    """The same grid twice, each going on from what it has.

    Where they differ, under a name or without one, the oracle takes over what gridcore has: a
    difference is judged where it arises.
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
        self._float_tick = float(tick_size)
        self._floats: tuple[list[int], list[float]] = ([], [])
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
        return self.levels_of(self.oracle)

    def levels_of(self, oracle: OracleGrid) -> Levels | None:
        """Return the levels of an oracle's grid as (side, ticks); None for a price off the tick."""
        levels: list[Level] = []
        for level in oracle.levels:
            ticks = self.ticks_of(level.price)
            if ticks.denominator != 1:
                return None
            levels.append((level.side.capitalize(), int(ticks)))
        return tuple(levels)

    def ticks_of(self, price: float) -> Fraction | int:
        """Return a price of the oracle in ticks, a fraction where it is off the tick."""
        ticks = round(price / self._float_tick)
        if shed_noise(ticks * self._float_tick) == price:
            return ticks
        return in_ticks(price, self.tick_size)

    def is_equal(self, oracle: OracleGrid | None = None) -> bool:
        """Tell whether both hold the same sides at the same prices.

        The same price is the one that the older bot's rounding makes of so many ticks.
        """
        core, levels = self.core, (oracle or self.oracle).levels
        return [level.price for level in levels] == self._prices(core.ticks) and [
            level.side for level in levels
        ] == [ORACLE_SIDES[side] for side in core.sides]

    def align(self) -> None:
        """Give the oracle gridcore's levels."""
        self.oracle.levels = self.oracle_form(self.core.sides, self.core.ticks)

    def oracle_form(self, sides: list[GridSideType], ticks: list[int]) -> list[OracleLevel]:
        """Return levels as the oracle keeps them."""
        return [
            OracleLevel(ORACLE_SIDES[side], price)
            for side, price in zip(sides, self._prices(ticks), strict=True)
        ]

    def _prices(self, ticks: list[int]) -> list[float]:
        known, prices = self._floats
        if known is not ticks or len(known) != len(prices):
            prices = [shed_noise(price * self._float_tick) for price in ticks]
            self._floats = ticks, prices
        return prices

    # one operation on both

    def build(self, price: Decimal) -> Verdict:
        """Build both around a price (USDT) and compare."""
        try:
            self.core.build_grid(price)
        except GridError:
            fresh = self.exact.build(in_ticks(price, self.tick_size))
            if self.exact.is_possible(fresh):
                return self._failure(f"build({price}) refused, though all levels are distinct")
            return (Deviation.GRID_REFUSED,)
        self.oracle.build(float(price))
        if self._is_settled():
            return None
        verdict = self._explain_build(price)
        self.align()
        return verdict

    def update(self, filled: Decimal | None, close: Decimal | None) -> Verdict:
        """Update both with the last fill and the market (USDT) and compare."""
        sides, ticks = self.core.sides, self.core.ticks
        try:
            self.core.update_grid(filled, close)
        except GridError:
            assert close is not None
            fresh = self.exact.build(in_ticks(close, self.tick_size))
            if self.exact.is_possible(fresh):
                return self._failure(f"update({filled}, {close}) refused a possible grid")
            return (Deviation.GRID_REFUSED,)
        self.oracle.update(
            None if filled is None else float(filled), None if close is None else float(close)
        )
        if self._is_settled():
            return None
        before = tuple((side.value, price) for side, price in zip(sides, ticks, strict=True))
        verdict: Verdict
        if filled is None or close is None:
            verdict = self._failure(f"update({filled}, {close}) changed something")
        else:
            verdict = self.explain(before, filled, close) or self._failure(
                f"update({filled}, {close}) of {brief(before)}"
            )
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
            return (Deviation.FLOAT_TIE,)
        return self._failure(f"build({price})")

    def explain(self, before: Levels, filled: Decimal, close: Decimal) -> Names | None:
        """Return why the two differ after one update of `before`, None when no name fits.

        gridcore must have the one exact outcome; the oracle one that the older rule allows, with
        or without float noise.
        """
        exact, core, oracle = self.exact, self.core_levels(), self.oracle_levels()
        fill_ticks, close_ticks = in_ticks(filled, self.tick_size), in_ticks(close, self.tick_size)
        (wanted,) = exact.updates(before, fill_ticks, close_ticks, Recentre.OURS)
        if oracle is None or core != wanted:
            return None
        (older,) = exact.updates(before, fill_ticks, close_ticks, Recentre.OLDER)
        if oracle != older and oracle not in exact.updates(
            before, fill_ticks, close_ticks, Recentre.OLDER, seen=oracle
        ):
            return None
        if older != wanted:
            return (_recentred(before, core, older),)
        if self._has_noise_at(close, close_ticks):
            return (Deviation.FLOAT_PRICE,)
        sides_only = [ticks for _, ticks in core] == [ticks for _, ticks in oracle]
        return (Deviation.FLOAT_THRESHOLD if sides_only else Deviation.FLOAT_TIE,)

    def _has_noise_at(self, close: Decimal, close_ticks: Fraction) -> bool:
        """Tell whether the older bot's level at the market differs from the market as floats."""
        return close_ticks.denominator == 1 and (
            shed_noise(int(close_ticks) * self._float_tick) != float(close)
        )

    def _failure(self, what: str) -> str:
        oracle = self.oracle_levels()
        return (
            f"{self.config}, tick {self.tick_size}: {what}: gridcore {brief(self.core_levels())},"
            f" oracle {'off the tick' if oracle is None else brief(oracle)}"
        )


def _recentred(before: Levels, core: Levels, older: Levels) -> Deviation:
    if older[-1] == ("Sell", 0):
        return Deviation.RECENTRE_NO_SELLS
    if [ticks for _, ticks in core] == [ticks for _, ticks in before]:
        return Deviation.RECENTRE_NO_ROOM
    return Deviation.RECENTRE_OUTERMOST


def brief(levels: Levels) -> str:
    """Return levels as text, in ticks: '[B980 W1000 S1010]'; only the ends of a long list."""
    words = [f"{side[0]}{ticks}" for side, ticks in levels]
    if len(words) > SHOWN_LEVELS:
        half = SHOWN_LEVELS // 2
        words = [*words[:half], f"...{len(words)} levels...", *words[-half:]]
    return "[" + " ".join(words) + "]"
