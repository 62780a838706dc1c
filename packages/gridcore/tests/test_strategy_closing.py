"""GridStrategy: what closes a leg, and what becomes of orders that are found."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gridcore import (
    AmountSpec,
    CancelAll,
    CancelIntent,
    CancelOutcome,
    CancelResultEvent,
    DirectionType,
    GridStrategy,
    Hold,
    LimitOrder,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    Refusal,
    Release,
    SideType,
)
from testkit.builders import (
    account,
    at,
    btcusdt,
    execution,
    full_account,
    leg,
    order_update,
    strategy_config,
    ticker,
    wallet,
)
from testkit.strategy_scene import SMALL, known, listed, place_result, placed


def cancel_result(order_id: str, outcome: CancelOutcome, ms: float = 1) -> CancelResultEvent:
    return CancelResultEvent(
        symbol="BTCUSDT", exchange_ts=at(ms), local_ts=at(ms), order_id=order_id, outcome=outcome
    )


def test_closing_orders_stay_strictly_below_the_leg() -> None:
    strategy = known()
    strategy.on_event(account(1, long=leg("0.004", "60000")))
    intents = strategy.on_event(ticker("60000", 2))
    closing = [i for i in intents if i.reduce_only]
    assert [i.qty for i in closing] == [Decimal("0.002")]
    assert strategy.admission.refused[Refusal.NOT_COVERED] == 3


def test_cover_of_a_filled_close_stays_used_until_its_execution_is_seen() -> None:
    strategy = known()
    strategy.on_event(account(1, long=leg("0.005", "60000")))
    intents = placed(strategy, ms=2)
    number = next(n for n, i in enumerate(intents) if i.reduce_only)
    closing = intents[number]
    link = f"{closing.client_order_id}-1"
    filled = order_update(
        "Filled",
        order_id=f"o{number}",
        link=link,
        side=SideType.SELL,
        price=closing.price,
        qty="0.002",
        leaves="0",
        reduce_only=True,
        ms=5,
    )
    strategy.on_event(filled)
    held = strategy.account.legs[DirectionType.LONG]
    assert (held.size, held.unsettled_closing_qty) == (Decimal("0.005"), Decimal("0.002"))
    strategy.on_event(
        execution(
            order_id=f"o{number}",
            link=link,
            side=SideType.SELL,
            price=closing.price,
            qty="0.002",
            closed="0.002",
            ms=5,
        )
    )
    assert (held.size, held.unsettled_closing_qty) == (Decimal("0.003"), Decimal(0))


def mismatched() -> tuple[GridStrategy, list[PlaceLimitIntent]]:
    """Return a strategy with an order resting far outside its present grid."""
    strategy = known()
    intents = placed(strategy)
    strategy.on_event(execution(order_id="o0", price=intents[0].price, qty="0.002", ms=5))
    return strategy, intents


def test_orders_outside_a_rebuilt_grid_are_cancelled_once() -> None:
    strategy, _ = mismatched()
    intents = strategy.on_event(ticker("70000", 10))
    cancels = [i for i in intents if isinstance(i, CancelIntent)]
    assert {i.order_id for i in cancels} == {"o1", "o2", "o3"}
    assert {i.reason for i in cancels} == {"outside_grid"}
    again = strategy.on_event(ticker("70000", 11))
    assert not any(isinstance(i, CancelIntent) for i in again)


def test_an_accepted_cancel_still_occupies_until_the_update() -> None:
    strategy, _ = mismatched()
    strategy.on_event(ticker("70000", 10))
    strategy.on_event(cancel_result("o1", CancelOutcome.ACCEPTED, 11))
    assert strategy.book.get("o1") is not None
    strategy.on_event(order_update("Cancelled", order_id="o1", leaves="0", qty="0.002", ms=12))
    assert strategy.book.get("o1") is None


def test_a_cancel_of_a_gone_order_ends_it() -> None:
    strategy, intents = mismatched()
    seen = order_update(
        "New", order_id="o1", price=intents[0].price, side=intents[0].side, qty=intents[0].qty, ms=5
    )
    strategy.on_event(seen)
    strategy.on_event(ticker("70000", 10))
    strategy.on_event(cancel_result("o1", CancelOutcome.GONE, 11))
    assert strategy.book.get("o1") is None


def test_an_order_that_is_not_on_the_book_yet_is_not_gone() -> None:
    """Accepted is not yet on the book; until then the exchange does not know what to cancel."""
    strategy, _ = mismatched()
    strategy.on_event(ticker("70000", 10))
    strategy.on_event(cancel_result("o1", CancelOutcome.GONE, 11))
    assert strategy.book.get("o1") is not None
    again = strategy.on_event(ticker("70000", 12))
    assert [i.order_id for i in again if isinstance(i, CancelIntent)] == ["o1"]
    strategy.on_event(cancel_result("o1", CancelOutcome.GONE, 6_000))
    assert strategy.book.get("o1") is None


def test_a_failed_cancel_is_decided_again_then_rests() -> None:
    strategy, _ = mismatched()
    strategy.on_event(ticker("70000", 10))
    for ms, expected in ((20, 1), (30, 0)):
        strategy.on_event(cancel_result("o1", CancelOutcome.FAILED, ms))
        intents = strategy.on_event(ticker("70000", ms + 1))
        assert sum(isinstance(i, CancelIntent) for i in intents) == expected
    intents = strategy.on_event(ticker("70000", 2000))
    assert [i.order_id for i in intents if isinstance(i, CancelIntent)] == ["o1"]


def test_cancel_all_leaves_out_what_is_in_flight() -> None:
    strategy = known()
    placed(strategy)
    strategy.on_event(ticker("60000", 1))
    first = strategy.handle(CancelAll()).intents
    assert len(first) == 4
    assert strategy.handle(CancelAll()).intents == ()


def test_own_orders_are_adopted_and_others_reported() -> None:
    intents = known().on_event(ticker("60000"))
    strategy = known()
    strategy.on_event(ticker("60000"))
    fresh = GridStrategy(strategy_config(grid=SMALL))
    fresh.on_event(full_account())
    report = fresh.adopt_orders(
        [listed("a", intents[0]), listed("b", intents[1], link="by-hand"), listed("c", intents[2])],
        at(0),
    )
    assert report.adopted == ("a", "c")
    assert report.foreign == ("b",)
    placements = fresh.on_event(ticker("60000", 1))
    assert [i.price for i in placements] == [intents[1].price, intents[3].price]


def test_foreign_orders_are_cancelled_only_on_request() -> None:
    intents = known().on_event(ticker("60000"))
    for wanted in (False, True):
        strategy = GridStrategy(strategy_config(grid=SMALL, cancel_foreign_orders=wanted))
        strategy.on_event(full_account())
        strategy.adopt_orders([listed("b", intents[1], link="by-hand")], at(0))
        cancels = [i for i in strategy.on_event(ticker("60000", 1)) if isinstance(i, CancelIntent)]
        assert [i.order_id for i in cancels] == (["b"] if wanted else [])
        assert not any(isinstance(i, CancelIntent) for i in strategy.on_event(ticker("60000", 2)))
        strategy.on_event(cancel_result("b", CancelOutcome.GONE, 3))
        assert set(strategy.foreign_orders) == (set() if wanted else {"b"})


def test_an_order_of_another_strategy_is_foreign() -> None:
    intents = known(strat_id="other").on_event(ticker("60000"))
    strategy = GridStrategy(strategy_config(grid=SMALL))
    assert strategy.adopt_orders([listed("a", intents[0])], at(0)).foreign == ("a",)


def test_a_missing_order_is_closed_but_one_in_flight_or_just_placed_is_not() -> None:
    strategy = known()
    intents = strategy.on_event(ticker("60000"))
    strategy.on_event(place_result(intents[0], "old", ms=0))
    strategy.on_event(place_result(intents[1], "young", ms=9000))
    report = strategy.adopt_orders([], at(10_000))
    assert report.closed == ("old",)
    assert len(strategy.book) == 3
    assert strategy.book.get("young") is not None


def test_an_order_of_ours_that_appears_by_itself_is_adopted() -> None:
    strategy = known()
    intents = strategy.on_event(ticker("60000"))
    strategy.on_event(place_result(intents[0], outcome=PlaceOutcome.FAILED))
    link = f"{intents[0].client_order_id}-1"
    news = order_update("New", order_id="ghost", link=link, price=intents[0].price, qty="0.002")
    strategy.on_event(news)
    assert strategy.book.get("ghost") is not None
    assert strategy.on_event(ticker("60000", 2)) == []


def test_a_list_newer_than_the_end_revives_an_order() -> None:
    strategy = known()
    intents = placed(strategy)
    strategy.adopt_orders([], at(10_000))
    assert len(strategy.book) == 0
    orders = [listed("o0", intents[0])]
    assert strategy.adopt_orders(orders, at(12_000)).adopted == ()
    assert strategy.adopt_orders(orders, at(16_000)).adopted == ("o0",)


def test_an_accepted_cancel_that_did_nothing_is_sent_again() -> None:
    strategy = known()
    intents = placed(strategy)
    assert len(strategy.handle(CancelAll()).intents) == 4
    strategy.on_event(cancel_result("o0", CancelOutcome.ACCEPTED, 10))
    orders = [listed(f"o{n}", intent) for n, intent in enumerate(intents)]
    strategy.adopt_orders(orders, at(20_000))
    again = strategy.handle(CancelAll()).intents
    assert [i.order_id for i in again] == ["o0"]


def test_hold_stops_placing_and_release_resumes() -> None:
    strategy = known()
    strategy.handle(Hold("pause"))
    assert strategy.on_event(ticker("60000")) == []
    assert "pause" in strategy.trips
    strategy.handle(Release("pause"))
    assert len(strategy.on_event(ticker("60000", 1))) == 4


def test_wallet_share_needs_a_wallet() -> None:
    strategy = GridStrategy(strategy_config(grid=SMALL, amount=AmountSpec.parse("x0.01")))
    strategy.on_event(full_account(money=wallet("0", "10000")))
    strategy.adopt_orders([], at(0))
    assert strategy.on_event(ticker("60000")) == []
    strategy.on_event(account(1, money=wallet("10000")))
    quantities = {i.qty for i in strategy.on_event(ticker("60000", 2))}
    assert quantities == {Decimal("0.002")}
    strategy.on_event(account(3, money=wallet("100000")))
    strategy.on_event(place_result_of_first(strategy))
    assert {i.qty for i in strategy.on_event(ticker("60000", 5))} == {Decimal("0.017")}


def place_result_of_first(strategy: GridStrategy) -> PlaceResultEvent:
    """Return the news that the first pending placement failed."""
    order = next(iter(strategy.book))
    return PlaceResultEvent(
        symbol="BTCUSDT",
        exchange_ts=at(4),
        local_ts=at(4),
        client_order_id=order.client_order_id,
        outcome=PlaceOutcome.FAILED,
    )


def test_a_stale_wallet_opens_nothing() -> None:
    strategy = known(wallet_max_age=timedelta(minutes=5))
    assert strategy.on_event(ticker("60000", 300_001)) == []
    assert strategy.admission.refused[Refusal.FREE_MARGIN] == 4
    strategy.on_event(account(300_002, money=wallet()))
    assert len(strategy.on_event(ticker("60000", 300_003))) == 4


def test_the_long_leg_wants_what_the_short_leg_s_look_takes_off_the_grid() -> None:
    """With all its orders the long leg leaves the grid as it is; the short leg's look updates it.

    What the long leg lacked then is a waiting level, so no level lacks a closing order any more.
    """
    first = known()
    placed(first)
    strategy = GridStrategy(first.config)
    strategy.restore(first.snapshot() | {"last_close": None})
    strategy.on_event(full_account(long=leg("1", "60000")))

    def resting(order_id: str, leg: str, side: SideType, price: str) -> LimitOrder:
        direction, ticks = DirectionType(leg), btcusdt().to_ticks(Decimal(price))
        return LimitOrder(
            order_id=order_id,
            order_link_id=strategy.engine.names.client_order_id(direction, side, ticks) + "-1",
            direction=direction,
            side=side,
            price_ticks=ticks,
            qty=Decimal("0.001"),
            leaves_qty=Decimal("0.001"),
            age_rank=1,
        )

    filled = resting("filled", "long", SideType.SELL, "60120")
    strategy.adopt_orders(
        [
            filled,
            resting("b1", "long", SideType.BUY, "59760.2"),
            resting("b2", "long", SideType.BUY, "59880"),
            resting("s1", "long", SideType.SELL, "60240.2"),
            resting("s2", "long", SideType.SELL, "60360.7"),
            resting("s3", "short", SideType.SELL, "60240.2"),
        ],
        at(0),
    )
    strategy.on_event(
        execution(
            order_id="filled", link=filled.order_link_id, side=SideType.SELL, price="60120",
            qty="0.001", closed="0.001", ms=1,
        )
    )  # fmt: skip
    intents = strategy.on_event(ticker("60000", 2))
    wanted = [one for one in intents if isinstance(one, PlaceLimitIntent)]
    assert Decimal("60120") in [one.price for one in wanted if one.direction == "long"]
    assert Decimal("60120") not in [one.price for one in wanted if one.direction == "short"]


def cut_order() -> tuple[GridStrategy, PlaceLimitIntent, str]:
    """Return a strategy with a closing order of 0.002 on its long leg, and the order's id."""
    strategy = known()
    strategy.on_event(account(1, long=leg("0.004", "60000")))
    intents = strategy.on_event(ticker("60000", 2))
    for number, intent in enumerate(intents):
        assert isinstance(intent, PlaceLimitIntent)
        strategy.on_event(place_result(intent, f"o{number}", ms=3))
    (number,) = [n for n, one in enumerate(intents) if one.reduce_only]  # type: ignore[union-attr]
    closing = intents[number]
    assert isinstance(closing, PlaceLimitIntent)
    return strategy, closing, f"o{number}"


