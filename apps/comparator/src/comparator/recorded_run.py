"""One recorded run of one tenant, and its comparison with a backtest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from comparator.causes.evidence import EvidenceReader
from comparator.columns.errors import ComparatorError
from comparator.comparison import Comparison, Curves, compare
from comparator.match.edges import MARGIN_US
from comparator.money.equity import Point, wallet_curve
from comparator.money.metrics import Tolerances
from comparator.sides.loader import LiveTradeLoader
from comparator.sources import Backtest
from grid_db import InvalidValueError, RunRecord, TenantScope
from gridcore.moments import moment, to_us
from market_data.basics.time_range import FIRST_US, LAST_US, TimeRange


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run and the range of it that is compared."""

    run: RunRecord
    wanted: TimeRange


def find_run(
    session: Session, user_id: str, run_id: str, start: str | None, end: str | None
) -> LiveRun:
    """Return the user's run and the range asked for, by default all of the run.

    Another user's run is answered as one that never was. Raises ComparatorError, WrongRangeError.
    """
    scope = TenantScope(session, user_id)
    try:
        run = scope.runs.get_by_id(run_id)
    except InvalidValueError:
        raise ComparatorError(
            f"--run-id is {run_id!r}, no UUID; copy it from the runs table"
        ) from None
    if run is None:
        known = scope.runs.get_by_user_id(limit=1)
        newest = f"; the newest one is {known[0].id}" if known else ""
        raise ComparatorError(f"the user has no run {run_id}{newest}")
    asked = TimeRange.parse(start, end)
    start_us = to_us(run.started_at) if asked.start_us == FIRST_US else asked.start_us
    end_us = asked.end_us if asked.end_us != LAST_US else _end_us(scope, run)
    return LiveRun(run, TimeRange.parse(start_us, end_us))


def _end_us(scope: TenantScope, run: RunRecord) -> int:
    """Return when a run ended; for one that still runs, just after its last execution."""
    if run.ended_at is not None:
        return to_us(run.ended_at) + 1
    last = None
    if run.account_id is not None:
        last = scope.executions.get_last_execution_ts(run.account_id)
    return to_us(last or run.started_at) + 1


def compare_run(
    session: Session,
    user_id: str,
    live: LiveRun,
    backtest: Backtest,
    *,
    symbols: Sequence[str] | None = None,
    coin: str = "USDT",
    tolerances: Tolerances | None = None,
) -> Comparison:
    """Compare what the run traded with a backtest, explained from all that was recorded of it.

    `session` serves the user whose run it is; `coin` names the wallet whose equity is compared.
    Raises ComparatorError where there is nothing to compare, SplitError if the split of the
    profit does not add up.
    """
    run, wanted = live.run, live.wanted
    scope = TenantScope(session, user_id)
    around = TimeRange(max(wanted.start_us - MARGIN_US, 0), wanted.end_us + MARGIN_US)
    traded = LiveTradeLoader(session, scope.user_id).load(run.id, around)
    strategy = None if run.strategy_id is None else scope.strategies.get_by_id(run.strategy_id)
    return compare(
        traded,
        backtest.side,
        wanted,
        symbols=symbols,
        tolerances=tolerances,
        reader=EvidenceReader(session, scope, run),
        curves=Curves(live=_wallet(scope, live, coin), backtest=backtest.curve),
        facts={
            "Run": f"{run.id} ({run.run_type.value}, {run.status.value})",
            "Strategy": "not recorded" if strategy is None else strategy.name,
            "Backtest": backtest.source,
        },
    )


def _wallet(scope: TenantScope, live: LiveRun, coin: str) -> list[Point]:
    if live.run.account_id is None:
        return []
    snapshots = scope.wallets.get_by_account_range(
        live.run.account_id, moment(live.wanted.start_us), moment(live.wanted.end_us), coin
    )
    return wallet_curve(snapshots)
