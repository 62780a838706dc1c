"""Grid: build, update, re-centre."""

import pytest

from bbu_reference.grid import Grid, Level, LevelSide
from bbu_reference.switches import LegacySwitches


def grid_of(*pairs: tuple[LevelSide, float], step_pct: float = 1.0) -> Grid:
    levels = [Level(side, price) for side, price in pairs]
    return Grid(tick_size=0.1, count=4, step_pct=step_pct, levels=levels)


def sides(grid: Grid) -> str:
    return "".join(side[0] for side, _ in grid.as_pairs())


def test_defaults() -> None:
    grid = Grid(tick_size=0.1)
    assert (grid.count, grid.step_pct, grid.rebalance_threshold) == (50, 0.2, 0.3)


# build


def test_build_puts_half_of_the_levels_on_either_side() -> None:
    grid = Grid(tick_size=0.1, count=4, step_pct=1)
    grid.build(1000.0)
    assert grid.as_pairs() == [
        ("Buy", 980.1),
        ("Buy", 990.0),
        ("wait", 1000.0),
        ("Sell", 1010.0),
        ("Sell", 1020.1),
    ]


@pytest.mark.parametrize(("count", "built"), [(2, 3), (3, 3), (4, 5), (5, 5), (50, 51)])
def test_build_adds_the_middle_to_two_halves(count: int, built: int) -> None:
    grid = Grid(tick_size=0.01, count=count)
    grid.build(1000.0)
    assert len(grid.levels) == built


def test_build_refuses_a_grid_without_neighbours() -> None:
    with pytest.raises(ValueError, match="count is 1"):
        Grid(tick_size=0.1, count=1)


def test_build_starts_from_the_unrounded_price() -> None:
    grid = Grid(tick_size=1, count=2, step_pct=1)
    grid.build(150.4)
    # from the rounded 150 they would be 152 (151.5, a tie) and 148 (148.5, a tie)
    assert grid.as_pairs() == [("Buy", 149.0), ("wait", 150.0), ("Sell", 152.0)]
    grid.build(149.6)
    assert grid.as_pairs() == [("Buy", 148.0), ("wait", 150.0), ("Sell", 151.0)]


def test_build_goes_on_from_rounded_levels() -> None:
    grid = Grid(tick_size=1, count=4, step_pct=1)
    grid.build(139.0)
    # up: 140.39 -> 140, then 141.4 -> 141; unrounded the second would be 141.79 -> 142
    assert grid.as_pairs()[2:] == [("wait", 139.0), ("Sell", 140.0), ("Sell", 141.0)]


def test_build_rounds_ties_to_even() -> None:
    grid = Grid(tick_size=1, count=2, step_pct=50)
    grid.build(5.0)
    assert grid.as_pairs() == [("Buy", 2.0), ("wait", 5.0), ("Sell", 8.0)]  # 2.5 and 7.5


def test_build_with_a_step_finer_than_the_tick_repeats_prices() -> None:
    grid = Grid(tick_size=1, count=4, step_pct=0.1)
    grid.build(100.0)
    assert {price for _, price in grid.as_pairs()} == {100.0}


# update


@pytest.mark.parametrize(("filled", "last"), [(None, 1005.0), (1000.0, None), (None, None)])
def test_update_without_both_prices_changes_nothing(
    filled: float | None, last: float | None
) -> None:
    grid = grid_of(("Sell", 990), ("wait", 1000), ("Buy", 1010))
    grid.update(filled, last)
    assert sides(grid) == "SwB"


def test_update_sets_sides_from_the_market_and_wait_from_the_fill() -> None:
    grid = grid_of(("Sell", 980), ("Sell", 990), ("wait", 1000), ("Buy", 1010), ("Buy", 1020))
    grid.update(1000.0, 1005.0)
    assert grid.as_pairs() == [
        ("Buy", 980),
        ("Buy", 990),
        ("wait", 1000),
        ("Sell", 1010),
        ("Sell", 1020),
    ]


