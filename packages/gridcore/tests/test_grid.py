"""The grid, example by example."""

from decimal import Decimal
from typing import Any

import pytest

from gridcore import ConfigError, Grid, GridError, GridSideType, InvalidInstrumentError

BUY, SELL, WAIT = GridSideType.BUY, GridSideType.SELL, GridSideType.WAIT


def grid_at(price: str, count: int = 4, step: str = "1", tick: str = "0.1") -> Grid:
    grid = Grid(Decimal(tick), count, Decimal(step))
    grid.build_grid(Decimal(price))
    return grid


def brief(grid: Grid) -> str:
    return " ".join(f"{level['side'][0]}{level['price']}" for level in grid.grid)


def restored(*levels: str, count: int = 4, tick: str = "1", step: str = "1") -> Grid:
    """Build from words such as 'B99'."""
    sides = {"B": "Buy", "S": "Sell", "W": "Wait"}
    grid = Grid(Decimal(tick), count, Decimal(step))
    grid.restore([{"price": word[1:], "side": sides[word[0]]} for word in levels])
    return grid


# build


def test_the_centre_waits_with_buys_below_and_sells_above() -> None:
    assert brief(grid_at("1000")) == "B980.1 B990.0 W1000.0 S1010.0 S1020.1"


def test_every_level_steps_from_the_rounded_one_before() -> None:
    # 1000.1 -> 1010.101 -> 1010.1; 1010.1 x 1.01 = 1020.201 -> 1020.2
    assert brief(grid_at("1000.1")) == "B980.2 B990.1 W1000.1 S1010.1 S1020.2"


def test_the_first_step_starts_from_the_unrounded_price() -> None:
    grid = grid_at("104", tick="10", step="10")
    # 104 rounds to 100, but 104 x 1.1 = 114.4 -> 110 and 104 x 0.9 = 93.6 -> 90
    assert brief(grid) == "B80 B90 W100 S110 S120"
    assert grid_at("105", tick="10", step="10").ticks[1:4] == [9, 10, 12]  # 115.5 -> 120


def test_ties_go_to_the_even_tick() -> None:
    assert grid_at("300.0", step="0.05").ticks[1:4] == [2998, 3000, 3002]  # 3001.5, 2998.5
    assert grid_at("102.5", tick="1", step="10").ticks[2] == 102
    assert grid_at("103.5", tick="1", step="10").ticks[2] == 104


@pytest.mark.parametrize(("count", "levels"), [(4, 5), (5, 5), (50, 51), (51, 51)])
def test_half_the_count_on_each_side(count: int, levels: int) -> None:
    grid = grid_at("60000", count=count, step="0.2")
    assert len(grid) == levels
    assert grid.sides.count(BUY) == grid.sides.count(SELL) == count // 2
    assert grid.sides[levels // 2] is WAIT


def test_building_again_clears_first() -> None:
    grid = grid_at("1000")
    grid.build_grid(Decimal(2000))
    assert len(grid) == 5
    assert grid.anchor_price == 2000


def test_default_parameters() -> None:
    grid = Grid(Decimal("0.1"))
    grid.build_grid(Decimal(60_000))
    assert len(grid) == 51
    assert grid.bounds == (grid.grid[0]["price"], grid.grid[-1]["price"])
    assert grid.grid[26]["price"] == Decimal("60120.0")


@pytest.mark.parametrize(
    "price",
    [Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), 60_000.0, 60_000, "60000", None],
)
def test_a_price_that_is_none_is_refused(price: Any) -> None:
    grid = grid_at("1000")
    before = grid.snapshot(), grid.version
    with pytest.raises(GridError, match="cannot build a grid around"):
        grid.build_grid(price)
    assert (grid.snapshot(), grid.version) == before


def test_levels_that_coincide_are_refused_with_tick_step_and_price() -> None:
    grid = Grid(Decimal("0.5"), 10, 0.2)
    with pytest.raises(GridError, match=r"step 0\.2 % .*tick size 0\.5 at price 100: two levels"):
        grid.build_grid(Decimal(100))
    assert len(grid) == 0


def test_the_step_named_in_the_refusal_is_enough() -> None:
    with pytest.raises(GridError, match=r"a step of at least 1 %"):
        Grid(Decimal("0.5"), 10, 0.2).build_grid(Decimal(100))
    Grid(Decimal("0.5"), 10, 1).build_grid(Decimal(100))


