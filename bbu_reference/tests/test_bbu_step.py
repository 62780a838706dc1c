"""One poll: filter, too many orders, update, placement order, side mismatch, outside the grid."""

import pytest

from bbu_reference.grid import Grid, Level, LevelSide
from bbu_reference.orders import (
    AccountSeen,
    Direction,
    LimitOrder,
    Multipliers,
    Side,
    Sizing,
    neutral_multipliers,
)
from bbu_reference.step import (
    Action,
    Cancel,
    CancelAll,
    Place,
    Snapshot,
    check_pair,
    far_enough,
    placement_order,
)
from bbu_reference.switches import LegacySwitches

SIZING = Sizing(amount="1", qty_step=0.1, min_qty=0.1)


def limit(
    order_id: str, side: Side, price: float, *, reduce_only: bool = False, qty: float = 1
) -> LimitOrder:
    return LimitOrder(order_id=order_id, side=side, price=price, qty=qty, reduce_only=reduce_only)


def grid_of(*pairs: tuple[LevelSide, float]) -> Grid:
    levels = [Level(side, price) for side, price in pairs]
    return Grid(tick_size=0.1, count=4, step_pct=1, levels=levels)


def fresh_grid() -> Grid:
    """Return levels 980.1 Buy, 990 Buy, 1000 wait, 1010 Sell, 1020.1 Sell."""
    grid = Grid(tick_size=0.1, count=4, step_pct=1)
    grid.build(1000.0)
    return grid


def poll(
    grid: Grid,
    limits: list[LimitOrder] | None = None,
    *,
    last: float = 1000.0,
    filled: float | None = 1000.0,
    long: float = 0.0,
    short: float = 0.0,
    multipliers: Multipliers | None = None,
    sizing: Sizing = SIZING,
    same_order_error: bool = False,
    switches: LegacySwitches | None = None,
) -> list[Action]:
    seen = Snapshot(
        limits=limits or [],
        last_filled_price=filled,
        last_price=last,
        position_sizes={"long": long, "short": short},
        account=AccountSeen(wallet_usdt=10_000),
    )
    return check_pair(
        grid,
        seen,
        sizing=sizing,
        multipliers=multipliers or neutral_multipliers(),
        same_order_error=same_order_error,
        switches=switches,
    )


def brief(actions: list[Action]) -> list[str]:
    """Return actions as words: 'long Buy 990.0', 'cancel 7', 'cancel all'."""
    words = []
    for action in actions:
        match action:
            case Place(order):
                words.append(f"{order.direction} {order.side} {order.price}")
            case Cancel(order):
                words.append(f"cancel {order.order_id}")
            case CancelAll():
                words.append("cancel all")
    return words


# before the orders


def test_same_order_error_stops_everything() -> None:
    grid = Grid(tick_size=0.1, count=4)
    stray = limit("1", "Buy", 5.0)
    assert poll(grid, [stray], same_order_error=True) == []
    assert grid.levels == []


@pytest.mark.parametrize("pairs", [[], [("wait", 7.0)]])
def test_grid_of_at_most_one_level_is_built_around_the_last_price(
    pairs: list[tuple[LevelSide, float]],
) -> None:
    grid = grid_of(*pairs)
    poll(grid, last=1000.0)
    assert grid.as_pairs() == fresh_grid().as_pairs()


def test_grid_of_two_levels_is_kept() -> None:
    grid = grid_of(("Buy", 990), ("Sell", 1010))
    poll(grid)
    assert [price for _, price in grid.as_pairs()] == [990, 1010]


def test_position_check_runs_after_the_grid_and_before_the_orders() -> None:
    grid = Grid(tick_size=0.1, count=4, step_pct=1)
    multipliers = neutral_multipliers()

    def double_long_buy() -> None:
        assert len(grid.levels) == 5
        multipliers["long", "Buy"] = 2

    seen = Snapshot(
        limits=[],
        last_filled_price=None,
        last_price=1000.0,
        position_sizes={"long": 0, "short": 0},
        account=AccountSeen(wallet_usdt=0),
    )
    actions = check_pair(
        grid, seen, sizing=SIZING, multipliers=multipliers, check_positions=double_long_buy
    )
    quantities = {
        action.order.direction: action.order.qty for action in actions if isinstance(action, Place)
    }
    assert quantities == {"long": 2, "short": 1}


