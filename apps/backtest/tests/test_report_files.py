"""What is written about a run: the files, the page, and that they say the same."""

import csv
import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from backtest.report.charts import MOST_FILLS, daily_pnl
from backtest.report.export import (
    TRADE_COLUMNS,
    export_session,
    metric_values,
    read_trades,
    run_facts,
)
from backtest.report.figures import UNKNOWN, data_lines, duration, figure_groups, money, percent
from backtest.report.html_report import html_page
from backtest.report.reporter import BacktestReporter
from backtest.result.session import BacktestSession
from backtest.result.thinning import thin_evenly, thin_rows
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from market_data.basics.data_errors import UnreadableFileError
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import contract, ticks

DEADLY = {"leverage": 50, "max_margin": 1000, "amount": "x2", "min_liq_ratio": 10}


COLUMNS = RandomWalk(trades_per_s=0.02, volatility=1.5).generate(6_000, 4)


def run(rows: int = 2_000, **changes: object) -> BacktestSession:
    columns = COLUMNS.between(COLUMNS.first_ts_us, int(COLUMNS.ts_us[rows]))
    strategy: dict[str, object] = {"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}
    config = BacktestConfig.model_validate({"strategies": [strategy | changes]})
    return run_columns(config, columns, contract(columns))


def dead_run() -> BacktestSession:
    columns = ticks([600_000 - step * 40 for step in range(4_000)])
    config = BacktestConfig.model_validate(
        {"strategies": [{"grid_count": 20, "grid_step": "0.1"} | DEADLY], "initial_balance": 1000}
    )
    return run_columns(config, columns, contract(columns))


@pytest.fixture(scope="module")
def session() -> BacktestSession:
    return run()


@pytest.fixture(scope="module")
def exported(session: BacktestSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export_session(session, folder)
    return folder / session.symbol


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_trades_come_back_as_they_were(session: BacktestSession, exported: Path, kind: str) -> None:
    assert session.trades
    assert tuple(read_trades(exported / f"trades.{kind}")) == session.trades


def test_the_files_add_up_to_the_metrics(session: BacktestSession, exported: Path) -> None:
    metrics = {row["metric"]: row["value"] for row in rows_of(exported / "metrics.csv")}
    trades = rows_of(exported / "trades.csv")
    assert list(trades[0]) == list(TRADE_COLUMNS)
    fees = sum(Decimal(row["fee"]) for row in trades)
    realised = sum(Decimal(row["realised_pnl"]) for row in trades)
    funding = sum(Decimal(row["paid"]) for row in rows_of(exported / "funding.csv"))
    equity = rows_of(exported / "equity.csv")
    assert Decimal(metrics["commission"]) == fees > 0
    assert Decimal(metrics["realised_pnl"]) == realised != 0
    assert Decimal(metrics["funding"]) == funding != 0
    assert int(metrics["fills"]) == len(trades)
    wallet = session.initial_balance + realised - fees - funding
    assert wallet + Decimal(metrics["unrealised_pnl"]) == Decimal(equity[-1]["equity"])
    assert Decimal(metrics["net_pnl"]) == Decimal(equity[-1]["equity"]) - session.initial_balance


def test_parquet_says_the_same_as_csv(exported: Path) -> None:
    for name in ("trades", "funding", "equity", "metrics"):
        frame = pl.read_parquet(exported / f"{name}.parquet")
        rows = rows_of(exported / f"{name}.csv")
        assert frame.columns == list(rows[0])
        assert len(frame) == len(rows)
        for column in frame.columns:
            for found, text in zip(frame[column].to_list(), (r[column] for r in rows), strict=True):
                if isinstance(found, Decimal):
                    assert found == Decimal(text)
                elif isinstance(found, bool):
                    assert str(found).lower() == text
                else:
                    assert str(found) == text


@pytest.mark.untraced
def test_the_facts_of_a_run_are_enough_to_repeat_it(
    session: BacktestSession, exported: Path
) -> None:
    facts = json.loads((exported / "run.json").read_text())
    again = BacktestConfig.model_validate(facts["settings"])
    columns = COLUMNS.between(COLUMNS.first_ts_us, session.data.last_ts_us + 1)
    assert facts["data"]["fingerprint"] == columns.fingerprint()
    assert run_columns(again, columns, contract(columns)).trades == session.trades


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "without ts_us, symbol"),
        ("", "without ts_us, symbol"),
        (",".join(TRADE_COLUMNS) + "\n" + ",".join(["x"] * len(TRADE_COLUMNS)), "trade 1 cannot"),
    ],
)
def test_a_file_that_holds_no_trades_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(text)
    with pytest.raises(UnreadableFileError, match=says):
        read_trades(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no such file"):
        read_trades(tmp_path / "nothing.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UnreadableFileError, match=r"bad\.parquet: cannot be read"):
        read_trades(tmp_path / "bad.parquet")


def page_of(session: BacktestSession) -> str:
    return html_page({session.symbol: session}, {})


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_shows_the_figures_of_the_files(session: BacktestSession, exported: Path) -> None:
    page = page_of(session)
    shown = dict(re.findall(r'data-metric="(\w+)" data-exact="([^"]*)"', page))
    metrics = {row["metric"]: row["value"] for row in rows_of(exported / "metrics.csv")}
    assert len(shown) > 20
    for name, exact in shown.items():
        assert exact == metrics[name]


def test_the_page_needs_nothing_from_elsewhere(session: BacktestSession) -> None:
    page = without_scripts(page_of(session))
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert "default-src 'none'" in page


@pytest.mark.untraced
def test_texts_from_outside_cannot_become_markup() -> None:
    evil = "</script><script>alert(1)</script><b>"
    session = replace(run(strat_id=evil), warnings=(evil,), rules=evil)
    page = page_of(session)
    body = without_scripts(page)
    assert "<b>" not in body
    assert "alert(1)" in body
    assert page.count("</script>") == 3


def test_liquidation_comes_first(session: BacktestSession) -> None:
    died = dead_run()
    assert died.liquidation is not None
    lines = printed(died).splitlines()
    assert lines[0].startswith("LIQUIDATED: BTCUSDT at ")
    body = without_scripts(page_of(died))
    main = body.split("<main>")[1]
    assert main.split(">", 2)[2].startswith("LIQUIDATED: BTCUSDT at ")
    assert "LIQUIDATED" not in printed(session)


def printed(*sessions: BacktestSession, width: int = 100, **failures: Exception) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as capture:
        BacktestReporter({f"{n}": s for n, s in enumerate(sessions)}, failures).print(console)
    return capture.get()


def test_several_symbols_end_with_a_summary(session: BacktestSession) -> None:
    text = printed(session, session, XRPUSDT=ValueError("no data"))
    assert "all symbols" in text
    assert "XRPUSDT" in text
    assert "not run" in text
    assert "all symbols" not in printed(session)


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_wider_than_the_terminal(session: BacktestSession, width: int) -> None:
    assert max(len(line) for line in printed(session, width=width).splitlines()) <= width


def test_a_report_says_how_orders_filled_and_what_of_the_exchange_was_not_known() -> None:
    config = BacktestConfig.model_validate(
        {"strategies": [{}], "fill_model": "chance", "fill_chance": "0.25", "fill_seed": 9}
    )
    columns = COLUMNS.between(COLUMNS.first_ts_us, int(COLUMNS.ts_us[50]))
    drawn = run_columns(config, columns, contract(columns))
    lines = dict(data_lines(drawn))
    assert "a chance of 0.25, seed 9; latency 0 ms" in lines["Fill model"]
    assert "price limit, largest leverage" in lines["Not known"]
    assert "price limit" in run_facts(drawn)["unchecked"]


def test_what_does_not_exist_is_a_dash_and_never_zero() -> None:
    columns = ticks([600_000])
    config = BacktestConfig.model_validate({"strategies": [{}]})
    metrics = run_columns(config, columns, contract(columns)).metrics
    shown = {f.name: f.shown for group in figure_groups(metrics).values() for f in group}
    for name in ("sharpe", "sortino", "calmar", "win_rate", "average_win", "profit_factor_long"):
        assert shown[name] == UNKNOWN
        assert dict(metric_values(metrics))[name] == ""
    assert shown["net_pnl"] == "0.00"


def test_every_metric_is_shown(session: BacktestSession) -> None:
    shown = {f.name for group in figure_groups(session.metrics).values() for f in group}
    # these are told inside others' explanations, or in the headline
    inside = {"winners", "losers", "max_drawdown_from_us", "max_drawdown_to_us", "days"}
    assert shown | inside == {name for name, _ in metric_values(session.metrics)}


def test_profits_of_days_add_up(session: BacktestSession) -> None:
    days = daily_pnl(session)
    assert len(days) == 2
    assert abs(sum(pnl for _, pnl in days) - float(session.net_pnl)) < 0.001


def test_many_fills_are_thinned_for_drawing_only(session: BacktestSession) -> None:
    trades = session.strategies[0].trades
    many = tuple(trade for trade in trades for _ in range(12_000 // len(trades) + 1))
    crowded = replace(session, strategies=(replace(session.strategies[0], trades=many * 2),))
    page = page_of(crowded)
    assert f"{MOST_FILLS:,} of " in page
    assert len(page) < 15_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [("0", "0 s"), ("59.9", "59 s"), ("3600", "1 h"), ("90061", "1 d 1 h"), ("61", "1 min 1 s")],
)
def test_durations(seconds: str, text: str) -> None:
    assert duration(Decimal(seconds)) == text


def test_amounts() -> None:
    assert money(Decimal("-1234.565")) == "-1,234.56"
    assert money(Decimal("-0.001")) == "0.00"
    assert money(None) == percent(None) == UNKNOWN
    assert percent(Decimal("12.345")) == "12.34 %"


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=400), st.integers(4, 50))
def test_thinning_keeps_ends_and_extremes(values: list[int], most: int) -> None:
    array = np.array(values)
    rows = thin_rows(array, most)
    assert rows[0] == 0
    assert rows[-1] == len(values) - 1
    assert array[rows].min() == array.min()
    assert array[rows].max() == array.max()
    assert len(rows) <= most + 2
    assert np.all(np.diff(rows) > 0)
    even = thin_evenly(len(values), most)
    assert len(even) <= most
    assert even[0] == 0
    assert even[-1] == len(values) - 1


def test_orders_that_the_contract_enlarges_are_told_in_every_report(tmp_path: Path) -> None:
    session = run(amount="1", strat_id="tiny")
    (told,) = (text for text in session.warnings if text.startswith("tiny: amount asks for 1.00"))
    assert "set max_amount_factor" in told
    assert told in html_page({session.symbol: session}, {}).replace("&#x27;", "'")
    export_session(session, tmp_path)
    facts = json.loads((tmp_path / session.symbol / "run.json").read_text())
    assert told in facts["warnings"]
    assert len(session.strategies[0].trades) > 0  # it ran all the same


@pytest.mark.parametrize("changes", [{"amount": "1", "max_amount_factor": 1000}, {}])
def test_orders_as_asked_for_are_not_warned_of(changes: dict[str, object]) -> None:
    assert not any("amount asks for" in text for text in run(**changes).warnings)
