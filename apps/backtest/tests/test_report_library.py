"""The reporter for programs: one file of each kind, of one run or of several."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from backtest import BacktestReporter
from backtest.report.export import metric_values, read_trades
from backtest.result.session import BacktestSession
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import contract

COLUMNS = RandomWalk(trades_per_s=0.02, volatility=1.5).generate(1_500, 4)


@pytest.fixture(scope="module")
def session() -> BacktestSession:
    strategy = {"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}
    config = BacktestConfig.model_validate({"strategies": [strategy]})
    return run_columns(config, COLUMNS, contract(COLUMNS))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_session_is_enough(session: BacktestSession, tmp_path: Path) -> None:
    reporter = BacktestReporter(session)
    trades = reporter.export_trades(tmp_path / "t.csv")
    assert trades == tmp_path / "t.csv"
    assert read_trades(trades) == list(session.trades)
    metrics = rows_of(reporter.export_metrics(tmp_path / "m.csv"))
    assert [(row["metric"], row["value"]) for row in metrics] == metric_values(session.metrics)
    assert {row["symbol"] for row in metrics} == {session.symbol}
    curve = rows_of(reporter.export_equity_curve(tmp_path / "e.csv"))
    assert [int(row["ts_us"]) for row in curve] == list(session.equity.ts_us)
    assert len(rows_of(reporter.export_funding(tmp_path / "f.csv"))) == len(
        session.funding_payments
    )


def test_several_sessions_share_a_file(session: BacktestSession, tmp_path: Path) -> None:
    reporter = BacktestReporter({"BTCUSDT": session, "other": replace(session, symbol="ETHUSDT")})
    frame = pl.read_parquet(reporter.export_equity_curve(tmp_path / "new" / "e.parquet"))
    assert len(frame) == 2 * len(session.equity.equity)
    assert frame["symbol"].unique().sort().to_list() == ["BTCUSDT", "ETHUSDT"]
    assert len(read_trades(reporter.export_trades(tmp_path / "t.parquet"))) == 2 * len(
        session.trades
    )


@pytest.mark.parametrize("name", ["trades", "trades.xlsx"])
def test_a_table_is_csv_or_parquet(session: BacktestSession, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}: .*ends with \.csv or \.parquet"):
        BacktestReporter(session).export_trades(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["results.csv", "results.Parquet", "page.html"])
def test_an_export_of_everything_is_a_folder(
    session: BacktestSession, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match=rf"{name}: .* is a folder"):
        BacktestReporter(session).export(tmp_path / name)
    assert not list(tmp_path.iterdir())