def test_levels_that_reach_zero_are_refused_with_tick_step_and_price() -> None:
    with pytest.raises(GridError, match=r"step 60 % around 10 reaches zero at tick size 1"):
        Grid(Decimal(1), 10, 60).build_grid(Decimal(10))


@pytest.mark.parametrize("tick", [Decimal(0), Decimal(-1), 0.1, "0.1", None])
def test_a_wrong_tick_is_refused(tick: Any) -> None:
    with pytest.raises(InvalidInstrumentError, match="tick_size"):
        Grid(tick)


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(ConfigError, match="grid_count"):
        Grid(Decimal("0.1"), 3)


def test_there_are_no_bounds_before_the_first_build() -> None:
    grid = Grid(Decimal("0.1"))
    assert grid.anchor_price is None
    assert grid.grid == []
    with pytest.raises(GridError, match="no levels yet"):
        _ = grid.bounds


# update


@pytest.mark.parametrize(("filled", "close"), [(None, "1005"), ("1000", None), (None, None)])
def test_nothing_happens_while_a_price_is_unknown(filled: str | None, close: str | None) -> None:
    grid = grid_at("1000")
    before = grid.snapshot(), grid.version
    grid.update_grid(
        None if filled is None else Decimal(filled), None if close is None else Decimal(close)
    )
    assert (grid.snapshot(), grid.version) == before


def test_sides_follow_the_market() -> None:
    grid = grid_at("1000", count=10)
    grid.update_grid(Decimal(1), Decimal(1005))
    assert [level["side"] for level in grid.grid] == [BUY] * 6 + [SELL] * 5


def test_the_level_of_the_last_fill_waits() -> None:
    grid = grid_at("1000", count=10)
    grid.update_grid(Decimal(1010), Decimal(1005))
    assert brief(grid).split()[4:8] == ["B990.0", "B1000.0", "W1010.0", "S1020.1"]


@pytest.mark.parametrize(
    ("filled", "side"), [("1002.4", WAIT), ("1002.5", BUY), ("997.6", WAIT), ("997.5", BUY)]
)
def test_waiting_reaches_strictly_less_than_a_quarter_step(filled: str, side: GridSideType) -> None:
    grid = grid_at("1000", count=10)
    grid.update_grid(Decimal(filled), Decimal(1004))
    assert grid.sides[5] is side


def test_a_level_at_the_market_keeps_its_side() -> None:
    grid = grid_at("1000", count=10)
    grid.update_grid(Decimal(1), Decimal(1010))
    assert grid.sides[6] is SELL
    grid.update_grid(Decimal(1), Decimal(1011))
    grid.update_grid(Decimal(1), Decimal(1010))
    assert grid.sides[6] is BUY


@pytest.mark.parametrize("close", ["1020.1", "1500", "980.1", "500"])
def test_on_or_outside_the_bounds_the_grid_is_rebuilt_around_the_market(close: str) -> None:
    grid = grid_at("1000")
    grid.update_grid(Decimal(1), Decimal(close))
    assert grid.anchor_price == Decimal(close)


@pytest.mark.parametrize("close", ["1020.0", "980.2"])
def test_strictly_inside_the_bounds_it_is_kept(close: str) -> None:
    grid = grid_at("1000")
    grid.update_grid(Decimal(1), Decimal(close))
    assert grid.anchor_price == 1000


def test_a_market_between_two_ticks_counts_exactly() -> None:
    grid = grid_at("1000")
    grid.update_grid(Decimal(1), Decimal("1020.05"))  # above 1020.0, below the bound 1020.1
    assert grid.anchor_price == 1000
    other = grid_at("1000", count=10)
    other.update_grid(Decimal(1), Decimal("1010.03"))  # above the level at 1010.0
    assert other.sides[6:8] == [BUY, SELL]


def test_a_rebuild_that_no_grid_fits_is_refused() -> None:
    grid = grid_at("1000", count=10, tick="1")
    with pytest.raises(GridError, match="too small for tick size"):
        grid.update_grid(Decimal(1000), Decimal(30))
    assert grid.anchor_price == 1000


# re-centre


def test_the_grid_moves_up_by_one_level_when_buys_outnumber_sells() -> None:
    grid = grid_at("1000", count=10)
    before = list(grid.ticks)
    grid.update_grid(Decimal(1), Decimal(1021))  # 8 buys, 3 sells: 5 / 11 > 0.3
    assert grid.ticks[:-1] == before[1:]
    assert grid.ticks[-1] == round(before[-1] * Decimal("1.01"))
    assert grid.sides[-1] is SELL


