"""A backtest written into a database as if it had been traded live, and both databases."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from backtest.result.session import BacktestSession
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from comparator.comparison import Comparison
from comparator.money.metrics import Tolerances
from comparator.recorded_run import compare_run, find_run
from comparator.sources import of_sessions
from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    InstrumentRecord,
    InstrumentRepository,
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    PublicTradeRecord,
    PublicTradeRepository,
    RunStatus,
    RunType,
    SnapshotSource,
    TenantScope,
    TickerSnapshotRecord,
    TickerSnapshotRepository,
    UserRepository,
    WalletSnapshotRecord,
)
from grid_db.enums import AccountEnvironment
from gridcore import DirectionType, SideType
from gridcore.moments import moment
from market_data.columns.ticks import TickColumns
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import contract
from testkit.injected import Compare

SYMBOL = "BTCUSDT"
STRATEGY = {
    "strat_id": "grid",
    "grid_count": 20,
    "grid_step": "0.1",
    "amount": "x0.02",
}
# wallets a minute apart, as a live run stores them: enough for the hours that are compared
CONFIG = BacktestConfig.model_validate({"strategies": [STRATEGY], "equity_interval_s": 60})


@dataclass
class Recording:
    """What a live run would have left behind; change the lists, then `write` them."""

    columns: TickColumns
    session: BacktestSession
    executions: list[PrivateExecutionRecord] = field(default_factory=list)
    orders: list[OrderRecord] = field(default_factory=list)
    positions: list[PositionSnapshotRecord] = field(default_factory=list)
    wallets: list[WalletSnapshotRecord] = field(default_factory=list)
    ticks: list[PublicTradeRecord] = field(default_factory=list)
    run_id: str = ""
    user_id: str = ""
    account_id: str = ""

    def copy(self) -> "Recording":
        """Return one whose lists can be changed."""
        return replace(
            self,
            executions=list(self.executions),
            orders=list(self.orders),
            positions=list(self.positions),
            wallets=list(self.wallets),
            ticks=list(self.ticks),
        )

    def write(self, database: DatabaseFactory, user: str = "alice") -> None:
        """Store everything as one finished run of that user."""
        with database.get_session() as session:
            self.user_id = UserRepository(session).get_or_create(user).id
        with database.get_session() as session:
            PublicTradeRepository(session).bulk_insert(self.ticks)
            TickerSnapshotRepository(session).bulk_insert(
                TickerSnapshotRecord(
                    symbol=tick.symbol, exchange_ts=tick.exchange_ts, last_price=tick.price
                )
                for tick in self.ticks
            )
            rules = self.session.strategies[0].config.instrument
            InstrumentRepository(session).upsert(
                [
                    InstrumentRecord(
                        symbol=SYMBOL,
                        base_coin="BTC",
                        quote_coin="USDT",
                        status="Trading",
                        tick_size=rules.tick_size,
                        qty_step=rules.qty_step,
                        min_qty=rules.qty_step,
                        max_qty=Decimal(1000),
                        min_notional=Decimal(5),
                        updated_at=self.ticks[0].exchange_ts,
                    )
                ]
            )
        with database.get_session() as session:
            scope = TenantScope(session, self.user_id)
            account = scope.accounts.get_or_create("main", AccountEnvironment.PAPER)
            strategy = scope.strategies.save(account.id, "grid", SYMBOL, {})
            first, last = self.ticks[0].exchange_ts, self.ticks[-1].exchange_ts
            run = scope.runs.create(
                RunType.PAPER, first, account_id=account.id, strategy_id=strategy.id, symbol=SYMBOL
            )
            scope.runs.finish(run.id, RunStatus.COMPLETED, last)
            self.run_id, self.account_id = run.id, account.id
            owner = {"account_id": account.id, "run_id": run.id}
            scope.executions.bulk_insert(replace(row, **owner) for row in self.executions)
            scope.orders.bulk_upsert(replace(row, **owner) for row in self.orders)
            scope.positions.bulk_insert(replace(row, **owner) for row in self.positions)
            scope.wallets.bulk_insert(replace(row, **owner) for row in self.wallets)

    def change(self, number: int, **changes: object) -> PrivateExecutionRecord:
        """Change one execution; return it as it was."""
        before = self.executions[number]
        self.executions[number] = replace(before, **changes)  # type: ignore[arg-type]
        return before


def record(columns: TickColumns, session: BacktestSession) -> Recording:
    """Return a session as the records of a live run; orders are placed 100 s before they fill."""
    made = Recording(columns, session)
    first = moment(int(columns.ts_us[0]))
    for leg in DirectionType:
        made.positions.append(
            PositionSnapshotRecord(
                account_id="",
                symbol=SYMBOL,
                direction=leg,
                source=SnapshotSource.PAPER,
                size=Decimal(0),
                exchange_ts=first - timedelta(seconds=1),
                local_ts=first,
            )
        )
    for number, trade in enumerate(session.trades):
        link = f"{trade.client_order_id}-{number}"
        made.executions.append(
            PrivateExecutionRecord(
                account_id="",
                run_id="",
                symbol=trade.symbol,
                exec_id=trade.exec_id,
                order_id=trade.order_id,
                order_link_id=link,
                exec_type="Trade",
                side=trade.side,
                direction=trade.direction,
                exec_price=trade.price,
                exec_qty=trade.qty,
                exec_fee=trade.fee,
                closed_pnl=trade.realised_pnl,
                closed_size=trade.qty if trade.closing else Decimal(0),
                leaves_qty=trade.leaves_qty,
                is_maker=trade.is_maker,
                exchange_ts=trade.ts,
                local_ts=trade.ts,
            )
        )
        placed = OrderRecord(
            account_id="",
            run_id="",
            symbol=trade.symbol,
            order_id=trade.order_id,
            order_link_id=link,
            side=trade.side,
            direction=trade.direction,
            order_type="Limit",
            status="New",
            price=trade.price,
            qty=trade.qty,
            cum_exec_qty=Decimal(0),
            reduce_only=trade.closing,
            created_ts=trade.ts - timedelta(seconds=100),
            exchange_ts=trade.ts - timedelta(seconds=100),
            local_ts=trade.ts,
        )
        filled = replace(placed, status="Filled", cum_exec_qty=trade.qty, exchange_ts=trade.ts)
        made.orders += [placed, filled]
    for paid in session.funding_payments:
        made.executions.append(
            PrivateExecutionRecord(
                account_id="",
                run_id="",
                symbol=paid.symbol,
                exec_id=f"f-{paid.direction}-{paid.ts_us}",
                order_id=f"f-{paid.ts_us}",
                exec_type="Funding",
                side=paid.direction.opening_side,
                direction=paid.direction,
                exec_price=paid.mark_price,
                exec_qty=paid.size,
                exec_fee=paid.paid,
                fee_rate=paid.rate,
                exchange_ts=moment(paid.ts_us),
                local_ts=moment(paid.ts_us),
            )
        )
    for ts_us, equity in zip(session.equity.ts_us, session.equity.equity, strict=True):
        made.wallets.append(
            WalletSnapshotRecord(
                account_id="",
                coin="USDT",
                equity=equity,
                exchange_ts=moment(ts_us),
                local_ts=moment(ts_us),
            )
        )
    for number in range(len(columns)):
        ts = moment(int(columns.ts_us[number]))
        made.ticks.append(
            PublicTradeRecord(
                symbol=SYMBOL,
                trade_id=f"t{number}",
                exchange_ts=ts,
                local_ts=ts,
                side=SideType.BUY if columns.side[number] > 0 else SideType.SELL,
                price=columns.tick_size * int(columns.price_ticks[number]),
                size=columns.size_step * int(columns.size[number]),
            )
        )
    return made


@pytest.fixture(scope="session")
def walk() -> TickColumns:
    """Ticks of most of a day, with funding times among them."""
    return RandomWalk(trades_per_s=0.02, volatility=1.5).generate(1_500, 4)


@pytest.fixture(scope="session")
def session_of_walk(walk: TickColumns) -> BacktestSession:
    """The backtest of the walk."""
    return run_columns(CONFIG, walk, contract(walk))


@pytest.fixture(scope="session")
def recorded(walk: TickColumns, session_of_walk: BacktestSession) -> Recording:
    """The recording of the session."""
    return record(walk, session_of_walk)


@pytest.fixture
def recording(recorded: Recording) -> Recording:
    """A copy of the recording, to be changed and written by the test."""
    return recorded.copy()


@pytest.fixture
def record_of() -> Callable[[TickColumns, BacktestSession], Recording]:
    """The function that makes a recording of a session."""
    return record


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[DatabaseFactory]:
    """A database in an SQLite file, where the kind of the database is not the question."""
    file = tmp_path / "recording.db"
    shutil.copy(sqlite_template, file)
    settings = DatabaseSettings(database_url=f"sqlite:///{file}")  # type: ignore[arg-type]
    with DatabaseFactory(settings) as factory:
        yield factory


@pytest.fixture
def compare(sqlite_database: DatabaseFactory, recording) -> Compare:
    """Write the recording and compare it with its own backtest unless another is given."""

    def run(
        backtest: BacktestSession | None = None,
        *,
        end: str | None = None,
        tolerances: Tolerances | None = None,
        prepare: Callable[[DatabaseFactory], None] | None = None,
    ) -> Comparison:
        recording.write(sqlite_database)
        if prepare is not None:
            prepare(sqlite_database)
        with sqlite_database.get_session() as session:
            live = find_run(session, recording.user_id, recording.run_id, None, end)
            other = of_sessions([backtest or recording.session], "test")
            return compare_run(session, recording.user_id, live, other, tolerances=tolerances)

    return run
