"""The charts of a report, as plotly figures in plain values. Floats are for drawing only."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from backtest.report.page import plain_figure
from backtest.result.session import BacktestSession
from backtest.result.thinning import thin_evenly, thin_rows
from exchange_model.trades import BacktestTrade, TradeKind
from gridcore import DirectionType
from gridcore.moments import moment

MOST_FILLS = 3_000  # markers drawn per kind of fill
US_PER_MS = 1_000
DAY_US = 86_400_000_000

LONG_COLOUR, SHORT_COLOUR = "#0072B2", "#D55E00"  # told apart by every kind of eye
PRICE_COLOUR, EQUITY_COLOUR, GREY = "#7f8a96", "#009E73", "#9aa3ad"

Kind = tuple[DirectionType, bool]
MARKS: dict[Kind, tuple[str, str, str]] = {
    (DirectionType.LONG, False): ("open long", "triangle-up", LONG_COLOUR),
    (DirectionType.LONG, True): ("close long", "triangle-down-open", LONG_COLOUR),
    (DirectionType.SHORT, False): ("open short", "triangle-down", SHORT_COLOUR),
    (DirectionType.SHORT, True): ("close short", "triangle-up-open", SHORT_COLOUR),
}


class Chart:
    """A plotly figure, and beside it what its traces draw: plotly would copy every number."""

    def __init__(self, figure: go.Figure) -> None:
        self.figure = figure
        self._columns: list[dict[str, Sequence[object]]] = []

    def add(self, trace: Any, row: int | None = None, **columns: Sequence[object]) -> None:
        """Add a trace whose columns (x, y, customdata) are plain values."""
        self.figure.add_trace(trace, row=row, col=None if row is None else 1)
        self._columns.append(columns)

    def plain(self) -> dict[str, Any]:
        """Return data and layout without plotly's built-in theme; the page has its own."""
        plain = plain_figure(self.figure)
        for axis in [name for name in plain["layout"] if name.startswith("xaxis")]:
            plain["layout"][axis]["type"] = "date"
        for trace, columns in zip(plain["data"], self._columns, strict=True):
            trace.update(columns)
        return plain


def price_chart(session: BacktestSession) -> Chart:
    """Return price, fills and the levels at the end over equity, drawdown, legs and margin."""
    figure = make_subplots(
        rows=4,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.035,
        row_heights=[0.46, 0.22, 0.12, 0.2],
        subplot_titles=("Price and fills", "Equity, USDT", "Drawdown, %", "Legs, base coin"),
    )
    chart = Chart(figure)
    _add_price(chart, session)
    _add_fills(chart, session)
    _add_levels(chart, session)
    _add_equity(chart, session)
    _add_legs(chart, session)
    figure.update_layout(
        height=1000,
        margin={"l": 70, "r": 20, "t": 40, "b": 40},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.06, "x": 0, "itemsizing": "constant"},
        hoverlabel={"namelength": -1},
    )
    return chart


def days_chart(session: BacktestSession) -> Chart | None:
    """Return the profit of each UTC day, None for a run within one day."""
    days = daily_pnl(session)
    if len(days) < 2:
        return None
    values = [pnl for _, pnl in days]
    chart = Chart(go.Figure())
    chart.add(
        go.Bar(
            marker_color=[EQUITY_COLOUR if value >= 0 else SHORT_COLOUR for value in values],
            name="profit of the day",
            hovertemplate="%{x}: %{y:.2f} USDT<extra></extra>",
        ),
        x=[day for day, _ in days],
        y=values,
    )
    chart.figure.update_layout(
        height=280,
        title="Profit per UTC day, USDT",
        margin={"l": 70, "r": 20, "t": 50, "b": 40},
        showlegend=False,
    )
    return chart


