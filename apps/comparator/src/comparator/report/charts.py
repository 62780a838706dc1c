"""The charts of a comparison, as plotly figures in plain values. Floats are for drawing only."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from backtest.report.charts import EQUITY_COLOUR, GREY, LONG_COLOUR, SHORT_COLOUR
from backtest.result.thinning import thin_evenly, thin_rows
from comparator.columns.exact import Rows
from comparator.columns.trades import TradeTable
from comparator.comparison import Comparison
from comparator.money.metrics import cumulative_pnl, moments

US_PER_MS, US_PER_S = 1_000, 1_000_000
MOST_MARKS = 3_000
LIVE_COLOUR, BACKTEST_COLOUR = LONG_COLOUR, SHORT_COLOUR
UNMATCHED_COLOUR = "#CC0000"
MARGIN = {"l": 70, "r": 20, "t": 40, "b": 40}


def trades_chart(comparison: Comparison) -> go.Figure:
    """Return trades of both sides over the realised profit, its difference, and time deltas."""
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.045,
        row_heights=[0.4, 0.25, 0.15, 0.2],
        subplot_titles=(
            "Trades",
            "Realised profit, USDT",
            "Realised profit, live − backtest, USDT",
            "Time of pairs, live − backtest, s",
        ),
    )
    _add_trades(figure, comparison)
    _add_profit(figure, comparison)
    _add_times(figure, comparison)
    figure.update_layout(
        height=950,
        margin=MARGIN,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.07, "x": 0, "itemsizing": "constant"},
    )
    _dates(figure)
    return figure


def equity_chart(comparison: Comparison) -> go.Figure | None:
    """Return both equity curves over their divergence, None where they are not known."""
    equity = comparison.equity
    if equity is None:
        return None
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.1,
        row_heights=[0.65, 0.35],
        subplot_titles=("Equity, USDT", "Equity, live − backtest, USDT"),
    )
    times = np.array(equity.ts_us, dtype=np.int64)
    curves = (
        (equity.live, 1, "equity live", LIVE_COLOUR, None),
        (equity.backtest, 1, "equity backtest", BACKTEST_COLOUR, "dash"),
        (equity.divergence, 2, "divergence", GREY, None),
    )
    for values, row, name, colour, dash in curves:
        _line(figure, times, np.array([float(v) for v in values]), row, name, colour, dash)
    figure.update_layout(height=480, margin=MARGIN, showlegend=False)
    _dates(figure)
    return figure


def split_chart(comparison: Comparison) -> go.Figure:
    """Return the split of the difference in profit as a waterfall."""
    split = comparison.split
    values = [float(worth) for worth in split.causes.values()]
    names = [cause.value for cause in split.causes]
    figure = go.Figure(
        go.Waterfall(
            x=[*names, "difference"],
            y=[*values, float(split.delta)],
            measure=[*["relative"] * len(values), "total"],
            increasing={"marker": {"color": EQUITY_COLOUR}},
            decreasing={"marker": {"color": SHORT_COLOUR}},
            totals={"marker": {"color": GREY}},
            connector={"line": {"color": GREY, "width": 1}},
            hovertemplate="%{x}: %{y:.6f} USDT<extra></extra>",
        )
    )
    figure.update_layout(
        height=320,
        title="Why the profit differs (live − backtest), USDT",
        margin={"l": 70, "r": 20, "t": 50, "b": 60},
        showlegend=False,
    )
    return figure


def notes(comparison: Comparison) -> list[str]:
    """Return in words what is not drawn in full."""
    result = comparison.result
    counts = (
        ("matched trades", len(result.live_rows)),
        ("missed trades", len(result.live_only_rows)),
        ("phantom trades", len(result.backtest_only_rows)),
    )
    found = [
        f"{MOST_MARKS:,} of {count:,} {name} are drawn"
        for name, count in counts
        if count > MOST_MARKS
    ]
    return [*found, "figures and CSV files count everything"] if found else []


def _add_trades(figure: go.Figure, comparison: Comparison) -> None:
    result = comparison.result
    several = len(comparison.symbols) > 1
    for table, rows, name, symbol, colour in (
        (result.live, result.live_rows, "matched", "circle", GREY),
        (result.live, result.live_only_rows, "missed (live only)", "triangle-up", LIVE_COLOUR),
        (
            result.backtest,
            result.backtest_only_rows,
            "phantom (backtest only)",
            "x",
            UNMATCHED_COLOUR,
        ),
    ):
        drawn = rows[thin_evenly(len(rows), MOST_MARKS)]
        part = table.take(drawn)
        # symbols of different worth share one axis as parts of their own end price
        prices = _relative(part, comparison) if several else part.exact("price").floats()
        figure.add_trace(
            go.Scatter(
                x=_times(part.ts_us),
                y=_rounded(prices),
                customdata=[[text] for text in _labels(part)],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "color": colour, "size": 4 if name == "matched" else 10},
                hovertemplate="%{customdata[0]}<extra>" + name + "</extra>",
            ),
            row=1,
            col=1,
        )
    if several:
        figure.update_yaxes(title="% of the end price", row=1, col=1)


def _relative(table: TradeTable, comparison: Comparison) -> NDArray[np.float64]:
    ends = {symbol: float(mark.end) for symbol, mark in comparison.marks.items()}
    by_row = np.array([ends[symbol] for symbol in table.frame["symbol"]])
    return np.asarray(table.exact("price").floats() / by_row * 100)


def _labels(table: TradeTable) -> list[str]:
    return [
        f"{row['symbol']} {row['direction']} {row['side']} {qty} @ {price}"
        for row, qty, price in zip(
            table.frame.iter_rows(named=True),
            table.exact("qty").texts(),
            table.exact("price").texts(),
            strict=True,
        )
    ]


def _add_profit(figure: go.Figure, comparison: Comparison) -> None:
    live, backtest = comparison.result.live, comparison.result.backtest
    times = moments(live, backtest)
    ours, theirs = cumulative_pnl(live, times), cumulative_pnl(backtest, times)
    _line(figure, times, ours, 2, "live", LIVE_COLOUR, None, shown=True)
    _line(figure, times, theirs, 2, "backtest", BACKTEST_COLOUR, "dash", shown=True)
    _line(figure, times, ours - theirs, 3, "difference", GREY, None)


def _add_times(figure: go.Figure, comparison: Comparison) -> None:
    result = comparison.result
    rows = thin_rows(result.time_delta_us, MOST_MARKS)
    figure.add_trace(
        go.Scatter(
            x=_times(result.live.ts_us[result.live_rows[rows]]),
            y=_rounded(result.time_delta_us[rows] / US_PER_S),
            mode="markers",
            name="time delta",
            showlegend=False,
            marker={"color": GREY, "size": 4},
            hovertemplate="%{y} s<extra></extra>",
        ),
        row=4,
        col=1,
    )


def _line(
    figure: go.Figure,
    times: Rows,
    values: NDArray[np.float64],
    row: int,
    name: str,
    colour: str,
    dash: str | None,
    *,
    shown: bool = False,
) -> None:
    rows = thin_rows(values)
    figure.add_trace(
        go.Scatter(
            x=_times(times[rows]),
            y=_rounded(values[rows]),
            mode="lines",
            name=name,
            showlegend=shown,
            line={"color": colour, "width": 1.4, "shape": "hv", "dash": dash or "solid"},
            hovertemplate="%{y}<extra>" + name + "</extra>",
        ),
        row=row,
        col=1,
    )


def _dates(figure: go.Figure) -> None:
    figure.update_xaxes(type="date")


def _times(values: Any) -> list[int]:
    return [int(ts_us) // US_PER_MS for ts_us in values]


def _rounded(values: Any) -> list[float]:
    """Return values with the digits that a screen can show, which keeps the file small."""
    return [float(f"{value:.9g}") for value in np.asarray(values).tolist()]