def told(closing: PlaceLimitIntent, order_id: str, status: str, leaves: str, ms: float) -> object:
    return order_update(
        status, order_id=order_id, link=f"{closing.client_order_id}-1", side=closing.side,
        price=closing.price, qty="0.001", leaves=leaves, reduce_only=True, ms=ms,
    )  # fmt: skip


def test_what_the_exchange_cuts_off_a_closing_order_is_no_fill_that_is_waited_for() -> None:
    strategy, closing, order_id = cut_order()
    strategy.on_event(told(closing, order_id, "New", "0.001", 5))  # type: ignore[arg-type]
    order = strategy.book.get(order_id)
    assert order is not None
    assert (order.qty, order.leaves_qty, order.is_partially_filled) == (
        Decimal("0.001"), Decimal("0.001"), False,
    )  # fmt: skip
    assert strategy.book.closing_qty[DirectionType.LONG] == Decimal("0.001")
    fill = execution(
        order_id=order_id, link=f"{closing.client_order_id}-1", side=closing.side,
        price=closing.price, qty="0.001", closed="0.001", ms=6,
    )  # fmt: skip
    strategy.on_event(fill)
    assert strategy.account.legs[DirectionType.LONG].unsettled_closing_qty == 0
    assert strategy.book.closing_qty[DirectionType.LONG] == 0