def daily_pnl(session: BacktestSession) -> list[tuple[str, float]]:
    """Return (UTC day, change of equity in USDT) of every day of the run, partial ones included.

    From the sampled equity curve, so a day ends at its last sample.
    """
    days: dict[int, Decimal] = {}
    for ts_us, equity in zip(session.equity.ts_us, session.equity.equity, strict=True):
        # the sample at midnight ends the day before it
        days[(ts_us - 1) // DAY_US] = equity
    found, before = [], session.initial_balance
    for day, equity in days.items():
        found.append((moment(day * DAY_US).date().isoformat(), float(round(equity - before, 4))))
        before = equity
    return found


def notes(session: BacktestSession) -> list[str]:
    """Return in words what is not drawn in full."""
    found = []
    drawn = len(session.price_line.ts_us)
    if session.data.rows + session.data.tickers > drawn:
        found.append(
            f"{drawn:,} of {session.data.rows + session.data.tickers:,} prices are drawn,"
            " every high and low among them"
        )
    for kind, trades in _fills(session).items():
        if len(trades) > MOST_FILLS:
            found.append(f"{MOST_FILLS:,} of {len(trades):,} fills '{MARKS[kind][0]}' are drawn")
    if found:
        found.append("figures and exports count everything")
    return found


def _times(values: Any) -> list[int]:
    return [int(ts_us) // US_PER_MS for ts_us in values]


def _add_price(chart: Chart, session: BacktestSession) -> None:
    line, tick = session.price_line, float(session.data.tick_size)
    chart.add(
        go.Scatter(
            mode="lines",
            name="price",
            line={"color": PRICE_COLOUR, "width": 1.2},
            hovertemplate="%{y}<extra>price</extra>",
        ),
        row=1,
        x=_times(line.ts_us),
        y=_rounded([ticks * tick for ticks in line.price_ticks]),
    )


def _fills(session: BacktestSession) -> dict[Kind, list[BacktestTrade]]:
    found: dict[Kind, list[BacktestTrade]] = {kind: [] for kind in MARKS}
    for trade in session.trades:
        if trade.kind is TradeKind.GRID:
            found[trade.direction, trade.closing].append(trade)
    return found


def _add_fills(chart: Chart, session: BacktestSession) -> None:
    for kind, trades in _fills(session).items():
        name, symbol, colour = MARKS[kind]
        drawn = [trades[row] for row in thin_evenly(len(trades), MOST_FILLS).tolist()]
        # many marks are drawn small, so that the price stays visible behind them
        size = 9 if len(drawn) < 200 else 6 if len(drawn) < 800 else 4
        _add_markers(chart, name, symbol, colour, drawn, size=size)
    ends = [trade for trade in session.trades if trade.kind is not TradeKind.GRID]
    if ends:
        _add_markers(chart, str(ends[0].kind).replace("_", " "), "x", "#CC0000", ends, size=14)


def _add_markers(
    chart: Chart,
    name: str,
    symbol: str,
    colour: str,
    trades: Sequence[BacktestTrade],
    *,
    size: int,
) -> None:
    chart.add(
        go.Scatter(
            mode="markers",
            name=name,
            marker={
                "symbol": symbol,
                "color": colour,
                "size": size,
                "opacity": 0.9,
                "line": {"width": 1 if symbol.endswith("-open") else 0, "color": colour},
            },
            hovertemplate="%{customdata[0]} @ %{y}, realised %{customdata[1]}",
        ),
        row=1,
        x=_times([trade.ts_us for trade in trades]),
        y=[float(trade.price) for trade in trades],
        customdata=[[str(trade.qty), str(trade.realised_pnl)] for trade in trades],
    )


def _add_levels(chart: Chart, session: BacktestSession) -> None:
    """Draw the grid as it stood at the end, over the last part of the chart."""
    first, last = session.data.first_ts_us, session.data.last_ts_us
    start = last - (last - first) // 25
    xs: list[int | None] = []
    ys: list[float | None] = []
    for outcome in session.strategies:
        for price in outcome.grid_prices:
            xs += [*_times([start, last]), None]
            ys += [float(price), float(price), None]
    chart.add(
        go.Scatter(
            mode="lines",
            name="grid at the end",
            line={"color": GREY, "width": 0.8},
            opacity=0.7,
            hoverinfo="skip",
        ),
        row=1,
        x=xs,
        y=ys,
    )


def _add_equity(chart: Chart, session: BacktestSession) -> None:
    equity = np.array([float(value) for value in session.equity.equity])
    peaks = np.maximum.accumulate(equity)
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = np.where(peaks > 0, (equity - peaks) / peaks * 100, 0.0)
    times = np.array(session.equity.ts_us, dtype=np.int64)
    for values, row, name, colour, fill in (
        (equity, 2, "equity", EQUITY_COLOUR, "none"),
        (falls, 3, "drawdown", SHORT_COLOUR, "tozeroy"),
    ):
        rows = thin_rows(values)
        chart.add(
            go.Scatter(
                mode="lines",
                name=name,
                fill=fill,
                showlegend=False,
                line={"color": colour, "width": 1.3},
                hovertemplate="%{y}<extra>" + name + "</extra>",
            ),
            row=row,
            x=_times(times[rows]),
            y=_rounded(values[rows]),
        )


def _add_legs(chart: Chart, session: BacktestSession) -> None:
    times = _state_times(session)
    sizes = (
        ("long", LONG_COLOUR, [float(state.long_size) for state in session.states]),
        ("short", SHORT_COLOUR, [-float(state.short_size) for state in session.states]),
        ("net", GREY, [float(state.net) for state in session.states]),
    )
    for name, colour, values in sizes:
        array = np.array([*values, values[-1]])
        rows = thin_rows(array)
        chart.add(
            go.Scatter(
                mode="lines",
                name=name,
                line={"color": colour, "width": 1.2, "shape": "hv"},
                showlegend=False,
                hovertemplate="%{y}<extra>" + name + "</extra>",
            ),
            row=4,
            x=_times(times[rows]),
            y=_rounded(array[rows]),
        )


def _state_times(session: BacktestSession) -> Any:
    return np.array([*(state.ts_us for state in session.states), session.data.last_ts_us])


def _rounded(values: Any) -> list[float]:
    """Return values with the digits that a screen can show, which keeps the file small."""
    return [float(f"{value:.9g}") for value in np.asarray(values).tolist()]
