"""Differences of whole runs that are put in on purpose, and the cause that is named."""

from dataclasses import replace
from datetime import timedelta

import pytest

from backtest.result.session import BacktestSession
from comparator.causes.causes import Cause
from comparator.money.split import SplitCause
from comparator.recorded_run import compare_run, find_run
from comparator.sources import of_sessions
from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    GapStatus,
    MarketGapRepository,
    RunType,
    TenantScope,
)
from gridcore.moments import to_us
from testkit.injected import Compare, a_close, nothing_else, worth

pytestmark = pytest.mark.untraced


def test_without_snapshots_the_legs_are_taken_from_the_backtest_and_that_is_told(
    compare: Compare, recording
) -> None:
    recording.positions = []
    comparison = compare()
    assert comparison.within_tolerance
    assert any("no position snapshot tells" in text for text in comparison.warnings)


def test_two_symbols_are_compared_together(
    sqlite_database: DatabaseFactory, recording, session_of_walk: BacktestSession
) -> None:
    """The second symbol is the first one under another name: twice the trades and the profit."""
    other = replace(
        session_of_walk,
        symbol="ETHUSDT",
        strategies=tuple(
            replace(
                outcome,
                trades=tuple(
                    t._replace(symbol="ETHUSDT", client_order_id=t.client_order_id[::-1])
                    for t in outcome.trades
                ),
                funding=tuple(p._replace(symbol="ETHUSDT") for p in outcome.funding),
            )
            for outcome in session_of_walk.strategies
        ),
    )
    for row in list(recording.executions):
        link = row.order_link_id
        turned = None if link is None else link[:16][::-1] + link[16:]
        recording.executions.append(
            replace(
                row,
                symbol="ETHUSDT",
                exec_id=f"eth-{row.exec_id}",
                order_id=f"eth-{row.order_id}",
                order_link_id=turned,
            )
        )
    recording.positions += [replace(one, symbol="ETHUSDT") for one in recording.positions]
    recording.ticks += [replace(tick, symbol="ETHUSDT") for tick in recording.ticks]
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, None, None)
        both = of_sessions([session_of_walk, other], "test")
        comparison = compare_run(session, recording.user_id, live, both)
        one = compare_run(session, recording.user_id, live, both, symbols=["ETHUSDT"])
    assert comparison.symbols == ("BTCUSDT", "ETHUSDT")
    assert comparison.within_tolerance
    assert comparison.split.live == 2 * session_of_walk.net_pnl
    assert one.symbols == ("ETHUSDT",)
    assert one.metrics.live_trades * 2 == comparison.metrics.live_trades
    assert one.split.live == session_of_walk.net_pnl


def test_a_backtest_that_traded_nothing_missed_everything(
    compare: Compare, recording, session_of_walk: BacktestSession
) -> None:
    idle = replace(
        session_of_walk,
        strategies=tuple(
            replace(outcome, trades=(), funding=()) for outcome in session_of_walk.strategies
        ),
    )
    comparison = compare(idle)
    metrics = comparison.metrics
    assert (metrics.match_rate, metrics.phantom_rate) == (0, None)
    assert metrics.live_only == metrics.live_trades
    assert comparison.split.backtest == 0
    assert set(worth(comparison)) == {SplitCause.MISSED_FILLS, SplitCause.FUNDING}
    assert not comparison.within_tolerance


def test_symbols_that_only_the_backtest_traded_are_left_out_and_told(
    compare: Compare, recording, session_of_walk: BacktestSession
) -> None:
    first = session_of_walk.trades[0]
    more = (*session_of_walk.trades, first._replace(symbol="ETHUSDT", order_id="eth"))
    outcome = replace(session_of_walk.strategies[0], trades=more)
    comparison = compare(replace(session_of_walk, strategies=(outcome,)))
    assert comparison.within_tolerance
    assert any("also traded ETHUSDT" in text for text in comparison.warnings)


@pytest.mark.parametrize(
    ("status", "cause"),
    [(GapStatus.OPEN, Cause.MARKET_GAP), (GapStatus.FILLED, Cause.NEVER_PLACED)],
)
def test_a_gap_that_was_filled_later_explains_nothing(
    compare: Compare, recording, status: GapStatus, cause: Cause
) -> None:
    gone = recording.executions.pop(a_close(recording))
    recording.orders = [o for o in recording.orders if o.order_id != gone.order_id]

    def note_gap(database: DatabaseFactory) -> None:
        with database.get_session() as session:
            MarketGapRepository(session).save(
                CaptureGapRecord(
                    stream=CaptureStream.TICKERS,
                    gap_start=gone.exchange_ts - timedelta(seconds=5),
                    gap_end=gone.exchange_ts + timedelta(seconds=5),
                    status=status,
                    reason="disconnected",
                    detected_at=gone.exchange_ts,
                )
            )

    comparison = compare(prepare=note_gap)
    nothing_else(comparison, phantom=1)
    assert comparison.explanations.backtest_only[0].cause is cause


def test_a_run_that_still_runs_ends_with_its_last_execution(
    sqlite_database: DatabaseFactory, recording
) -> None:
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        scope = TenantScope(session, recording.user_id)
        start = recording.ticks[0].exchange_ts
        run = scope.runs.create(RunType.LIVE, start, account_id=recording.account_id)
        live = find_run(session, recording.user_id, run.id, None, None)
    last = max(row.exchange_ts for row in recording.executions)
    assert (live.wanted.start_us, live.wanted.end_us) == (to_us(start), to_us(last) + 1)
