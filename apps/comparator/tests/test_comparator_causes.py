"""The records that name a cause, one by one: orders, ticks, holes, edges of the range."""

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from comparator.causes.causes import Cause, Explanations, explain
from comparator.causes.evidence import Evidence, no_evidence
from comparator.causes.market import Hole, Reach, RecordedMarket, silent_holes
from comparator.columns.order_lives import OrderLife, order_lives
from comparator.columns.trades import NormalizedTrade, Source, TradeTable
from comparator.match.edges import MARGIN_US, outside_partners
from comparator.match.matcher import TradeMatcher
from gridcore import DirectionType, SideType
from market_data.basics.time_range import TimeRange

BUY, SELL = SideType.BUY, SideType.SELL
S = 1_000_000
NONE: dict[Source, np.ndarray] = {source: np.empty(0, dtype=np.int64) for source in Source}
HEX = "0123456789abcdef"


def trade(source: Source, ts_us: int, name: str = HEX, **changes: object) -> NormalizedTrade:
    fields: dict[str, object] = {
        "symbol": "X",
        "side": BUY,
        "direction": DirectionType.LONG,
        "price": Decimal("99.5"),
        "qty": Decimal(1),
        "fee": Decimal(0),
        "realized_pnl": Decimal(0),
        "order_id": f"o{ts_us}",
    }
    return NormalizedTrade(client_order_id=name, ts_us=ts_us, source=source, **(fields | changes))


def market(prices: list[int], *, every_us: int = S, holes: tuple[Hole, ...] = ()) -> RecordedMarket:
    ts_us = np.arange(len(prices), dtype=np.int64) * every_us
    return RecordedMarket(ts_us, np.array(prices, dtype=np.int64), 1, holes)


def life(**changes: object) -> OrderLife:
    fields: dict[str, object] = {
        "order_id": "o",
        "client_order_id": HEX,
        "placed_us": 0,
        "ended_us": None,
        "status": "New",
        "price": Decimal("99.5"),
        "executed": Decimal(0),
        "reason": None,
    }
    return OrderLife(**(fields | changes))  # type: ignore[arg-type]


def evidence(lives: list[OrderLife] | None = None, **changes: object) -> Evidence:
    fields: dict[str, object] = {
        "has_orders": lives is not None,
        "orders": {HEX: lives or []},
        "by_order_id": {one.order_id: one for one in lives or []},
        "markets": {},
        "private_holes": (),
    }
    return Evidence(**(fields | changes))  # type: ignore[arg-type]


def why(
    records: Evidence, *trades: NormalizedTrade, **more: object
) -> tuple[list[Cause], list[Cause]]:
    live = [one for one in trades if one.source is Source.LIVE]
    backtest = [one for one in trades if one.source is Source.BACKTEST]
    found = explain(TradeMatcher().match(live, backtest), records, NONE, **more)  # type: ignore[arg-type]
    return [one.cause for one in found.live_only], [one.cause for one in found.backtest_only]


@pytest.mark.parametrize(
    ("side", "prices", "reach"),
    [
        (BUY, [1000, 995, 1000], Reach.TOUCHED),
        (BUY, [1000, 994, 1000], Reach.THROUGH),
        (BUY, [1000, 996, 1000], Reach.AWAY),
        (SELL, [990, 995, 990], Reach.TOUCHED),
        (SELL, [990, 996, 990], Reach.THROUGH),
        (SELL, [990, 994, 990], Reach.AWAY),
    ],
)
def test_how_far_the_market_went(side: SideType, prices: list[int], reach: Reach) -> None:
    assert market(prices).reach(side, Decimal("99.5"), S) is reach
    assert market(prices).reach(side, Decimal("99.5"), 60 * S) is Reach.UNKNOWN


