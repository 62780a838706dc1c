"""What holds for every grid, whatever happened to it."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridcore import Grid, GridConfig, GridError, GridSideType

pytestmark = pytest.mark.untraced

BUY, SELL, WAIT = GridSideType.BUY, GridSideType.SELL, GridSideType.WAIT
LAWS = settings(max_examples=150, deadline=None, derandomize=True)
TICK_SIZES = st.sampled_from(["1", "0.5", "0.1", "0.10", "0.01", "0.0001", "1E-7"]).map(Decimal)
CONFIGS = st.builds(
    GridConfig,
    st.integers(4, 80),
    st.integers(50, 1000).map(lambda n: Decimal(n) / 1000),
    st.sampled_from(["0.3", "0.1", "0.25", "0.5", "1"]).map(Decimal),
)
PRICE_TICKS = st.one_of(st.integers(1, 10**7), st.integers(500, 20_000))


@st.composite
def built(draw: st.DrawFn) -> Grid:
    """Draw a grid that was just built."""
    config, tick = draw(CONFIGS), draw(TICK_SIZES)
    grid = Grid(tick, config.grid_count, config.grid_step, config.rebalance_threshold)
    price = tick * draw(PRICE_TICKS)
    if draw(st.booleans()):
        price *= 1 + Decimal(draw(st.integers(1, 999))).scaleb(-6)  # off the tick
    try:
        grid.build_grid(price)
    except GridError:
        assume(False)
    return grid


def update(grid: Grid, draw: st.DrawFn) -> tuple[Decimal, Decimal]:
    """Update with a drawn fill and market, mostly near the grid; return both."""
    low, high = grid.ticks[0], grid.ticks[-1]
    reach = high - low
    close = draw(st.one_of(st.integers(low, high), st.integers(max(1, low - reach), high + reach)))
    filled = draw(st.one_of(st.sampled_from(grid.ticks), st.integers(max(1, low - 9), high + 9)))
    prices = grid.tick_size * filled, grid.tick_size * close
    try:
        grid.update_grid(*prices)
    except GridError:
        assume(False)
    return prices


@st.composite
def reachable(draw: st.DrawFn) -> tuple[Grid, Decimal, Decimal]:
    """Draw a grid after some updates, with the last fill and the last market."""
    grid = draw(built())
    filled, close = update(grid, draw)
    for _ in range(draw(st.integers(0, 6))):
        filled, close = update(grid, draw)
    return grid, filled, close


def state(grid: Grid) -> tuple[object, ...]:
    return list(grid.ticks), list(grid.sides), grid.anchor_price


@LAWS
@given(built())
def test_a_fresh_grid_is_correct(grid: Grid) -> None:
    half = grid.config.grid_count // 2
    assert grid.is_grid_correct()
    assert grid.sides == [BUY] * half + [WAIT] + [SELL] * half
    assert grid.ticks[0] > 0
    assert grid.anchor_price == grid.grid[half]["price"]


@LAWS
@given(built())
def test_neighbours_are_one_step_apart_within_rounding(grid: Grid) -> None:
    half, step = grid.config.grid_count // 2, grid.config.step_fraction
    for index in range(half + 1, len(grid) - 1):
        exact = grid.ticks[index] * (1 + step)
        assert abs(grid.ticks[index + 1] - exact) <= Fraction(1, 2)
    for index in range(half - 1, 0, -1):
        exact = grid.ticks[index] * (1 - step)
        assert abs(grid.ticks[index - 1] - exact) <= Fraction(1, 2)
    # next to the centre both roundings add up
    for index, factor in ((half + 1, 1 + step), (half - 1, 1 - step)):
        assert abs(grid.ticks[index] - grid.ticks[half] * factor) <= Fraction(1, 2) + factor / 2


@LAWS
@given(CONFIGS, TICK_SIZES, PRICE_TICKS)
def test_a_build_succeeds_exactly_when_all_levels_differ(
    config: GridConfig, tick: Decimal, price_ticks: int
) -> None:
    ticks = [price_ticks]
    for factor in (1 + config.step_fraction, 1 - config.step_fraction):
        level = price_ticks
        for _ in range(config.grid_count // 2):
            level = round(level * factor)
            ticks.append(level)
    possible = min(ticks) > 0 and len(set(ticks)) == len(ticks)
    grid = Grid(tick, config.grid_count, config.grid_step)
    if possible:
        grid.build_grid(tick * price_ticks)
        assert grid.ticks == sorted(ticks)
    else:
        with pytest.raises(GridError, match="tick size"):
            grid.build_grid(tick * price_ticks)
        assert grid.ticks == []


@LAWS
@given(reachable())
def test_levels_always_ascend_and_their_number_stays(
    reached: tuple[Grid, Decimal, Decimal],
) -> None:
    grid, _, _ = reached
    assert grid.is_price_sorted()
    assert grid.ticks[0] > 0
    assert len(grid.ticks) == len(grid.sides) == grid.config.grid_count // 2 * 2 + 1


@LAWS
@given(reachable())
def test_sides_are_those_of_the_last_fill_and_market(
    reached: tuple[Grid, Decimal, Decimal],
) -> None:
    grid, filled, close = reached
    fill_ticks, close_ticks = filled / grid.tick_size, close / grid.tick_size
    quarter = grid.config.step_fraction / 4
    for place, (ticks, side) in enumerate(zip(grid.ticks, grid.sides, strict=True)):
        near = abs(Fraction(ticks) - Fraction(fill_ticks)) / ticks < quarter
        if near and side is not WAIT:
            assert place in (0, len(grid) - 1)  # only a level that joined in this update
        elif not near and ticks > close_ticks:
            assert side is SELL
        elif not near and ticks < close_ticks:
            assert side is BUY


@LAWS
@given(reachable())
def test_buys_always_lie_below_sells(reached: tuple[Grid, Decimal, Decimal]) -> None:
    grid, _, _ = reached
    directed = [side for side in grid.sides if side is not WAIT]
    assert directed == sorted(directed)
    assert grid.sides[0] is not SELL
    assert grid.sides[-1] is not BUY


@LAWS
@given(reachable())
def test_repeated_updates_settle_and_then_change_nothing(
    reached: tuple[Grid, Decimal, Decimal],
) -> None:
    grid, filled, close = reached
    # where one level more on a side exceeds the threshold, a grid moves to and fro for ever:
    # with at most two waiting levels that is a matter of very few levels
    assume(grid.config.threshold_fraction * (len(grid) - 2) >= 1)
    for _ in range(2 * len(grid) + 4):
        version = grid.version
        grid.update_grid(filled, close)
        if grid.version == version:
            break
    else:
        raise AssertionError("never settled")
    settled = state(grid), grid.version
    grid.update_grid(filled, close)
    assert (state(grid), grid.version) == settled


@LAWS
@given(reachable(), st.data())
def test_recentring_moves_at_most_one_level(
    reached: tuple[Grid, Decimal, Decimal], data: st.DataObject
) -> None:
    grid, _, _ = reached
    before = list(grid.ticks)
    close = grid.tick_size * data.draw(st.integers(before[0] + 1, before[-1] - 1))
    filled = grid.tick_size * data.draw(st.sampled_from(before))
    grid.update_grid(filled, close)
    step = grid.config.step_fraction
    if grid.ticks[0] > before[0]:
        assert grid.ticks[:-1] == before[1:]
        assert grid.ticks[-1] == round(before[-1] * (1 + step))
        assert grid.sides[-1] is SELL
    elif grid.ticks[0] < before[0]:
        assert grid.ticks[1:] == before[:-1]
        assert grid.ticks[0] == round(before[0] * (1 - step))
        assert grid.sides[0] is BUY
    else:
        assert grid.ticks == before
    assert len(set(grid.ticks)) == len(grid.ticks)


@LAWS
@given(reachable(), st.data())
def test_a_move_follows_the_imbalance(
    reached: tuple[Grid, Decimal, Decimal], data: st.DataObject
) -> None:
    grid, _, _ = reached
    before = list(grid.ticks)
    close_ticks = data.draw(st.integers(before[0] + 1, before[-1] - 1))
    assume(close_ticks not in before)
    grid.update_grid(grid.tick_size * 10**9, grid.tick_size * close_ticks)  # nothing waits
    buys = sum(ticks < close_ticks for ticks in before)
    sells = len(before) - buys
    imbalance = Fraction(buys - sells, buys + sells)
    threshold = grid.config.threshold_fraction
    if imbalance > threshold:
        assert grid.ticks[0] > before[0]
    elif imbalance < -threshold:
        assert grid.ticks[0] < before[0] or round(before[0] * (1 - grid.config.step_fraction)) in (
            0, before[0],
        )  # fmt: skip
    else:
        assert grid.ticks == before


@LAWS
@given(reachable(), st.data())
def test_every_reachable_state_survives_a_snapshot(
    reached: tuple[Grid, Decimal, Decimal], data: st.DataObject
) -> None:
    grid, _, _ = reached
    config = grid.config
    other = Grid(grid.tick_size, config.grid_count, config.grid_step, config.rebalance_threshold)
    other.restore(grid.snapshot(), grid.anchor_price)
    assert state(other) == state(grid)
    # and both go on alike
    low, high = grid.ticks[0], grid.ticks[-1]
    for _ in range(3):
        filled = grid.tick_size * data.draw(st.integers(low, high))
        close = grid.tick_size * data.draw(st.integers(low + 1, high - 1))
        grid.update_grid(filled, close)
        other.update_grid(filled, close)
        assert state(other) == state(grid)


@LAWS
@given(reachable(), st.data())
def test_the_remembered_range_never_hides_an_update(
    reached: tuple[Grid, Decimal, Decimal], data: st.DataObject
) -> None:
    grid, filled, close = reached
    for _ in range(4):
        fresh = Grid(
            grid.tick_size,
            grid.config.grid_count,
            grid.config.grid_step,
            grid.config.rebalance_threshold,
        )
        fresh.restore(grid.snapshot(), grid.anchor_price)
        grid.update_grid(filled, close)
        fresh.update_grid(filled, close)
        assert state(grid) == state(fresh)
        low, high = grid.ticks[0], grid.ticks[-1]
        close = grid.tick_size * data.draw(
            st.one_of(st.sampled_from(grid.ticks[1:-1]), st.integers(low + 1, high - 1))
        )
        if data.draw(st.booleans()):
            close += grid.tick_size / 2
        if data.draw(st.integers(0, 3)) == 0:
            filled = grid.tick_size * data.draw(st.sampled_from(grid.ticks))


@LAWS
@given(reachable(), st.data())
def test_the_settled_range_is_exact(
    reached: tuple[Grid, Decimal, Decimal], data: st.DataObject
) -> None:
    grid, filled, _ = reached
    ends = st.sampled_from([grid.ticks[0] + 1, grid.ticks[-1] - 1])
    market = st.integers(grid.ticks[0] + 1, grid.ticks[-1] - 1)
    close = data.draw(st.one_of(market, ends))
    if data.draw(st.booleans()):
        grid.update_grid(filled, grid.tick_size * close)
    assume(grid.ticks[0] < close < grid.ticks[-1])

    def changes(ticks: int) -> bool:
        twin = Grid(
            grid.tick_size,
            grid.config.grid_count,
            grid.config.grid_step,
            grid.config.rebalance_threshold,
        )
        twin.restore(grid.snapshot(), grid.anchor_price)
        try:
            twin.update_grid(filled, grid.tick_size * ticks)
        except GridError:
            return True
        return state(twin) != state(grid)

    low, high = grid.settled_range(filled, close)
    if not low <= close <= high:
        assert changes(close)
        return
    for ticks in (low, close, high, data.draw(st.integers(low, high))):
        assert not changes(ticks)
    assert changes(low - 1)
    assert changes(high + 1)