# what a fresh pair does


def test_without_positions_each_leg_opens_on_its_side_long_first() -> None:
    assert brief(poll(fresh_grid())) == [
        "long Buy 990.0",
        "long Buy 980.1",
        "short Sell 1010.0",
        "short Sell 1020.1",
    ]


def test_with_positions_each_leg_closes_too() -> None:
    assert brief(poll(fresh_grid(), long=2.1, short=1.1)) == [
        "long Buy 990.0",
        "long Sell 1010.0",
        "long Buy 980.1",
        "long Sell 1020.1",
        "short Buy 990.0",
        "short Sell 1010.0",
        "short Sell 1020.1",  # the short covers one closing order only
    ]


def test_closing_order_needs_strictly_more_than_its_quantity() -> None:
    assert "long Sell 1010.0" not in brief(poll(fresh_grid(), long=1.0))
    assert "long Sell 1010.0" in brief(poll(fresh_grid(), long=1.1))


def test_resting_closing_orders_use_up_the_position() -> None:
    rest = [limit("1", "Sell", 1010.0, reduce_only=True)]
    assert "long Sell 1020.1" not in brief(poll(fresh_grid(), rest, long=2.0))
    assert "long Sell 1020.1" in brief(poll(fresh_grid(), rest, long=2.1))


def test_placements_of_the_poll_use_up_the_position_unless_switched_off() -> None:
    blind = LegacySwitches(placements_rest_within_poll=False)
    assert "long Sell 1020.1" not in brief(poll(fresh_grid(), long=1.1))
    assert "long Sell 1020.1" in brief(poll(fresh_grid(), long=1.1, switches=blind))


def test_closing_minimum_follows_the_switch() -> None:
    tiny = Sizing(amount="0.001", qty_step=0.001, min_qty=0.001)
    exempt = LegacySwitches(minimum_notional_for_closing_orders=False)
    assert "long Sell 1010.0" not in brief(poll(fresh_grid(), long=0.002, sizing=tiny))
    actions = poll(fresh_grid(), long=0.002, sizing=tiny, switches=exempt)
    assert "long Sell 1010.0" in brief(actions)


def test_quantity_uses_the_multiplier() -> None:
    multipliers = {**neutral_multipliers(), ("long", "Buy"): 0.5}
    first = poll(fresh_grid(), multipliers=multipliers)[0]
    assert isinstance(first, Place)
    assert first.order.qty == 0.5


# the filter (4a)


@pytest.mark.parametrize(
    ("side", "reduce_only", "direction"),
    [
        ("Buy", False, "long"),
        ("Sell", True, "long"),
        ("Sell", False, "short"),
        ("Buy", True, "short"),
    ],
)
def test_each_leg_sees_its_own_orders_only(
    side: Side, reduce_only: bool, direction: Direction
) -> None:
    price = 990.0 if side == "Buy" else 1010.0
    rest = [limit("1", side, price, reduce_only=reduce_only)]
    words = brief(poll(fresh_grid(), rest, long=9, short=9))
    other = "short" if direction == "long" else "long"
    assert f"{direction} {side} {price}" not in words
    assert f"{other} {side} {price}" in words


# too many orders (4b)


def strays(count: int) -> list[LimitOrder]:
    return [limit(str(i), "Buy", 500.0 + i) for i in range(count)]


def test_up_to_ten_more_orders_than_levels_are_handled_one_by_one() -> None:
    words = brief(poll(fresh_grid(), strays(15)))
    assert "cancel all" not in words
    assert sum(word.startswith("cancel ") for word in words) == 15


def test_too_many_orders_cancel_all_and_rebuild_around_the_last_price() -> None:
    grid = fresh_grid()
    short_order = limit("s", "Sell", 1010.0)
    words = brief(poll(grid, [*strays(16), short_order], last=1500.0, filled=1000.0))
    rebuilt = Grid(tick_size=0.1, count=4, step_pct=1)
    rebuilt.build(1500.0)
    assert grid.as_pairs() == rebuilt.as_pairs()
    assert words == [
        "cancel all",  # the short leg's order too, so nothing is cancelled again below
        "long Buy 1485.0",
        "long Buy 1470.2",
        "short Sell 1515.0",
        "short Sell 1530.2",
    ]