def test_a_price_between_two_units_is_never_only_touched() -> None:
    ticks = market([1000, 995, 1000])
    assert ticks.reach(BUY, Decimal("99.55"), S) is Reach.THROUGH
    assert ticks.reach(BUY, Decimal("99.45"), S) is Reach.AWAY
    assert ticks.reach(SELL, Decimal("100.05"), S) is Reach.AWAY
    assert ticks.reach(SELL, Decimal("99.95"), S) is Reach.THROUGH


def test_silences_far_longer_than_usual_are_holes() -> None:
    seconds = [*range(100), *range(400, 500)]
    ts_us = np.array(seconds, dtype=np.int64) * S
    assert silent_holes(ts_us, "trades", 0, 500 * S, []) == [
        Hole(99 * S, 400 * S, "trades", noted=False)
    ]
    noted = Hole(100 * S, 399 * S, "trades", noted=True, reason="disconnected")
    assert silent_holes(ts_us, "trades", 0, 500 * S, [noted]) == []
    # a slow market is silent for a minute now and then
    slow = np.array([0, 50, 100, 230, 300], dtype=np.int64) * S
    assert silent_holes(slow, "trades", 0, 300 * S, []) == []
    assert silent_holes(slow[:1], "trades", 0, 10**12, []) == []
    edges = silent_holes(ts_us[:100], "trades", -1000 * S, 1000 * S, [])
    assert [(hole.from_us, hole.to_us) for hole in edges] == [(-1000 * S, 0), (99 * S, 1000 * S)]


LIVE, BACKTEST = trade(Source.LIVE, 10 * S), trade(Source.BACKTEST, 10 * S)


@pytest.mark.parametrize(
    ("lives", "cause"),
    [
        ([], Cause.NEVER_PLACED),
        ([life(ended_us=4 * S, status="Cancelled")], Cause.CANCELLED_BEFORE),
        ([life(ended_us=0, status="Rejected")], Cause.REFUSED),
        ([life(placed_us=11 * S)], Cause.PLACED_LATER),
        ([life(placed_us=11 * S, status="Rejected", ended_us=11 * S)], Cause.NEVER_PLACED),
        ([life(executed=Decimal(1), ended_us=10 * S, status="Filled")],
         Cause.EXECUTION_NOT_RECORDED),
        # it rested and the market went through: nothing recorded explains that
        ([life()], Cause.UNEXPLAINED),
    ],
)  # fmt: skip
def test_what_the_order_says_about_a_phantom(lives: list[OrderLife], cause: Cause) -> None:
    assert why(evidence(lives), BACKTEST) == ([], [cause])


def test_a_run_without_recorded_orders_is_not_judged_by_them() -> None:
    assert why(evidence(None), BACKTEST) == ([], [Cause.UNEXPLAINED])
    assert why(evidence(None), LIVE) == ([Cause.UNEXPLAINED], [])
    assert why(no_evidence(), LIVE) == ([Cause.UNEXPLAINED], [])


@pytest.mark.parametrize(
    ("prices", "cause"),
    [
        ([1000] * 9 + [995] + [1000] * 9, Cause.TOUCHED_ONLY),
        ([1000] * 20, Cause.NO_TRADE_AT_PRICE),
        ([1000] * 9 + [990] + [1000] * 9, Cause.UNEXPLAINED),
    ],
)
def test_what_the_market_says(prices: list[int], cause: Cause) -> None:
    records = evidence([life(order_id="o10000000", executed=Decimal(1))])
    with_ticks = evidence(
        [life(order_id="o10000000", executed=Decimal(1))], markets={"X": market(prices)}
    )
    assert why(records, LIVE) == ([Cause.UNEXPLAINED], [])
    assert why(with_ticks, LIVE) == ([cause], [])
    resting = evidence([life(order_id="other")], markets={"X": market(prices)})
    assert why(resting, BACKTEST) == ([], [cause])


