"""Comparator speed: live trades of a database against backtest trades of a file, all the way.

What is measured is the command without its report: reading, matching, figures, the split of the
profit, causes; one trade in a thousand is missing on each side. BENCH_TRADES chooses the number of
trades on each side (1,000,000 for the figures of the documentation). The memory is the most that
the process ever held, the preparation of the input left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from comparator.recorded_run import compare_run, find_run
from comparator.report.reporter import ComparatorReporter
from comparator.sources import backtest_of_files, open_database
from comparator.verdict import BREACHED
from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    PrivateExecutionRecord,
    RunStatus,
    RunType,
    TenantScope,
    UserRepository,
    user_id_for,
)
from grid_db.enums import AccountEnvironment
from gridcore import DirectionType, SideType, client_order_id_for
from gridcore.moments import moment

TRADES = int(os.environ.get("BENCH_TRADES", "200_000"))
LEVELS = 400
START = datetime(2026, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
BATCH = 20_000

Row = tuple[str, float, str, str]


def rows() -> Iterator[Row]:
    """Yield name, value, unit, input."""
    what = f"{TRADES:,} live against {TRADES:,} backtest trades, 0.1 % missing on each side"
    with tempfile.TemporaryDirectory() as folder:
        # in a process of its own, so that its memory is not counted
        made = subprocess.run(  # noqa: S603 - this very file
            [sys.executable, __file__, "prepare", folder],
            capture_output=True,
            text=True,
            check=True,
        )
        done = subprocess.run(  # noqa: S603 - likewise
            [sys.executable, __file__, "compare", folder, made.stdout.strip()],
            capture_output=True,
            text=True,
            check=True,
        )
        read, compared, reported, peak, cpu = map(float, done.stdout.split())
    yield "comparator, whole comparison", compared, "s", what
    yield "comparator, processor time of that", cpu, "s", what
    yield "comparator, of that reading the file", read, "s", what
    yield "comparator, per trade", compared / TRADES / 2 * 1e6, "us", what
    yield "comparator, CSV files and page", reported, "s", what
    yield "comparator, peak memory", peak, "MB", what


def fills() -> pl.DataFrame:
    """Return fills of a grid that comes back to its levels again and again."""
    random = np.random.default_rng(7)
    level = np.abs(np.cumsum(random.choice([-1, 1], TRADES))) % LEVELS
    ids = {
        (at, side, leg): client_order_id_for("BTCUSDT", side, Decimal(60_000 + at), leg, "bench")
        for at in range(LEVELS)
        for side in SideType
        for leg in DirectionType
    }
    sides, legs = list(SideType), list(DirectionType)
    side, leg = random.integers(0, 2, TRADES), random.integers(0, 2, TRADES)
    qty = random.integers(1, 9, TRADES)
    # 0.02 % of the notional: level price x qty/1000 x 2/10000
    fee = (60_000 + level) * qty * 2
    return pl.DataFrame(
        {
            "client_order_id": [
                ids[at, sides[s], legs[d]]
                for at, s, d in zip(level.tolist(), side.tolist(), leg.tolist(), strict=True)
            ],
            "order_id": [f"bench-o{number}" for number in range(TRADES)],
            "symbol": ["BTCUSDT"] * TRADES,
            "side": [sides[s].value for s in side],
            "direction": [legs[d].value for d in leg],
            "price": [str(60_000 + at) for at in level],
            "qty": [f"0.{number:03}" for number in qty],
            "fee": [f"{units // 10**7}.{units % 10**7:07}" for units in fee.tolist()],
            "realised_pnl": [f"0.{number:013}" for number in random.integers(0, 10**12, TRADES)],
            "ts_us": np.cumsum(random.integers(1, 4_000_000, TRADES))
            + int(START.timestamp()) * 1_000_000,
        }
    )


def prepare(folder: Path) -> str:
    """Write database and file; return the id of the run."""
    every = fills()
    random = np.random.default_rng(11)
    kept = every.filter(pl.Series(random.random(TRADES) > 0.001))
    kept.write_csv(folder / "trades.csv")
    url = f"sqlite:///{folder / 'live.db'}"
    settings = DatabaseSettings(database_url=url)  # type: ignore[arg-type]  # pydantic makes the secret
    with DatabaseFactory(settings) as database:
        database.create_tables()
        with database.get_session() as session:
            user = UserRepository(session).get_or_create("bench")
        with database.get_session() as session:
            scope = TenantScope(session, user.id)
            account = scope.accounts.get_or_create("main", AccountEnvironment.PAPER)
            run = scope.runs.create(RunType.LIVE, START, account_id=account.id)
            last = moment(int(every["ts_us"][-1]))
            scope.runs.finish(run.id, RunStatus.COMPLETED, last)
        live = every.filter(pl.Series(random.random(TRADES) > 0.001))
        for block in live.iter_slices(BATCH):
            with database.get_session() as session:
                TenantScope(session, user.id).executions.bulk_insert(
                    execution(account.id, run.id, row) for row in block.iter_rows(named=True)
                )
    return run.id


def execution(account_id: str, run_id: str, row: dict[str, str]) -> PrivateExecutionRecord:
    """Return one fill as it is recorded."""
    ts = moment(int(row["ts_us"]))
    side, leg = SideType(row["side"]), DirectionType(row["direction"])
    return PrivateExecutionRecord(
        account_id=account_id,
        run_id=run_id,
        symbol=row["symbol"],
        exec_id=f"x{row['order_id']}",
        order_id=row["order_id"],
        order_link_id=f"{row['client_order_id']}-{row['order_id']}",
        exec_type="Trade",
        side=side,
        direction=leg,
        exec_price=Decimal(row["price"]),
        exec_qty=Decimal(row["qty"]),
        exec_fee=Decimal(row["fee"]),
        closed_pnl=Decimal(row["realised_pnl"]),
        exchange_ts=ts,
        local_ts=ts,
    )


def compare(folder: Path, run_id: str) -> str:
    """Compare; return seconds of reading the file, of all, of reporting, the peak in MB, and
    seconds of processor time over all threads."""
    started, started_cpu = time.perf_counter(), time.process_time()
    user_id = user_id_for("bench")
    with open_database(f"sqlite:///{folder / 'live.db'}") as database:
        backtest = backtest_of_files(folder / "trades.csv", None)
        read = time.perf_counter() - started
        with database.get_session() as session:
            live = find_run(session, user_id, run_id, None, None)
            comparison = compare_run(session, user_id, live, backtest)
    compared = time.perf_counter() - started
    cpu, peak = time.process_time() - started_cpu, peak_mb()
    assert not comparison.within_tolerance, f"exit code {BREACHED} is right here"
    assert comparison.metrics.matched > TRADES * 0.99
    reporter = ComparatorReporter(comparison)
    started = time.perf_counter()
    reporter.export(folder / "out")
    reporter.html(folder / "out" / "report.html")
    return f"{read} {compared} {time.perf_counter() - started} {peak} {cpu}"


def peak_mb() -> float:
    """Return the most memory that this process held, in MB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        print(prepare(Path(sys.argv[2])))
    elif sys.argv[1:2] == ["compare"]:
        print(compare(Path(sys.argv[2]), sys.argv[3]))
    else:
        for row in rows():
            print(*row, sep="  ")
