"""Injected truth: a recording that a backtest repeats exactly, with one thing changed.

Each change is found, is the only thing found, and is named by its cause.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from comparator.causes.causes import Cause
from comparator.comparison import Comparison
from comparator.money.metrics import BreachKind, Tolerances, calculate_metrics
from comparator.money.split import SplitCause
from comparator.recorded_run import compare_run, find_run
from comparator.sources import of_sessions
from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    MarketGapRepository,
    TenantScope,
)
from gridcore import DirectionType
from gridcore.moments import moment, to_us
from market_data.columns.ticks import TickColumns
from testkit.backtests import contract, ticks
from testkit.injected import Compare, a_close, nothing_else, worth

pytestmark = pytest.mark.untraced


ZERO = Decimal(0)


RecordOf = Callable[..., Any]


def test_an_unchanged_recording_is_repeated_to_the_last_digit(compare: Compare, recording) -> None:
    comparison = compare()
    session = recording.session
    nothing_else(comparison)
    assert comparison.within_tolerance
    metrics = comparison.metrics
    assert metrics.match_rate == 1
    assert metrics.phantom_rate == 0
    assert metrics.matched == len({trade.order_id for trade in session.trades}) > 1000
    for spread in (metrics.price, metrics.quantity, metrics.fee, metrics.pnl, metrics.time_us):
        assert spread is not None
        assert spread.maximum == 0
    assert metrics.pnl_correlation == 1.0
    assert worth(comparison) == {}
    # an independent figure: the change of equity that the backtest itself reports
    assert comparison.split.live == comparison.split.backtest == session.net_pnl
    assert comparison.equity is not None
    assert comparison.equity.maximum == 0
    assert len(comparison.equity.ts_us) > 12
    # what the backtest itself has to say about a made-up market, and nothing else
    assert all("no market ever traded so" in warning for warning in comparison.warnings)


def test_a_deleted_fill_is_one_phantom_whose_execution_is_not_recorded(
    compare: Compare, recording
) -> None:
    number = a_close(recording)
    gone = recording.executions.pop(number)
    comparison = compare()
    nothing_else(comparison, phantom=1)
    (phantom,) = comparison.result.backtest_only
    assert (phantom.order_id, phantom.ts_us) == (gone.order_id, to_us(gone.exchange_ts))
    (why,) = comparison.explanations.backtest_only
    assert why.cause is Cause.EXECUTION_NOT_RECORDED
    assert gone.order_id in why.detail
    assert comparison.metrics.time_us.maximum == 0
    end = comparison.marks["BTCUSDT"].end
    # the long leg was reduced by a Sell: without it live earns (price - end) x qty less
    earned = (gone.exec_price - end) * gone.exec_qty - gone.exec_fee
    assert worth(comparison) == {SplitCause.PHANTOM_FILLS: -earned}


def test_a_fill_deleted_with_its_order_was_never_placed(compare: Compare, recording) -> None:
    gone = recording.executions.pop(a_close(recording))
    recording.orders = [o for o in recording.orders if o.order_id != gone.order_id]
    comparison = compare()
    nothing_else(comparison, phantom=1)
    assert comparison.result.backtest_only[0].order_id == gone.order_id
    assert comparison.explanations.backtest_only[0].cause is Cause.NEVER_PLACED


@pytest.mark.parametrize(
    ("status", "before_s", "placed_before_s", "cause", "says"),
    [
        ("Cancelled", 5, 100, Cause.CANCELLED_BEFORE, "cancelled 5,000 ms before"),
        ("Rejected", 100, 100, Cause.REFUSED, "the exchange refused it at"),
        ("New", -2, -2, Cause.PLACED_LATER, "placed 2,000 ms after"),
    ],
)
def test_what_became_of_the_live_order_is_told(
    compare: Compare,
    recording,
    status: str,
    before_s: int,
    placed_before_s: int,
    cause: Cause,
    says: str,
) -> None:
    gone = recording.executions.pop(a_close(recording))
    states = [o for o in recording.orders if o.order_id == gone.order_id]
    recording.orders = [o for o in recording.orders if o.order_id != gone.order_id]
    placed = gone.exchange_ts - timedelta(seconds=placed_before_s)
    ended = gone.exchange_ts - timedelta(seconds=before_s)
    recording.orders.append(replace(states[0], created_ts=placed, exchange_ts=placed))
    recording.orders.append(
        replace(
            states[0],
            status=status,
            created_ts=placed,
            exchange_ts=ended,
            reject_reason="EC_NoEnoughQtyToFill" if status == "Rejected" else None,
        )
    )
    comparison = compare()
    nothing_else(comparison, phantom=1)
    (why,) = comparison.explanations.backtest_only
    assert why.cause is cause
    assert says in why.detail
    if status == "Rejected":
        assert "EC_NoEnoughQtyToFill" in why.detail


def test_an_added_fill_without_an_order_is_doubted(compare: Compare, recording) -> None:
    like = recording.executions[a_close(recording)]
    added = replace(
        like,
        exec_id="added",
        order_id="nobody",
        exchange_ts=like.exchange_ts + timedelta(seconds=7),
        local_ts=like.local_ts,
    )
    recording.executions.append(added)
    comparison = compare()
    nothing_else(comparison, missed=1)
    (missed,) = comparison.result.live_only
    assert missed.order_id == "nobody"
    (why,) = comparison.explanations.live_only
    assert why.cause is Cause.EXECUTION_WITHOUT_ORDER
    end = comparison.marks["BTCUSDT"].end
    earned = (added.exec_price - end) * added.exec_qty - added.exec_fee
    assert worth(comparison) == {SplitCause.MISSED_FILLS: earned}


def test_a_fill_added_to_an_order_makes_its_quantity_too_large(compare: Compare, recording) -> None:
    like = recording.executions[a_close(recording)]
    recording.executions.append(replace(like, exec_id="added", exec_fee=ZERO))
    comparison = compare()
    nothing_else(comparison)
    assert not comparison.within_tolerance
    (breach,) = comparison.metrics.breaches
    assert comparison.metrics.breach_kinds[BreachKind.QUANTITY] == (breach,)
    assert "more executions are recorded than the order had" in comparison.notes[breach]
    end = comparison.marks["BTCUSDT"].end
    assert worth(comparison) == {SplitCause.QUANTITY: (like.exec_price - end) * like.exec_qty}


def test_a_shifted_price_is_found_and_worth_its_shift(compare: Compare, recording) -> None:
    number = a_close(recording)
    before = recording.change(number, exec_price=recording.executions[number].exec_price + 3)
    comparison = compare()
    nothing_else(comparison)
    (breach,) = comparison.metrics.breaches
    prefix = before.order_link_id.split("-")[0]
    assert breach.client_order_id == prefix
    assert comparison.metrics.breach_kinds[BreachKind.PRICE] == (breach,)
    assert "filled better than its limit" in comparison.notes[breach]
    assert comparison.metrics.price.maximum == 3
    assert comparison.metrics.price.differing == 1
    assert worth(comparison) == {SplitCause.PRICE: 3 * before.exec_qty}
    assert compare_again_with(comparison, Tolerances(price=Decimal(3)))


def compare_again_with(comparison: Comparison, tolerances: Tolerances) -> bool:
    """Tell whether the same pairs are within other tolerances."""
    return calculate_metrics(comparison.result, tolerances).within_tolerance


def test_a_price_beyond_the_limit_is_doubted(compare: Compare, recording) -> None:
    number = a_close(recording)
    recording.change(number, exec_price=recording.executions[number].exec_price - 3)
    comparison = compare()
    (breach,) = comparison.metrics.breaches
    assert "so the record is doubtful" in comparison.notes[breach]


def test_a_changed_fee_is_found_and_worth_itself(compare: Compare, recording) -> None:
    number = a_close(recording)
    fee = recording.executions[number].exec_fee
    recording.change(number, exec_fee=fee * 2)
    comparison = compare()
    nothing_else(comparison)
    (breach,) = comparison.metrics.breaches
    assert comparison.metrics.breach_kinds[BreachKind.FEE] == (breach,)
    assert "0.0400 %" in comparison.notes[breach]
    assert "0.0200 %" in comparison.notes[breach]
    assert worth(comparison) == {SplitCause.FEES: -fee}


def test_changed_funding_is_worth_itself(compare: Compare, recording) -> None:
    number = next(n for n, e in enumerate(recording.executions) if e.exec_type == "Funding")
    recording.change(number, exec_fee=recording.executions[number].exec_fee + Decimal("0.25"))
    comparison = compare()
    nothing_else(comparison)
    assert worth(comparison) == {SplitCause.FUNDING: Decimal("-0.25")}


def test_a_position_held_at_the_start_is_worth_its_change(compare: Compare, recording) -> None:
    recording.positions = [
        replace(one, size=Decimal("0.4")) if one.direction is DirectionType.SHORT else one
        for one in recording.positions
    ]
    comparison = compare()
    marks = comparison.marks["BTCUSDT"]
    assert worth(comparison) == {
        SplitCause.STARTING_POSITION: Decimal("0.4") * (marks.start - marks.end)
    }


def hour_of(recording, number: int) -> tuple[int, int]:
    ts_us = to_us(recording.executions[number].exchange_ts)
    return ts_us - 1_800_000_000, ts_us + 1_800_000_000


def without_ticks(columns: TickColumns, low: int, high: int) -> TickColumns:
    """Return a recording that lost the ticks from low to high (us)."""
    keep = (columns.ts_us < low) | (columns.ts_us > high)
    return replace(
        columns,
        ts_us=columns.ts_us[keep],
        price_ticks=columns.price_ticks[keep],
        size=columns.size[keep],
        side=columns.side[keep],
    )


@pytest.mark.parametrize("noted", [False, True])
def test_an_hour_without_ticks_is_the_cause_of_what_was_missed(
    compare: Compare, recording, noted: bool
) -> None:
    low, high = hour_of(recording, a_close(recording))
    recording.ticks = [t for t in recording.ticks if not low <= to_us(t.exchange_ts) <= high]
    lossy = without_ticks(recording.columns, low, high)
    backtest = run_columns(config_of(recording), lossy, contract(recording.columns))

    def note_gap(database: DatabaseFactory) -> None:
        if not noted:
            return
        with database.get_session() as session:
            MarketGapRepository(session).save(
                CaptureGapRecord(
                    stream=CaptureStream.TRADES,
                    symbol="BTCUSDT",
                    gap_start=moment(low),
                    gap_end=moment(high),
                    reason="disconnected",
                    detected_at=moment(high),
                )
            )

    comparison = compare(backtest, prepare=note_gap)
    metrics, explained = comparison.metrics, comparison.explanations
    assert metrics.live_only > 0
    assert explained.unexplained == 0
    assert comparison.split.residue == 0
    inside = [
        why
        for trade, why in zip(comparison.result.live_only, explained.live_only, strict=True)
        if low <= trade.ts_us <= high
    ]
    assert inside
    for why in inside:
        assert why.cause is Cause.MARKET_GAP
        assert ("disconnected" in why.detail) is noted
        assert ("which no capture gap notes" in why.detail) is not noted
    first = min(why.parted_us for why in (*explained.live_only, *explained.backtest_only))
    assert low - 120_000_000 < first <= high


def config_of(recording) -> BacktestConfig:
    return BacktestConfig.model_validate(dict(recording.session.settings))


def test_a_gap_of_the_account_explains_what_it_swallowed(compare: Compare, recording) -> None:
    number = a_close(recording)
    low, high = hour_of(recording, number)
    kept = [e for e in recording.executions if not low <= to_us(e.exchange_ts) <= high]
    lost = len({e.order_id for e in recording.executions}) - len({e.order_id for e in kept})
    recording.executions = kept

    def note_gap(database: DatabaseFactory) -> None:
        with database.get_session() as session:
            TenantScope(session, recording.user_id).capture_gaps.save(
                CaptureGapRecord(
                    account_id=recording.account_id,
                    stream=CaptureStream.EXECUTIONS,
                    gap_start=moment(low),
                    gap_end=moment(high),
                    reason="private socket closed",
                    detected_at=moment(high),
                )
            )

    comparison = compare(prepare=note_gap)
    nothing_else(comparison, phantom=lost)
    assert {why.cause for why in comparison.explanations.backtest_only} == {Cause.PRIVATE_GAP}


def test_a_kinder_fill_model_live_is_explained_by_prices_touched_only(
    sqlite_database: DatabaseFactory, record_of: RecordOf
) -> None:
    """Live fills where the market touches, the backtest beyond only: the sides part at a touch."""
    # 599,400 is the first level below the start; the market turns there
    turns = [600_000, 600_000, 599_400, 599_900, 600_000]
    ramp = [600_000 + 50 * step for step in (*range(60), *range(60, -60, -1))]
    columns = ticks([*turns, *ramp], every_us=5_000_000)
    sides = {
        model: run_columns(
            BacktestConfig.model_validate(
                {
                    "strategies": [{"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}],
                    "fill_model": model,
                }
            ),
            columns,
            contract(columns),
        )
        for model in ("touch", "strict_cross")
    }
    recording = record_of(columns, sides["touch"])
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, None, None)
        backtest = of_sessions([sides["strict_cross"]], "test")
        comparison = compare_run(session, recording.user_id, live, backtest)
    explained = comparison.explanations
    assert comparison.metrics.live_only > 0
    assert explained.unexplained == 0
    assert explained.live_only[0].cause is Cause.TOUCHED_ONLY
    assert comparison.split.residue == 0


def test_a_fill_on_the_other_side_of_the_end_is_a_matter_of_timing(
    compare: Compare, recording
) -> None:
    number = len(recording.session.trades) // 2
    trade = recording.executions[number]
    cut = trade.exchange_ts
    recording.change(number, exchange_ts=cut - timedelta(milliseconds=20))
    comparison = compare(end=cut.isoformat())
    nothing_else(comparison, missed=1)
    assert comparison.explanations.live_only[0].cause is Cause.OUTSIDE_RANGE
    assert set(worth(comparison)) == {SplitCause.TIMING}


@pytest.mark.parametrize(("kind", "says"), [("BustTrade", "BustTrade live"), ("Trade", "foreign")])
def test_what_is_no_order_of_the_strategy_is_named(
    compare: Compare, recording, kind: str, says: str
) -> None:
    like = recording.executions[5]
    recording.executions.append(
        replace(like, exec_id="b", order_id="b", order_link_id="by-hand", exec_type=kind)
    )
    comparison = compare()
    nothing_else(comparison, missed=1)
    (why,) = comparison.explanations.live_only
    assert why.cause is Cause.NOT_OF_STRATEGY
    assert says in why.detail


def test_two_recordings_of_one_market_on_both_databases(
    database: DatabaseFactory, recording
) -> None:
    """The same comparison on SQLite and PostgreSQL, with a difference of every kind in it."""
    recording.executions.pop(a_close(recording))
    recording.change(10, exec_price=recording.executions[10].exec_price + Decimal("0.5"))
    recording.change(20, exec_fee=recording.executions[20].exec_fee + 1)
    recording.write(database)
    with database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, None, None)
        backtest = of_sessions([recording.session], "test")
        comparison = compare_run(session, recording.user_id, live, backtest)
    nothing_else(comparison, phantom=1)
    assert len(comparison.metrics.breach_kinds[BreachKind.PRICE]) == 1
    assert len(comparison.metrics.breach_kinds[BreachKind.FEE]) == 1
    causes = {SplitCause.PHANTOM_FILLS, SplitCause.PRICE, SplitCause.FEES}
    assert set(worth(comparison)) == causes


@pytest.mark.parametrize("before_s", [3600, -1])
def test_the_starting_legs_come_from_the_nearest_snapshot(
    sqlite_database: DatabaseFactory, recording, before_s: int
) -> None:
    """A part of the run is compared; a snapshot an hour before its start, or only one after it."""
    middle = recording.executions[len(recording.session.trades) // 2].exchange_ts
    at = middle - timedelta(seconds=before_s)
    sizes = dict.fromkeys(DirectionType, ZERO)
    for trade in recording.session.trades:
        if trade.ts <= at:
            sizes[trade.direction] = trade.size_after
    assert all(sizes.values())
    recording.positions = [
        replace(one, size=sizes[one.direction], exchange_ts=at) for one in recording.positions
    ]
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, middle.isoformat(), None)
        backtest = of_sessions([recording.session], "test")
        comparison = compare_run(session, recording.user_id, live, backtest)
    assert comparison.within_tolerance
    assert worth(comparison) == {}
    assert not any("no position snapshot" in text for text in comparison.warnings)