def test_executions_are_held_against_their_orders() -> None:
    own = {"order_id": "o10000000"}
    assert why(evidence([]), LIVE)[0] == [Cause.EXECUTION_WITHOUT_ORDER]
    half = evidence([life(executed=Decimal("0.5"), **own)])
    assert why(half, LIVE)[0] == [Cause.EXECUTION_BEYOND_ORDER]
    hole = Hole(0, 20 * S, "orders", noted=True)
    assert why(evidence([], private_holes=(hole,)), LIVE)[0] == [Cause.UNEXPLAINED]
    assert why(evidence([], private_holes=(hole,)), BACKTEST)[1] == [Cause.UNEXPLAINED]


def test_an_order_whose_execution_is_recorded_explains_no_other_trade() -> None:
    """Its fill is the partner of the later trade; the earlier one has to have another cause."""
    own = life(order_id="o10000000", executed=Decimal(1), ended_us=10 * S, status="Filled")
    earlier = trade(Source.BACKTEST, 9 * S + S // 2)
    assert why(evidence([own]), LIVE, BACKTEST, earlier) == ([], [Cause.UNEXPLAINED])
    alone = life(order_id="lost", executed=Decimal(1), ended_us=10 * S, status="Filled")
    assert why(evidence([own, alone]), LIVE, BACKTEST, earlier)[1] == [Cause.EXECUTION_NOT_RECORDED]


def test_holes_explain_what_lies_in_them() -> None:
    hole = Hole(5 * S, 15 * S, "executions", noted=True, reason="socket closed")
    assert why(evidence(None, private_holes=(hole,)), BACKTEST)[1] == [Cause.PRIVATE_GAP]
    silent = Hole(5 * S, 15 * S, "trades", noted=False)
    ticks = {"X": market([1000] * 20, holes=(silent,))}
    assert why(evidence(None, markets=ticks), LIVE, BACKTEST) == ([], [])
    assert why(evidence(None, markets=ticks), LIVE)[0] == [Cause.MARKET_GAP]
    assert why(evidence(None, markets=ticks), BACKTEST)[1] == [Cause.MARKET_GAP]


def test_later_differences_follow_from_earlier_ones() -> None:
    ticks = {"X": market([1000] * 9 + [995] + [1000] * 9 + [990] * 100)}
    first, later = LIVE, trade(Source.LIVE, 25 * S, "b")
    assert why(evidence(None, markets=ticks), first, later)[0] == [
        Cause.TOUCHED_ONLY,
        Cause.FOLLOWS,
    ]
    # another symbol has another state
    elsewhere = trade(Source.LIVE, 25 * S, "b", symbol="Y")
    assert why(evidence(None, markets=ticks), first, elsewhere)[0] == [
        Cause.TOUCHED_ONLY,
        Cause.UNEXPLAINED,
    ]
    hole = Hole(2 * S, 5 * S, "tickers", noted=False)
    after_hole = {"X": market([990] * 40, holes=(hole,))}
    assert why(evidence(None, markets=after_hole), later)[0] == [Cause.FOLLOWS]


def test_nothing_follows_from_a_difference_of_the_records_alone() -> None:
    hole = Hole(5 * S, 15 * S, "executions", noted=True)
    records = evidence(None, private_holes=(hole,))
    later = trade(Source.BACKTEST, 25 * S, "b")
    assert why(records, BACKTEST, later)[1] == [Cause.PRIVATE_GAP, Cause.UNEXPLAINED]


def test_another_starting_position_explains_where_nothing_else_does() -> None:
    starts = ({("X", DirectionType.LONG): Decimal(1)}, {})
    assert why(evidence(None), LIVE, starts=starts)[0] == [Cause.STARTING_POSITION]
    same = ({("X", DirectionType.LONG): Decimal(1)},) * 2
    assert why(evidence(None), LIVE, starts=same)[0] == [Cause.UNEXPLAINED]


@pytest.mark.parametrize(
    ("before_us", "cause"),
    [(S // 2, Cause.ON_ITS_WAY), (2 * S, Cause.UNEXPLAINED), (0, Cause.UNEXPLAINED)],
)
def test_a_fill_right_after_another_one_is_a_matter_of_latency(
    before_us: int, cause: Cause
) -> None:
    pair = [trade(source, 10 * S - before_us, "b") for source in Source]
    assert why(evidence(None), *pair, LIVE)[0] == [cause]
    assert why(evidence(None), *pair, BACKTEST)[1] == [cause]


def test_causes_are_counted_by_side_and_the_unexplained_apart() -> None:
    result = TradeMatcher().match(
        [LIVE, trade(Source.LIVE, 20 * S, "b")], [trade(Source.BACKTEST, 5 * S, "c")]
    )
    found: Explanations = explain(result, evidence([]), NONE)
    assert found.counts() == {
        Cause.EXECUTION_WITHOUT_ORDER: (2, 0),
        Cause.NEVER_PLACED: (0, 1),
    }
    assert found.unexplained == 0


STATES = {
    "order_id": ["1", "1", "2", "2", "3", "4"],
    "order_link_id": [f"{HEX}-1"] * 2 + [f"{HEX}-2"] * 2 + ["by-hand", None],
    "symbol": ["X"] * 6,
    "status": ["New", "Filled", "PartiallyFilled", "Cancelled", "New", "New"],
    "reject_reason": ["EC_NoError"] * 6,
    "cancel_type": [None, "UNKNOWN", None, "CancelByUser", None, None],
    "price": ["99.5"] * 6,
    "cum_exec_qty": ["0", "1", "0.4", None, None, None],
    "exchange_ts": [10, 20, 15, 30, 1, 2],
    "created_ts": [9, 9, None, None, None, None],
}


def test_the_life_of_an_order_is_read_from_its_states() -> None:
    first, second = order_lives(pl.DataFrame(STATES), [HEX])
    assert (first.order_id, first.placed_us, first.ended_us) == ("1", 9, 20)
    assert (first.status, first.executed, first.reason) == ("Filled", 1, None)
    assert (second.placed_us, second.ended_us) == (15, 30)
    assert (second.executed, second.reason) == (Decimal("0.4"), "CancelByUser")
    assert first.rests_at(20)
    assert not first.rests_at(21)
    assert not first.rests_at(9)
    assert order_lives(pl.DataFrame(STATES), ["f" * 16]) == []


@pytest.mark.parametrize(
    ("live_us", "backtest_us", "outside"),
    [
        (99 * S, 100 * S, ([0], [])),  # live just before the end, the backtest just after
        (100 * S, 99 * S, ([], [0])),
        (0, -S, ([0], [])),
        (50 * S, 100 * S + MARGIN_US, ([], [])),
    ],
)
def test_partners_outside_the_range(
    live_us: int, backtest_us: int, outside: tuple[list[int], list[int]]
) -> None:
    wanted = TimeRange(0, 100 * S)
    live = TradeTable.of_trades(Source.LIVE, [trade(Source.LIVE, live_us)])
    backtest = TradeTable.of_trades(Source.BACKTEST, [trade(Source.BACKTEST, backtest_us)])
    result = TradeMatcher().match(live.select(0, 100 * S, None), backtest.select(0, 100 * S, None))
    found = outside_partners(result, live, backtest, wanted)
    assert (found[Source.LIVE].tolist(), found[Source.BACKTEST].tolist()) == outside


def test_a_trade_that_has_its_partner_outside_is_none_for_one_inside() -> None:
    live = TradeTable.of_trades(
        Source.LIVE, [trade(Source.LIVE, 90 * S), trade(Source.LIVE, 105 * S)]
    )
    backtest = TradeTable.of_trades(Source.BACKTEST, [trade(Source.BACKTEST, 105 * S)])
    result = TradeMatcher().match(live.select(0, 100 * S, None), backtest.select(0, 100 * S, None))
    found = outside_partners(result, live, backtest, TimeRange(0, 100 * S))
    assert found[Source.LIVE].tolist() == []