def test_orders_gone_with_all_others_are_placed_anew() -> None:
    rest = [*strays(16), limit("1", "Buy", 990.0)]
    assert brief(poll(fresh_grid(), rest))[:2] == ["cancel all", "long Buy 990.0"]


def test_too_many_orders_are_counted_per_leg() -> None:
    both = [*strays(15), *(limit(f"s{i}", "Sell", 2000.0 + i) for i in range(15))]
    assert "cancel all" not in brief(poll(fresh_grid(), both))


def test_too_many_short_orders_cancel_what_long_just_placed() -> None:
    rest = [limit(f"s{i}", "Sell", 2000.0 + i) for i in range(16)]
    assert brief(poll(fresh_grid(), rest)) == [
        "long Buy 990.0",
        "long Buy 980.1",
        "cancel all",
        "short Sell 1010.0",
        "short Sell 1020.1",
    ]


# when the grid is updated (4c)


@pytest.mark.parametrize(("count", "updated"), [(0, False), (1, True), (3, True), (4, False)])
def test_grid_is_updated_with_some_but_not_all_orders(count: int, updated: bool) -> None:
    grid = fresh_grid()
    prices = [980.1, 990.0, 1010.0, 1020.1]
    rest = [limit(str(i), "Buy", prices[i]) for i in range(count)]
    poll(grid, rest, last=1000.0, filled=1010.0)
    assert ("wait", 1010.0) in grid.as_pairs() or not updated
    assert (("Sell", 1010.0) in grid.as_pairs()) == (not updated)


def test_grid_is_updated_once_for_each_leg() -> None:
    grid = grid_of(*(("Buy", 900.0 + i) for i in range(9)), ("Sell", 1010.0))
    poll(grid, [limit("1", "Buy", 908.0), limit("2", "Sell", 1010.0)], filled=500.0)
    assert len([side for side, _ in grid.as_pairs() if side == "Sell"]) == 3


def test_grid_is_not_updated_before_the_first_fill() -> None:
    grid = fresh_grid()
    poll(grid, [limit("1", "Buy", 990.0)], last=1015.0, filled=None)
    assert grid.as_pairs() == fresh_grid().as_pairs()


# placement (4d)


def test_levels_are_visited_from_the_middle_of_the_wait_zone() -> None:
    levels = grid_of(
        ("Buy", 1), ("wait", 2), ("Buy", 3), ("wait", 4), ("Sell", 5), ("Sell", 6)
    ).levels
    # first wait 1, last wait 3, centre 2; of two at one distance the cheaper one first
    assert [level.price for level in placement_order(levels)] == [3, 1, 5, 6]


def test_centre_is_an_integer_division() -> None:
    levels = grid_of(("Buy", 1), ("Buy", 2), ("wait", 3), ("wait", 4), ("Sell", 5)).levels
    # waits 2 and 3, centre 2, so 5 is as far away as 1; from 2.5 it would be nearer
    assert [level.price for level in placement_order(levels)] == [2, 1, 5]


def test_without_wait_levels_the_centre_is_the_middle_of_the_list() -> None:
    levels = grid_of(("Buy", 1), ("Buy", 2), ("Sell", 3), ("Sell", 4)).levels
    assert [level.price for level in placement_order(levels)] == [3, 2, 4, 1]


def test_level_with_its_order_is_left_alone() -> None:
    words = brief(poll(fresh_grid(), [limit("1", "Buy", 990.0, qty=7)]))
    assert words == ["long Buy 980.1", "short Sell 1010.0", "short Sell 1020.1"]


def test_prices_are_compared_to_the_last_bit_unless_switched_off() -> None:
    grid = Grid(tick_size=0.2, count=4, step_pct=1)
    grid.build(717037.2)
    assert grid.levels[2].price == 717037.2000000001
    grid.update(1.0, 720000.0)  # what waited is a Buy now
    order = limit("1", "Buy", 717037.2)
    words = brief(poll(grid, [order], last=722000.0, filled=None))
    assert words[0] == "long Buy 717037.2000000001"  # although it rests
    assert "cancel 1" in words
    to_8_decimals = LegacySwitches(prices_compared_as_floats=False)
    words = brief(poll(grid, [order], last=722000.0, filled=None, switches=to_8_decimals))
    assert "long Buy 717037.2000000001" not in words
    assert "cancel 1" not in words