def test_the_grid_moves_down_by_one_level_when_sells_outnumber_buys() -> None:
    grid = grid_at("1000", count=10)
    before = list(grid.ticks)
    grid.update_grid(Decimal(1), Decimal(979))
    assert grid.ticks[1:] == before[:-1]
    assert grid.ticks[0] == round(before[0] * Decimal("0.99"))
    assert grid.sides[0] is BUY


def test_the_threshold_itself_moves_nothing() -> None:
    # 13 buys and 7 sells: 6 / 20 is exactly 0.3
    words = [f"B{990 + i}" for i in range(13)] + [f"S{1003 + i}" for i in range(7)]
    grid = restored(*words, count=20)
    grid.update_grid(Decimal(1), Decimal(1002))
    assert grid.ticks[0] == 990
    more = restored(*[f"B{989 + i}" for i in range(14)], *words[13:], count=20)
    more.update_grid(Decimal(1), Decimal(1002))
    assert more.ticks[0] == 990
    assert len(more) == 21


def test_a_grid_that_lost_its_buys_moves_down() -> None:
    grid = grid_at("1000", tick="1")
    grid.update_grid(Decimal(980), Decimal(985))
    assert brief(grid) == "B970 W980 S990 S1000 S1010"


def test_a_grid_that_lost_its_sells_moves_up() -> None:
    grid = grid_at("1000", tick="1")
    grid.update_grid(Decimal(1020), Decimal(1015))
    assert brief(grid) == "B990 B1000 B1010 W1020 S1030"


@pytest.mark.parametrize("end", [0, -1])
def test_a_grid_without_one_side_moves_on_until_it_has_both(end: int) -> None:
    grid = grid_at("1000", count=10, tick="1")
    filled, next_to_it = grid.ticks[end], grid.ticks[1 if end == 0 else -2]
    close = Decimal(filled + next_to_it) / 2
    for _ in range(20):
        grid.update_grid(Decimal(filled), close)
    assert min(grid.sides.count(BUY), grid.sides.count(SELL)) == 4
    assert grid.is_grid_correct()
    version = grid.version
    grid.update_grid(Decimal(filled), close)
    assert grid.version == version


def test_only_buys_move_up_until_there_are_sells() -> None:
    grid = restored("W1000", "B1010", "B1020", "W1030")
    grid.update_grid(Decimal(1030), Decimal(1025))
    assert brief(grid) == "B1010 B1020 W1030 S1040"


def test_without_room_for_a_level_nothing_moves_below() -> None:
    grid = restored("W3", "S5", "S6", "S7", step="10")  # 3 x 0.9 is 2.7, which rounds to 3
    grid.update_grid(Decimal(3), Decimal(4))
    assert brief(grid) == "W3 S5 S6 S7"


def test_a_waiting_end_is_where_the_new_level_starts_from() -> None:
    grid = grid_at("1000", count=10)
    top = grid.ticks[-1]
    market = Decimal("0.1") * (grid.ticks[-2] - 1)
    grid.update_grid(Decimal("0.1") * top, market)
    assert grid.ticks[-2:] == [top, round(top * Decimal("1.01"))]
    assert grid.sides[-3:] == [SELL, WAIT, SELL]


def test_no_level_is_doubled_when_one_step_is_less_than_a_tick() -> None:
    down = restored("B3", "S5", "S6", "S7", step="10")
    down.update_grid(Decimal(100), Decimal(4))
    assert down.ticks == [3, 5, 6, 7]
    up = restored("B1", "B2", "B3", "S4", step="10")  # 4.4 rounds to 4
    up.update_grid(Decimal(100), Decimal("3.5"))
    assert up.ticks == [1, 2, 3, 4]


# where an update changes nothing


@pytest.mark.parametrize(("end", "inside"), [(0, 1), (-1, -1)])
def test_next_to_a_waiting_end_the_grid_is_settled_up_to_its_bound(end: int, inside: int) -> None:
    grid = Grid(Decimal("0.1"), 10, 1, 1)  # a threshold of 1 is never exceeded
    grid.build_grid(Decimal(1000))
    filled, close = grid.bounds[end], grid.ticks[end] + inside
    grid.update_grid(filled, grid.tick_size * close)
    assert WAIT in (grid.sides[0], grid.sides[-1])
    low, high = grid.settled_range(filled, close)
    assert (low if end == 0 else high) == close  # one tick further it would be rebuilt
    assert high - low > 50


