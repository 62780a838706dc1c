"""The join by columns against a plain one, and what is hard about it."""

from collections import defaultdict
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparator.columns.trades import NormalizedTrade, Source, TradeTable
from comparator.match.matcher import MatchResult, TradeMatcher
from comparator.match.occurrence import nearest
from gridcore import DirectionType, SideType
from gridcore.intents import client_order_id_for

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL


def trade(
    client_order_id: str = "a",
    ts_us: int = 0,
    source: Source = Source.LIVE,
    **changes: object,
) -> NormalizedTrade:
    fields: dict[str, object] = {
        "symbol": "BTCUSDT",
        "side": BUY,
        "direction": LONG,
        "price": Decimal("60000.1"),
        "qty": Decimal("0.003"),
        "fee": Decimal("0.036"),
        "realized_pnl": Decimal(0),
        "order_id": f"{client_order_id}{ts_us}",
    }
    return NormalizedTrade(
        client_order_id=client_order_id, ts_us=ts_us, source=source, **(fields | changes)
    )


def plain_match(
    live: list[NormalizedTrade], backtest: list[NormalizedTrade]
) -> set[tuple[str, int | None, int | None]]:
    """Return (id, live time, backtest time) of every pair and every rest, by trying everything."""
    by_id: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, trades in enumerate((live, backtest)):
        for one in sorted(trades, key=lambda t: (t.ts_us, t.client_order_id, t.side)):
            by_id[one.client_order_id][side].append(one.ts_us)
    found: set[tuple[str, int | None, int | None]] = set()
    for name, (ours, theirs) in by_id.items():
        swapped = len(ours) > len(theirs)
        fewer, more = (theirs, ours) if swapped else (ours, theirs)
        best = min(
            combinations(range(len(more)), len(fewer)),
            key=lambda chosen: (
                sum(abs(more[at] - ts) for at, ts in zip(chosen, fewer, strict=True)),
                chosen,
            ),
        )
        for at, ts in zip(best, fewer, strict=True):
            found.add((name, more[at], ts) if swapped else (name, ts, more[at]))
        for at in set(range(len(more))) - set(best):
            found.add((name, more[at], None) if swapped else (name, None, more[at]))
    return found


def as_set(result: MatchResult) -> set[tuple[str, int | None, int | None]]:
    return {
        *((p.live.client_order_id, p.live.ts_us, p.backtest.ts_us) for p in result.matched),
        *((t.client_order_id, t.ts_us, None) for t in result.live_only),
        *((t.client_order_id, None, t.ts_us) for t in result.backtest_only),
    }


# times differ within an id, so that a set of times names the pairs
sides = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), unique=True, max_size=12)


@settings(deadline=None)
@given(sides, sides)
def test_the_join_by_columns_is_the_plain_one(
    ours: list[tuple[str, int]], theirs: list[tuple[str, int]]
) -> None:
    live = [trade(name, ts) for name, ts in ours]
    backtest = [trade(name, ts, Source.BACKTEST) for name, ts in theirs]
    result = TradeMatcher().match(live, backtest)
    assert as_set(result) == plain_match(live, backtest)
    # every trade is in exactly one place
    assert len(result.live_rows) + len(result.live_only_rows) == len(live)
    assert len(result.backtest_rows) + len(result.backtest_only_rows) == len(backtest)


def test_an_id_that_comes_back_is_paired_appearance_by_appearance() -> None:
    live = [trade("a", ts) for ts in (10, 20, 30)]
    backtest = [trade("a", ts, Source.BACKTEST) for ts in (11, 22, 33)]
    result = TradeMatcher().match(live, backtest)
    assert [(p.live.ts_us, p.backtest.ts_us) for p in result.matched] == [
        (10, 11), (20, 22), (30, 33),
    ]  # fmt: skip
    assert [p.live.occurrence for p in result.matched] == [1, 2, 3]
    assert result.time_delta_us.tolist() == [-1, -2, -3]


