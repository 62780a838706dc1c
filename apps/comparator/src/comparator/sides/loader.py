"""Trades of both sides, loaded into one form."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy.orm import Session

from backtest.result.session import BacktestSession
from comparator.columns.exact import of_decimals
from comparator.columns.recorded_columns import read_executions
from comparator.columns.trades import NormalizedTrade, Source, TradeTable
from comparator.money.fee_coins import FeeValuer
from comparator.money.funding import FundingPaid, of_payments
from comparator.sides.backtest_file import read_funding, read_trades
from comparator.sides.grouping import trades_of_fills, with_names
from comparator.sides.live_fills import live_funding, live_trades
from gridcore.moments import moment
from market_data.basics.time_range import TimeRange

__all__ = [
    "FILLS",
    "FUNDING",
    "BacktestTradeLoader",
    "LiveTradeLoader",
    "NormalizedTrade",
    "Side",
    "Source",
]

# executions that change a position; everything else that is no funding is counted and left out
FILLS: Final = frozenset(
    {"Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition", "FutureSpread", "Delivery"}
)
FUNDING: Final = "Funding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side did: its trades, what it paid, and what its records lack (sentences)."""

    trades: TradeTable
    funding: list[FundingPaid]
    warnings: list[str] = field(default_factory=list)


class LiveTradeLoader:
    """Loads the executions of one run of the tenant that the session serves."""

    def __init__(self, session: Session, user_id: str) -> None:
        self._session = session
        self._user_id = user_id

    def load(self, run_id: str, wanted: TimeRange) -> Side:
        """Return the run's trades and funding within the range; empty without executions.

        Partial fills of one order are one trade. The leg is the recorded one, else follows from
        the closed size; rows with neither are judged by their realised profit and counted.
        """
        executions = read_executions(
            self._session,
            self._user_id,
            run_id,
            moment(wanted.start_us),
            moment(wanted.end_us),
        )
        kind = executions["exec_type"]
        funding = live_funding(executions.filter(kind == FUNDING))
        left_out = _left_out(executions.filter(~kind.is_in([*FILLS, FUNDING])))
        executions = executions.filter(kind.is_in(list(FILLS)))
        valuer = FeeValuer(self._session)
        trades = live_trades(executions, valuer.fees(executions))
        told = [*_warnings(trades), *valuer.warnings, *left_out]
        return Side(trades=trades, funding=funding, warnings=told)


class BacktestTradeLoader:
    """Loads the trades of a backtest from its session or from the files that it exported."""

    def of_session(self, session: BacktestSession) -> Side:
        """Return what a session traded and paid."""
        rows = session.trades
        frame = pl.DataFrame(
            {
                "client_order_id": [t.client_order_id for t in rows],
                "order_id": [t.order_id for t in rows],
                "symbol": [t.symbol for t in rows],
                "side": [t.side.value for t in rows],
                "direction": [t.direction.value for t in rows],
                "kind": [t.kind.value for t in rows],
                "ts_us": [t.ts_us for t in rows],
            },
            schema={
                **dict.fromkeys(
                    ("client_order_id", "order_id", "symbol", "side", "direction", "kind"),
                    pl.String,
                ),
                "ts_us": pl.Int64,
            },
        )
        exact = {
            "price": of_decimals([t.price for t in rows]),
            "qty": of_decimals([t.qty for t in rows]),
            "fee": of_decimals([t.fee for t in rows]),
            "realized_pnl": of_decimals([t.realised_pnl for t in rows]),
        }
        table = trades_of_fills(Source.BACKTEST, with_names(frame), exact)
        return Side(trades=table, funding=of_payments(session.funding_payments))

    def of_file(self, path: str | Path) -> Side:
        """Return the trades of a CSV or Parquet file, and the funding of the file beside it.

        Raises ComparatorError that names the missing columns or the row that cannot be read.
        """
        path = Path(path)
        frame, exact = read_trades(path)
        table = trades_of_fills(Source.BACKTEST, with_names(frame), exact)
        funding = read_funding(path)
        warnings = _warnings(table)
        if funding is None:
            warnings.append(
                f"{path.name}: no funding file beside it, so the backtest is taken to have paid"
                " none; keep funding.csv of the export in the same folder"
            )
        return Side(trades=table, funding=funding or [], warnings=warnings)


def _warnings(trades: TradeTable) -> list[str]:
    found = []
    side = trades.source.value
    if trades.inferred:
        found.append(
            f"{trades.inferred:,} {side} orders were recorded without leg and closed size; their"
            " leg is inferred from the realised profit, which cannot tell a break-even close"
        )
    for name, what in (("fee", "fee"), ("realized_pnl", "realised profit")):
        missing = trades.frame[name].null_count()
        if missing:
            found.append(
                f"{missing:,} {side} trades were recorded without their {what} in USDT, which is"
                " left out of the sums"
            )
    return found


def _left_out(executions: pl.DataFrame) -> list[str]:
    kinds = executions.group_by("exec_type").len().sort("exec_type").rows()
    return [
        f"{count:,} live executions of type {kind} are no trades: left out" for kind, count in kinds
    ]