def test_an_order_is_looked_for_among_the_levels_by_8_decimals_of_its_price() -> None:
    words = brief(poll(fresh_grid(), [limit("1", "Buy", 990.000000001, qty=7)]))
    assert words[0] == "long Buy 990.0"
    assert "cancel 1" not in words


def test_order_on_the_wrong_side_is_replaced() -> None:
    rest = [limit("1", "Sell", 990.0, reduce_only=True)]
    words = brief(poll(fresh_grid(), rest))
    assert words[:2] == ["cancel 1", "long Buy 990.0"]


def test_order_on_the_wrong_side_goes_even_if_nothing_replaces_it() -> None:
    rest = [limit("1", "Buy", 1010.0)]
    words = brief(poll(fresh_grid(), rest, long=0.0))
    assert words == ["long Buy 990.0", "cancel 1", *words[2:]]
    assert "long Sell 1010.0" not in words


def test_identical_order_behind_a_wrong_one_is_not_placed_again() -> None:
    rest = [limit("1", "Sell", 990.0, reduce_only=True), limit("2", "Buy", 990.0)]
    words = brief(poll(fresh_grid(), rest))
    assert words[0] == "cancel 1"
    assert "long Buy 990.0" not in words


def test_order_at_a_wait_level_is_kept() -> None:
    assert "cancel 1" not in brief(poll(fresh_grid(), [limit("1", "Buy", 1000.0)]))


def test_orders_at_no_level_are_cancelled_after_placing() -> None:
    rest = [limit("1", "Buy", 985.0), limit("2", "Sell", 1015.0)]
    assert brief(poll(fresh_grid(), rest)) == [
        "long Buy 990.0",
        "long Buy 980.1",
        "cancel 1",
        "short Sell 1010.0",
        "short Sell 1020.1",
        "cancel 2",
    ]


def test_closing_order_outside_the_grid_uses_up_the_position_until_the_next_poll() -> None:
    rest = [limit("1", "Sell", 1015.0, reduce_only=True)]
    words = brief(poll(fresh_grid(), rest, long=2.0))
    assert "long Sell 1010.0" not in words
    assert "cancel 1" in words


def test_closing_order_cancelled_for_its_side_frees_the_position_at_once() -> None:
    rest = [limit("1", "Sell", 990.0, reduce_only=True)]
    words = brief(poll(fresh_grid(), rest, long=2.0))
    assert words[:3] == ["cancel 1", "long Buy 990.0", "long Sell 1010.0"]


def test_repeated_prices_get_one_order() -> None:
    grid = grid_of(("Buy", 990), ("Buy", 990), ("wait", 1000), ("Sell", 1010))
    assert brief(poll(grid)).count("long Buy 990") == 1


def test_repeated_prices_cancel_one_order_once() -> None:
    grid = grid_of(("Buy", 980), ("Sell", 1010), ("Sell", 1010))
    assert brief(poll(grid, [limit("1", "Buy", 1010.0)], filled=None)).count("cancel 1") == 1


# distance (4e)


@pytest.mark.parametrize(
    ("side", "level", "enough"),
    [
        ("Buy", 990.0, True),
        ("Buy", 995.0, False),  # exactly half a step
        ("Buy", 994.9, True),
        ("Buy", 1000.0, False),
        ("Buy", 1010.0, False),  # a Buy above the market
        ("Sell", 1010.0, True),
        ("Sell", 1005.0, False),
        ("Sell", 1005.1, True),
        ("Sell", 990.0, False),  # a Sell below the market
    ],
)
def test_level_is_on_its_side_and_over_half_a_step_away(
    side: Side, level: float, enough: bool
) -> None:
    assert far_enough(side, level, last_price=1000.0, step_pct=1.0) == enough


def test_levels_near_the_market_wait() -> None:
    words = brief(poll(fresh_grid(), last=993.0))
    assert "long Buy 990.0" not in words
    assert "long Buy 980.1" in words
