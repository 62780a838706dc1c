"""The engine, rule by rule: what one ticker, fill or order update leads to."""

from decimal import Decimal

import pytest

from gridcore import (
    CancelIntent,
    ConfigError,
    GridConfig,
    GridEngine,
    GridError,
    PlaceLimitIntent,
    client_order_id_for,
)
from gridcore.sides import BUY, LONG, SELL, SHORT
from testkit.builders import execution, ticker
from testkit.engine_scene import TICK, brief, engine, full, order, orders, started


def test_the_first_ticker_builds_around_the_market_and_places_long_then_short() -> None:
    made = engine()
    assert brief(made.on_event(ticker("1000"))) == [
        "long Buy 990.0", "long Sell 1010.0", "long Buy 980.1", "long Sell 1020.1",
        "short Buy 990.0", "short Sell 1010.0", "short Buy 980.1", "short Sell 1020.1",
    ]  # fmt: skip
    assert made.last_close == 1000
    assert made.last_filled_price is None
    assert made.get_anchor_price() == 1000


def test_intents_carry_identity_level_leg_and_no_quantity() -> None:
    intents = engine().on_event(ticker("1000"))
    for intent in intents:
        assert isinstance(intent, PlaceLimitIntent)
        assert intent.qty == 0
        assert intent.symbol == "BTCUSDT"
        assert not intent.post_only
        assert intent.reduce_only == (
            (intent.direction, intent.side) in {(LONG, SELL), (SHORT, BUY)}
        )
        assert intent.client_order_id == client_order_id_for(
            "BTCUSDT", intent.side, intent.price, intent.direction, "s"
        )
        created = PlaceLimitIntent.create(
            "BTCUSDT", intent.side, intent.price, Decimal(0), intent.grid_level,
            intent.direction, intent.reduce_only, "s",
        )  # fmt: skip
        assert intent == created
    levels = [i.grid_level for i in intents if isinstance(i, PlaceLimitIntent)]
    assert levels == [1, 3, 0, 4] * 2


def test_strategies_do_not_share_identities() -> None:
    ids = [
        {
            i.client_order_id
            for i in GridEngine("BTCUSDT", TICK, GridConfig(4, 1), name).on_event(ticker("1000"))
        }
        for name in ("a", "b", None)
    ]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]


def test_an_anchor_is_the_centre_while_the_market_is_inside() -> None:
    made = started(price="1005", anchor_price=Decimal(1000))
    assert made.get_anchor_price() == 1000
    assert made.grid.bounds == (Decimal("980.1"), Decimal("1020.1"))


@pytest.mark.parametrize("price", ["1020.1", "1500", "980.1", "900"])
def test_an_anchor_that_the_market_has_left_is_dropped(price: str) -> None:
    assert started(price=price, anchor_price=Decimal(1000)).get_anchor_price() == Decimal(price)


def test_where_no_grid_fits_the_market_nothing_is_placed_from_the_anchor() -> None:
    made = GridEngine("BTCUSDT", Decimal(1), GridConfig(10, 1), "s", anchor_price=Decimal(1000))
    for _ in range(2):  # a grid of 1 % needs a price of at least 100 at this tick size
        with pytest.raises(GridError, match="too small for tick size"):
            made.on_event(ticker("20"))


def test_an_anchor_that_no_grid_fits_is_dropped() -> None:
    assert started(price="1000", anchor_price=Decimal(1)).get_anchor_price() == 1000


def test_stored_levels_are_taken_exactly() -> None:
    first = started()
    first.on_event(execution(price="1010"))
    again = engine(levels=first.grid.snapshot(), anchor_price=first.get_anchor_price())
    assert again.grid.grid == first.grid.grid
    assert again.get_anchor_price() == 1000
    again.on_event(ticker("1001"))
    assert again.grid.grid == first.grid.grid


def test_wrong_levels_are_refused() -> None:
    with pytest.raises(GridError):
        engine(levels=[{"price": "2", "side": "Buy"}, {"price": "1", "side": "Sell"}])


def test_an_engine_has_a_symbol() -> None:
    with pytest.raises(ConfigError, match="symbol"):
        GridEngine("", TICK, GridConfig(), "s")


def test_a_market_that_no_grid_fits_is_refused() -> None:
    with pytest.raises(GridError, match="too small for tick size"):
        engine().on_event(ticker("1"))