def test_a_missing_appearance_does_not_shift_the_later_ones() -> None:
    live = [trade("a", ts) for ts in (10, 30, 40)]
    backtest = [trade("a", ts, Source.BACKTEST) for ts in (10, 20, 30, 40)]
    result = TradeMatcher().match(live, backtest)
    assert [t.ts_us for t in result.backtest_only] == [20]
    assert [t.occurrence for t in result.backtest_only] == [2]
    assert result.time_delta_us.tolist() == [0, 0, 0]
    assert [p.live.occurrence for p in result.matched] == [1, 3, 4]


def test_trades_of_one_millisecond_are_counted_alike_on_both_sides() -> None:
    """Ties are broken by id and side, so the order in which they were stored does not matter."""
    forwards = [trade("a", 5), trade("b", 5), trade("a", 5, side=SELL, direction=SHORT)]
    backwards = [
        trade("a", 5, Source.BACKTEST, side=SELL, direction=SHORT),
        trade("b", 5, Source.BACKTEST),
        trade("a", 5, Source.BACKTEST),
    ]
    result = TradeMatcher().match(forwards, backwards)
    assert len(result.matched) == 3
    for pair in result.matched:
        assert pair.live.side is pair.backtest.side
        assert pair.live.direction is pair.backtest.direction


def test_both_legs_at_one_price_are_two_trades() -> None:
    price = Decimal("60000.1")
    ids = {leg: client_order_id_for("BTCUSDT", BUY, price, leg, "grid") for leg in DirectionType}
    live = [trade(ids[leg], 5, direction=leg) for leg in (LONG, SHORT)]
    backtest = [trade(ids[leg], 5, Source.BACKTEST, direction=leg) for leg in (SHORT, LONG)]
    result = TradeMatcher().match(live, backtest)
    assert {(p.live.direction, p.backtest.direction) for p in result.matched} == {
        (LONG, LONG), (SHORT, SHORT),
    }  # fmt: skip
    assert [p.live.closing for p in result.matched] == [
        p.live.direction is SHORT for p in result.matched
    ]


@pytest.mark.parametrize("changes", [{"symbol": "ETHUSDT"}, {"side": SELL}])
def test_one_id_with_another_symbol_or_side_is_no_pair(changes: dict[str, object]) -> None:
    result = TradeMatcher().match([trade("a")], [trade("a", 0, Source.BACKTEST, **changes)])
    assert (len(result.matched), len(result.live_only), len(result.backtest_only)) == (0, 1, 1)


def test_nothing_on_one_side_leaves_the_other_without_partners() -> None:
    result = TradeMatcher().match([], [trade("a", 1, Source.BACKTEST)])
    assert (result.matched, result.live_only) == ([], [])
    assert len(result.backtest_only) == 1
    assert TradeMatcher().match([], []).matched == []


def test_a_range_is_half_open_and_counts_anew() -> None:
    table = TradeTable.of_trades(
        Source.LIVE, [trade("a", ts, symbol=symbol) for ts, symbol in
                      ((10, "X"), (20, "X"), (25, "Y"), (30, "X"))]
    )  # fmt: skip
    chosen = table.select(20, 30, ["X"])
    assert [(t.ts_us, t.occurrence) for t in chosen.trades()] == [(20, 1)]
    assert [t.ts_us for t in table.select(20, 31, None).trades()] == [20, 25, 30]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=7).map(sorted),
    st.lists(st.integers(0, 100), max_size=3),
)
def test_the_nearest_numbers_are_the_best_of_all(few: list[int], extra: list[int]) -> None:
    more = sorted([*[ts + 3 for ts in few], *extra])
    best = min(
        combinations(range(len(more)), len(few)),
        key=lambda c: (sum(abs(more[at] - ts) for at, ts in zip(c, few, strict=True)), c),
    )
    found = nearest(np.array(few, dtype=np.int64), np.array(more, dtype=np.int64))
    cost = sum(abs(more[n - 1] - ts) for n, ts in zip(found.tolist(), few, strict=True))
    assert cost == sum(abs(more[at] - ts) for at, ts in zip(best, few, strict=True))
    assert (np.diff(found) > 0).all()


def test_too_many_appearances_are_counted_plainly() -> None:
    few, more = np.array([10, 20], dtype=np.int64), np.array([0, 10, 20], dtype=np.int64)
    assert nearest(few, more).tolist() == [2, 3]
    assert nearest(few, more, most_cells=3).tolist() == [1, 2]