def test_update_recentres_after_the_sides() -> None:
    grid = grid_of(("Sell", 980), ("Sell", 990), ("wait", 1000), ("Buy", 1010), ("Buy", 1020))
    grid.update(1010.0, 1005.0)
    assert grid.as_pairs() == [
        ("Buy", 990),
        ("Buy", 1000),  # a wait level no longer near the fill takes a side again
        ("wait", 1010),
        ("Sell", 1020),
        ("Sell", 1030.2),
    ]


@pytest.mark.parametrize("side", ["Buy", "Sell", "wait"])
def test_update_leaves_the_side_of_a_level_at_the_market(side: LevelSide) -> None:
    grid = grid_of(("Buy", 980), ("Buy", 990), (side, 1000), ("Sell", 1010), ("Sell", 1020))
    grid.update(900.0, 1000.0)
    assert grid.as_pairs()[2] == (side, 1000)


@pytest.mark.parametrize(
    ("filled", "side"),
    [(1002.49, "wait"), (1002.51, "Sell"), (997.51, "wait"), (997.49, "Sell")],
)
def test_wait_zone_is_a_quarter_step_of_the_level(filled: float, side: str) -> None:
    grid = grid_of(("Buy", 980), ("Buy", 990), ("Buy", 1000), ("Sell", 1010), ("Sell", 1020))
    grid.update(filled, 995.0)
    assert grid.as_pairs()[2] == (side, 1000)


@pytest.mark.parametrize(("filled", "side"), [(1056.0, "Sell"), (1055.9, "wait")])
def test_exactly_a_quarter_step_is_not_wait(filled: float, side: str) -> None:
    grid = grid_of(("Buy", 800), ("Buy", 900), ("Buy", 1024), ("Sell", 1200), ("Sell", 1300))
    grid.step_pct = 12.5
    grid.update(filled, 1000.0)  # 32 / 1024 = 3.125 %, exact in binary
    assert grid.as_pairs()[2] == (side, 1024)


@pytest.mark.parametrize("last", [980.0, 1020.0, 500.0, 2000.0])
def test_market_not_strictly_inside_rebuilds_around_it(last: float) -> None:
    grid = grid_of(("Buy", 980), ("Buy", 990), ("wait", 1000), ("Sell", 1010), ("Sell", 1020))
    grid.update(700.0, last)
    fresh = Grid(tick_size=0.1, count=4, step_pct=1)
    fresh.build(last)
    assert grid.as_pairs() == fresh.as_pairs()


def test_rebuild_is_followed_by_the_side_rules() -> None:
    grid = grid_of(("Buy", 980), ("wait", 990), ("Sell", 1000))
    grid.update(2020.1, 2000.0)  # 2020 becomes wait in the rebuilt grid
    assert grid.as_pairs() == [
        ("Buy", 1980.0),  # two Buy and one Sell: 1960.2 has moved to the top
        ("wait", 2000.0),
        ("wait", 2020.0),
        ("Sell", 2040.2),
        ("Sell", 2060.6),
    ]


def test_just_inside_does_not_rebuild() -> None:
    grid = grid_of(("Buy", 980), ("wait", 1000), ("Sell", 1020))
    grid.update(1000.0, 980.1)
    assert [price for _, price in grid.as_pairs()] == [980, 1000, 1020]


def test_update_of_an_empty_grid_builds_it() -> None:
    grid = Grid(tick_size=0.1, count=4, step_pct=1)
    grid.update(1000.0, 1000.0)
    assert len(grid.levels) == 5


# re-centre


def test_more_buys_move_the_lowest_level_to_the_top() -> None:
    grid = grid_of(("Buy", 970.3), ("Buy", 980.1), ("Buy", 990), ("wait", 1000), ("Sell", 1010))
    grid.recentre()
    assert grid.as_pairs() == [
        ("Buy", 980.1),
        ("Buy", 990),
        ("wait", 1000),
        ("Sell", 1010),
        ("Sell", 1020.1),
    ]


