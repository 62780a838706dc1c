"""The report in a real browser: it draws, complains of nothing, asks for nothing."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest.report.reporter import BacktestReporter
from backtest.run.engine import run_columns
from backtest.settings.config import BacktestConfig
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import contract
from testkit.browser import Browser, find_chromium

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.untraced
def test_the_page_draws_its_charts_and_shows_the_exported_figures(
    browser: Browser, tmp_path: Path
) -> None:
    columns = RandomWalk(trades_per_s=0.02, volatility=1.5).generate(6_000, 4)
    config = BacktestConfig.model_validate(
        {"strategies": [{"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}]}
    )
    session = run_columns(config, columns, contract(columns))
    reporter = BacktestReporter({"BTCUSDT": session})
    page = tmp_path / "report.html"
    reporter.html(page)
    reporter.export(tmp_path)
    browser.open(page, "document.body && document.body.dataset.ready")
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    assert browser.evaluate("document.querySelectorAll('.js-plotly-plot').length") == 2
    drawn = browser.evaluate(
        "[...document.querySelectorAll('#chart0-main .scatterlayer .trace')].length"
    )
    assert drawn >= 9  # price, four kinds of fills, grid, equity, drawdown, legs
    assert browser.evaluate("document.querySelectorAll('#chart0-days .bars .point').length") == 4
    with (tmp_path / "BTCUSDT" / "metrics.csv").open(newline="") as file:
        exported = {row["metric"]: row["value"] for row in csv.DictReader(file)}
    shown = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-metric]')]"
        ".map(cell => [cell.dataset.metric, cell.dataset.exact]))"
    )
    assert shown
    assert shown == {name: exported[name] for name in shown}
    net = browser.evaluate("document.querySelector('[data-metric=net_pnl]').innerText")
    assert net == f"{session.metrics.net_pnl:,.2f}"


def test_the_page_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    columns = RandomWalk(trades_per_s=0.02).generate(500, 4)
    config = BacktestConfig.model_validate({"strategies": [{}]})
    page = tmp_path / "report.html"
    BacktestReporter({"BTCUSDT": run_columns(config, columns, contract(columns))}).html(page)
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