def test_waiting_levels_are_not_placed() -> None:
    made = started()
    made.on_event(execution(price="990"))
    prices = {i.price for i in made.on_event(ticker("1000"))}
    assert Decimal("990.0") not in prices


@pytest.mark.parametrize(
    ("market", "side", "placed"),
    [
        # half a step below 1000 is 995.0: there it is too near, one tick on it is not
        ("1000.0", "B995.0", False),
        ("1000.0", "B994.9", True),
        ("1000.0", "S1005.0", False),
        ("1000.0", "S1005.1", True),
        ("1000.0", "B1000.0", False),
        ("1000.0", "B1010.0", False),  # a Buy above the market
        ("1000.0", "S990.0", False),  # a Sell below it
        ("1000.05", "B995.0", True),  # (1000.05 - 995) / 1000.05 = 0.50497 %
        ("1000.05", "S1005.1", True),
    ],
)
def test_only_levels_more_than_half_a_step_from_the_market(
    market: str, side: str, placed: bool
) -> None:
    price = side[1:]
    levels = [
        {"price": "900", "side": "Buy"},
        {"price": price, "side": "Buy" if side[0] == "B" else "Sell"},
        {"price": "1100", "side": "Sell"},
    ]
    made = engine(levels=levels)
    assert (Decimal(price) in {i.price for i in made.on_event(ticker(market))}) is placed


def test_levels_are_visited_from_the_middle_of_the_waiting_ones_the_lower_first() -> None:
    made = engine(
        levels=[
            {"price": str(900 + 20 * i), "side": side}
            for i, side in enumerate(["Buy", "Wait", "Wait", "Sell", "Sell", "Sell"])
        ]
    )
    # waiting are the indices 1 and 2, so the centre is 1; then come 0 and 2, then 3, 4, 5
    prices = [i.price for i in made.on_event(ticker("910"))][:4]
    assert prices == [900, 960, 980, 1000]


def test_without_a_waiting_level_the_middle_of_the_list_is_the_centre() -> None:
    made = engine(
        levels=[{"price": str(900 + 20 * i), "side": "Buy" if i < 3 else "Sell"} for i in range(5)]
    )
    prices = [i.price for i in made.on_event(ticker("950"))][:5]
    assert prices == [940, 920, 960, 900, 980]


def test_a_level_with_its_order_needs_nothing() -> None:
    made = started()
    assert made.on_event(ticker("1000"), orders(*full(made))) == []


def test_a_missing_order_is_placed() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id != "long1"]
    assert brief(made.on_event(ticker("1000"), orders(*resting))) == ["long Buy 990.0"]


def test_an_order_of_the_other_side_is_cancelled_and_the_level_placed() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id != "long1"]
    wrong = order("w", LONG, SELL, "990")
    intents = made.on_event(ticker("1000"), orders(*resting, wrong))
    assert brief(intents) == ["cancel w side_mismatch", "long Buy 990.0"]
    cancel = intents[0]
    assert isinstance(cancel, CancelIntent)
    assert (cancel.symbol, cancel.side, cancel.price) == ("BTCUSDT", SELL, 990)


def test_too_near_the_market_it_is_only_cancelled() -> None:
    made = started()
    resting = [o for o in full(made) if o.order_id not in ("long1", "short1")]
    wrong = order("w", LONG, SELL, "990")
    intents = made.on_event(ticker("994"), orders(*resting, wrong))
    assert brief(intents) == ["cancel w side_mismatch"]


def test_an_order_on_a_waiting_level_stays() -> None:
    made = started()
    resting = [*full(made), order("w", LONG, BUY, "1000")]
    assert made.on_event(ticker("1000"), orders(*resting)) == []


def test_orders_on_no_level_are_cancelled_last_in_each_leg() -> None:
    made = started()
    resting = [
        order("out1", LONG, BUY, "985"),
        order("out2", SHORT, SELL, "2000"),
        *(o for o in full(made) if o.order_id not in ("long0", "short4")),
    ]
    assert brief(made.on_event(ticker("1000"), orders(*resting))) == [
        "long Buy 980.1", "cancel out1 outside_grid",
        "short Sell 1020.1", "cancel out2 outside_grid",
    ]  # fmt: skip


def test_a_leg_does_not_mind_the_other_legs_orders() -> None:
    made = started()
    intents = made.on_event(ticker("1000"), orders(*full(made, LONG)))
    assert {i.direction for i in intents if isinstance(i, PlaceLimitIntent)} == {SHORT}
    assert len(intents) == 4