def test_without_a_fill_nothing_bounds_the_settled_range() -> None:
    low, high = grid_at("1000").settled_range(None, 10_000)
    assert low < 0
    assert high > 10**15


# what it tells


def test_correctness() -> None:
    assert grid_at("1000").is_grid_correct()
    assert restored("B1", "B2", "S3").is_grid_correct()
    assert restored("B1", "W2", "W3", "S4").is_grid_correct()
    assert not restored("W1", "S2", "S3").is_grid_correct()  # no Buy
    assert not restored("B1", "B2", "W3").is_grid_correct()  # no Sell
    assert not restored("B1", "W2", "B3", "S4").is_grid_correct()
    assert not Grid(Decimal(1)).is_grid_correct()


def test_sortedness() -> None:
    grid = grid_at("1000")
    assert grid.is_price_sorted()
    grid.ticks[0] = grid.ticks[1]
    assert not grid.is_price_sorted()
    assert not grid.is_grid_correct()


def test_levels_are_given_as_a_copy() -> None:
    grid = grid_at("1000")
    grid.grid[0]["price"] = Decimal(1)
    assert grid.grid[0]["price"] == Decimal("980.1")


def test_the_version_grows_with_changes_only() -> None:
    grid = grid_at("1000", count=10)
    version = grid.version
    grid.update_grid(Decimal(1000), Decimal(1004))
    assert grid.version == version
    grid.update_grid(Decimal(1000), Decimal(1011))
    assert grid.version > version


# snapshot and restore


def test_a_snapshot_restores_exactly() -> None:
    grid = grid_at("1000")
    grid.update_grid(Decimal(1010), Decimal(1004))
    other = Grid(Decimal("0.1"), 4, 1)
    other.restore(grid.snapshot(), grid.anchor_price)
    assert (other.grid, other.anchor_price) == (grid.grid, grid.anchor_price)
    assert other.snapshot() == grid.snapshot()


def test_levels_restore_from_the_grid_itself() -> None:
    grid = grid_at("1000")
    other = Grid(Decimal("0.1"), 4, 1)
    other.restore(grid.grid)
    assert other.grid == grid.grid
    assert other.anchor_price == 1000  # the middle level when none is given


LEVELS = [
    {"price": "990", "side": "Buy"},
    {"price": "1000", "side": "Wait"},
    {"price": "1010", "side": "Sell"},
]


@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, {"price": "1000"}, "ascend strictly"),
        (0, {"price": "1005"}, "ascend strictly"),
        (0, {"price": "990.05"}, r"level 0: 990\.05 is off the 0\.1 tick"),
        (0, {"price": "0"}, "above zero"),
        (0, {"price": "-5"}, "above zero"),
        (0, {"price": "NaN"}, "above zero"),
        (0, {"price": "cheap"}, "not a price"),
        (0, {"price": 990.0}, "Decimal or text"),
        (0, {"price": None}, "Decimal or text"),
        (1, {"side": "wait"}, "level 1: 'wait' is not Buy, Sell or Wait"),
        (1, {"side": None}, "not Buy, Sell or Wait"),
        (0, {"side": "Sell"}, "no order that a grid can have"),
        (2, {"side": "Buy"}, "no order that a grid can have"),
    ],
)
def test_an_incorrect_grid_is_refused_and_the_present_one_kept(
    index: int, change: dict[str, Any], message: str
) -> None:
    grid = grid_at("2000")
    before = grid.snapshot()
    levels: list[dict[str, Any]] = [dict(level) for level in LEVELS]
    levels[index] |= change
    with pytest.raises(GridError, match=message):
        grid.restore(levels)
    assert grid.snapshot() == before


def test_sells_below_buys_are_refused() -> None:
    with pytest.raises(GridError, match="found Buy Sell Buy Sell"):
        restored("B1", "S2", "B3", "S4")


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_levels_are_refused(count: int) -> None:
    with pytest.raises(GridError, match="at least 2"):
        Grid(Decimal("0.1")).restore(LEVELS[:count])


def test_only_waiting_levels_are_refused() -> None:
    with pytest.raises(GridError, match="no order that a grid can have"):
        restored("W1", "W2", "W3")
