"""No cell of a CSV file is a formula, every text comes back, and a report runs no name as code."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from backtest.report.export import export_session, read_trades
from backtest.report.html_report import html_page
from backtest.report.reporter import BacktestReporter
from backtest.result.session import BacktestSession
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from market_data.basics.csv_cells import SafeWriter, csv_of, plain_cell, plain_frame, safe_cell
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import contract

FORMULAS = [
    "=cmd|'/c calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "\n=1", "＝1+1",
    "-", "+", "=", "-2+3+cmd", "--1",
]  # fmt: skip
NUMBERS = ["-1", "+1.5", "-0.00000001", "-1e-7", "12", "0", "-.5", "3."]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert plain_cell(safe_cell(text)) == text


@pytest.mark.parametrize("text", [*NUMBERS, "BTCUSDT", "", "a=b", "2025-01-01T00:00:00+00:00"])
def test_numbers_and_names_are_left_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00\r"))))
def test_every_text_comes_back_by_both_writers(texts: list[str]) -> None:
    frame = pl.DataFrame(
        {"number": range(len(texts)), "text": texts}, schema_overrides={"text": pl.String}
    )
    out = io.StringIO()
    writer = SafeWriter(out)
    writer.row(("number", "text"))
    for number, text in enumerate(texts):
        writer.row((str(number), text))
    for written in (out.getvalue(), csv_of(frame).decode()):
        rows = list(csv.DictReader(io.StringIO(written, newline="")))
        assert [plain_cell(row["text"]) for row in rows] == texts
        assert [row["text"] for row in rows] == [safe_cell(text) for text in texts]
    plain = plain_frame(
        pl.DataFrame({"text": [safe_cell(text) for text in texts]}, schema={"text": pl.String})
    )
    assert plain["text"].to_list() == texts


def test_there_is_no_other_writer_of_csv() -> None:
    root = Path(__file__).resolve().parents[3]
    sources = [*root.glob("apps/*/src/**/*.py"), *root.glob("packages/*/src/**/*.py")]
    sources += root.glob("shared/db/src/**/*.py")
    writes = re.compile(r"csv\.(writer|DictWriter)\(|\.write_csv\(")
    found = [path.name for path in sources if writes.search(path.read_text(encoding="utf-8"))]
    assert found == ["csv_cells.py"]


NAMES = ["<script>alert(1)</script>", "=cmd|'/c calc'!A0", "-1+1", "[/bold]", "{title}", "@SUM(1)"]


def run(strat_id: str) -> BacktestSession:
    columns = RandomWalk(trades_per_s=0.02, volatility=1.5).generate(1_500, 4)
    config = BacktestConfig.model_validate(
        {
            "strategies": [
                {"strat_id": strat_id, "grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}
            ]
        }
    )
    return run_columns(config, columns, contract(columns))


@pytest.mark.parametrize("name", NAMES)
def test_a_strategy_of_any_name_is_reported_as_text(name: str, tmp_path: Path) -> None:
    session = run(name)
    assert session.strategies[0].trades
    export_session(session, tmp_path)
    folder = tmp_path / session.symbol
    with (folder / "trades.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell != safe_cell(plain_cell(cell))] == []
    assert not any(cell.startswith(("=", "@", "-1+")) for cell in cells)
    for kind in ("csv", "parquet"):
        trades = read_trades(folder / f"trades.{kind}")
        assert {one.strat_id for one in trades} == {name}
        assert tuple(trades) == session.strategies[0].trades
    page = html_page({session.symbol: session}, {})
    assert "<script>alert" not in page
    out = io.StringIO()
    BacktestReporter({session.symbol: session}).print(Console(file=out, width=200))
    assert name in out.getvalue()
