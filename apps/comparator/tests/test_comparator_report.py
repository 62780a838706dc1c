"""What is told about a comparison: files, console and page say the same, exactly."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from comparator.comparison import Comparison
from comparator.recorded_run import compare_run, find_run
from comparator.report.figures import signed, verdict
from comparator.report.html_report import html_page
from comparator.report.reporter import ComparatorReporter
from comparator.report.tables import metric_values
from comparator.sources import of_sessions
from grid_db import DatabaseFactory
from gridcore.moments import to_us
from testkit.backtests import contract
from testkit.browser import Browser, find_chromium

CHROMIUM = find_chromium()


@pytest.fixture
def different(sqlite_database: DatabaseFactory, recording) -> Comparison:
    """A comparison with a difference of every kind, an hour without ticks among them."""
    middle = len(recording.executions) // 2
    at_us = to_us(recording.executions[middle].exchange_ts)
    low, high = at_us - 1_800_000_000, at_us + 1_800_000_000
    recording.executions.pop(100)
    recording.change(200, exec_price=recording.executions[200].exec_price + 5)
    recording.change(300, exec_fee=recording.executions[300].exec_fee * 3)
    like = recording.executions[400]
    recording.executions.append(
        replace(
            like,
            exec_id="added",
            order_id="<script>nobody</script>",
            exchange_ts=like.exchange_ts + timedelta(seconds=7),
        )
    )
    recording.ticks = [t for t in recording.ticks if not low <= to_us(t.exchange_ts) <= high]
    ticks = recording.columns
    keep = (ticks.ts_us < low) | (ticks.ts_us > high)
    lossy = replace(
        ticks,
        ts_us=ticks.ts_us[keep],
        price_ticks=ticks.price_ticks[keep],
        size=ticks.size[keep],
        side=ticks.side[keep],
    )
    config = BacktestConfig.model_validate(dict(recording.session.settings))
    backtest = run_columns(config, lossy, contract(ticks))
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, None, None)
        return compare_run(session, recording.user_id, live, of_sessions([backtest], "test"))


@pytest.fixture
def equal(sqlite_database: DatabaseFactory, recording) -> Comparison:
    """A comparison of a run with itself."""
    recording.write(sqlite_database)
    with sqlite_database.get_session() as session:
        live = find_run(session, recording.user_id, recording.run_id, None, None)
        backtest = of_sessions([recording.session], "test")
        return compare_run(session, recording.user_id, live, backtest)


@pytest.fixture
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with Browser(CHROMIUM) as opened:
        yield opened


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_files_add_up_to_the_figures(different: Comparison, tmp_path: Path) -> None:
    ComparatorReporter(different).export(tmp_path)
    matched = rows_of(tmp_path / "matched.csv")
    missed, phantom = rows_of(tmp_path / "live_only.csv"), rows_of(tmp_path / "backtest_only.csv")
    metrics = {row["metric"]: row["value"] for row in rows_of(tmp_path / "metrics.csv")}
    split = {row["cause"]: Decimal(row["usdt"]) for row in rows_of(tmp_path / "split.csv")}
    assert (len(matched), len(missed), len(phantom)) == (
        int(metrics["matched"]),
        int(metrics["live_only"]),
        int(metrics["backtest_only"]),
    )
    assert missed
    assert phantom
    fees = sum(Decimal(row["live_fee"]) for row in matched) + sum(
        Decimal(row["fee"]) for row in missed
    )
    assert Decimal(metrics["live_fees"]) == fees
    profit = sum(Decimal(row["backtest_realized_pnl"]) for row in matched) + sum(
        Decimal(row["realized_pnl"]) for row in phantom
    )
    assert Decimal(metrics["backtest_pnl"]) == profit
    for row in matched:
        for name in ("price", "qty", "fee", "realized_pnl"):
            delta = Decimal(row[f"live_{name}"]) - Decimal(row[f"backtest_{name}"])
            assert Decimal(row[f"{name}_delta"]) == delta
    sums = ("delta", "live", "backtest", "residue")
    assert sum(usdt for cause, usdt in split.items() if cause not in sums) == split["delta"]
    assert split["delta"] == split["live"] - split["backtest"] != 0
    assert split["residue"] == 0
    assert {row["cause"] for row in missed} >= {"gap in the recorded market"}
    assert all(row["detail"] for row in (*missed, *phantom))
    breaches = rows_of(tmp_path / "breaches.csv")
    assert {row["differs_in"] for row in breaches} >= {"price", "fee"}
    equity = rows_of(tmp_path / "equity.csv")
    assert all(
        Decimal(row["live"]) - Decimal(row["backtest"]) == Decimal(row["divergence"])
        for row in equity
    )


def printed(comparison: Comparison) -> str:
    out = io.StringIO()
    ComparatorReporter(comparison).print(Console(width=70, file=out))
    return out.getvalue()


def test_the_console_says_a_breach_in_its_first_line(different: Comparison) -> None:
    text = printed(different)
    assert text.splitlines()[0] == verdict(different)
    assert text.startswith("BREACHED: ")
    assert "gap in the recorded market" in text
    assert "Pairs beyond tolerance" in text


def test_the_console_says_success_in_its_first_line(equal: Comparison) -> None:
    first = printed(equal).splitlines()[0]
    assert first == verdict(equal)
    assert first.startswith("WITHIN TOLERANCE: ")
    assert "(100.00 %)" in first
    assert "profit equal" in first


def test_the_page_draws_and_shows_the_exported_figures(
    browser: Browser, different: Comparison, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    ComparatorReporter(different).html(page)
    browser.open(page, "document.body && document.body.dataset.ready")
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    assert browser.evaluate("document.querySelectorAll('.js-plotly-plot').length") == 3
    traces = "[...document.querySelectorAll('#chart-trades .scatterlayer .trace')].length"
    assert browser.evaluate(traces) == 7
    shown = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-metric]')]"
        ".map(cell => [cell.dataset.metric, cell.dataset.exact]))"
    )
    exact = dict(metric_values(different.metrics))
    assert len(shown) > 20
    assert shown == {name: exact[name] for name in shown}
    text = browser.evaluate("document.body.innerText")
    assert verdict(different) in text
    assert "gap in the recorded market" in text
    assert "order <script>nobody</script> of this execution is not recorded" in text
    for worth in different.split.causes.values():
        assert signed(worth) in text


def test_the_page_fits_a_phone(browser: Browser, equal: Comparison, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ComparatorReporter(equal).html(page)
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=844,
        deviceScaleFactor=2,
        mobile=True,
    )
    browser.open(page, "document.body && document.body.dataset.ready")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    assert browser.problems == []


def test_nothing_of_the_machine_is_in_the_page(equal: Comparison, tmp_path: Path) -> None:
    page = html_page(equal)
    assert str(tmp_path.parent) not in page
    assert str(Path.home()) not in page.replace("plotly", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0"),
        ("0E-8", "0"),
        ("1.5", "+1.5000"),
        ("-1234.56789", "-1,234.5679"),
        ("0.00000001", "+1.0E-8"),
        ("-0.00001", "-1.0E-5"),
    ],
)
def test_amounts_keep_their_sign_and_are_never_rounded_to_nothing(value: str, shown: str) -> None:
    assert signed(Decimal(value)) == shown