def test_more_sells_move_the_highest_level_to_the_bottom() -> None:
    grid = grid_of(("Buy", 990), ("wait", 1000), ("Sell", 1010), ("Sell", 1020), ("Sell", 1030))
    grid.recentre()
    assert grid.as_pairs() == [
        ("Buy", 980.1),
        ("Buy", 990),
        ("wait", 1000),
        ("Sell", 1010),
        ("Sell", 1020),
    ]


@pytest.mark.parametrize(
    ("buys", "sells", "shifts"),
    [
        (13, 7, False),  # exactly 0.3: not above the threshold
        (14, 7, True),
        (7, 13, False),
        (7, 14, True),
        (10, 10, False),
    ],
)
def test_threshold_is_exceeded_strictly(buys: int, sells: int, shifts: bool) -> None:
    grid = grid_of(
        *(("Buy", 900.0 + i) for i in range(buys)),
        *(("Sell", 1000.0 + i) for i in range(sells)),
    )
    before = grid.as_pairs()
    grid.recentre()
    assert (grid.as_pairs() != before) == shifts


def test_new_level_is_one_step_beyond_the_end_of_the_grid() -> None:
    grid = grid_of(*(("Buy", 900.0 + i) for i in range(5)), ("Sell", 1000.0), ("Sell", 1010.0))
    grid.recentre()
    assert grid.as_pairs()[-1] == ("Sell", 1020.1)
    grid = grid_of(("Buy", 980.1), ("Buy", 990.0), *(("Sell", 1000.0 + i) for i in range(5)))
    grid.recentre()
    assert grid.as_pairs()[0] == ("Buy", 970.3)


def test_one_shift_per_call() -> None:
    grid = grid_of(*(("Buy", 900.0 + i) for i in range(9)), ("Sell", 1000.0))
    grid.recentre()
    assert sides(grid) == "B" * 8 + "SS"


def test_nothing_moves_while_every_level_waits() -> None:
    grid = grid_of(("wait", 990), ("wait", 1000), ("wait", 1010))
    before = grid.as_pairs()
    grid.recentre()
    assert grid.as_pairs() == before


def test_new_top_starts_from_the_highest_sell_even_below_a_wait_level() -> None:
    grid = grid_of(("Buy", 970), ("Buy", 980), ("Buy", 990), ("Sell", 1000), ("wait", 1010))
    grid.recentre()
    assert grid.as_pairs()[-2:] == [("wait", 1010), ("Sell", 1010.0)]


def test_new_bottom_starts_from_the_outermost_level_whatever_its_side() -> None:
    grid = grid_of(("wait", 990), ("Buy", 1000), ("Sell", 1010), ("Sell", 1020), ("Sell", 1030))
    grid.recentre()
    assert grid.as_pairs()[:3] == [("Buy", 980.1), ("wait", 990), ("Buy", 1000)]


def test_without_any_buy_the_grid_moves_down_all_the_same() -> None:
    grid = Grid(tick_size=1, count=4, step_pct=1)
    grid.build(1000.0)
    grid.update(980.0, 985.0)
    assert grid.as_pairs() == [
        ("Buy", 970),
        ("wait", 980),
        ("Sell", 990),
        ("Sell", 1000),
        ("Sell", 1010),
    ]


def test_without_any_sell_a_level_at_price_0_joins_and_the_next_update_dies_of_it() -> None:
    grid = Grid(tick_size=1, count=4, step_pct=1)
    grid.build(1000.0)
    grid.update(1020.0, 1015.0)
    assert grid.as_pairs()[-2:] == [("wait", 1020), ("Sell", 0)]
    with pytest.raises(ZeroDivisionError):
        grid.update(1020.0, 1015.0)


def test_from_the_outermost_level_the_grid_moves_up_as_it_moves_down() -> None:
    switches = LegacySwitches(recentre_upwards_from_highest_sell=False)
    grid = Grid(tick_size=1, count=4, step_pct=1, switches=switches)
    grid.build(1000.0)
    grid.update(1020.0, 1015.0)
    assert grid.as_pairs() == [
        ("Buy", 990),
        ("Buy", 1000),
        ("Buy", 1010),
        ("wait", 1020),
        ("Sell", 1030),
    ]