@pytest.mark.parametrize(("status", "leaves"), [("Filled", "0"), ("Cancelled", "0.001")])
def test_a_cut_that_is_told_with_the_end_counts_as_one_too(status: str, leaves: str) -> None:
    """What filled of it is the smaller quantity, all of it or nothing."""
    strategy, closing, order_id = cut_order()
    strategy.on_event(told(closing, order_id, status, leaves, 5))  # type: ignore[arg-type]
    awaited = strategy.account.legs[DirectionType.LONG].unsettled_closing_qty
    assert awaited == (Decimal("0.001") if status == "Filled" else 0)


def test_a_cut_that_the_list_shows_is_no_fill_either() -> None:
    strategy, closing, order_id = cut_order()
    listed = LimitOrder(
        order_id=order_id, order_link_id=f"{closing.client_order_id}-1", side=closing.side,
        direction=closing.direction, price_ticks=int(closing.price / Decimal("0.1")),
        qty=Decimal("0.001"), leaves_qty=Decimal("0.001"), age_rank=1,
    )  # fmt: skip
    strategy.adopt_orders([listed], at(10_000))
    order = strategy.book.get(order_id)
    assert order is not None
    assert (order.qty, order.leaves_qty) == (Decimal("0.001"), Decimal("0.001"))
    assert strategy.account.legs[DirectionType.LONG].unsettled_closing_qty == 0
