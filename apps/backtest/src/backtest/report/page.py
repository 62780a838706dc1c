"""The page around a report: its frame, its looks, and the script that draws the charts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from backtest.report.figures import Figure

PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:;
 style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{plotly}</script>
<script type="application/json" id="charts">{charts}</script>
<script>{script}</script>
</body>
</html>
"""

STYLE: Final = """
:root { --ink:#1d2733; --soft:#5d6a78; --line:#d9dfe5; --paper:#fff; --card:#f6f8fa;
  --warn:#8a5a00; --warn-paper:#fff6e0; --dead:#b00020; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e4e9ee; --soft:#9aa7b4; --line:#323c47; --paper:#12171d; --card:#1a2129;
    --warn:#ffd479; --warn-paper:#33290f; --dead:#ff5c72; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width:1280px; margin:0 auto; padding:1.2rem 1rem 4rem; }
h2.headline { font-size:1.25rem; font-weight:600; margin:.4rem 0 1rem; }
h2.dead { background:var(--dead); color:#fff; padding:.7rem 1rem; border-radius:6px; }
ul.warnings { background:var(--warn-paper); color:var(--warn); border-radius:6px;
  margin:0 0 1rem; padding:.6rem 1rem .6rem 2rem; }
.chart { width:100%; }
p.note { color:var(--soft); font-size:.85rem; margin:.2rem 0; }
.figures { display:grid; gap:1rem; margin:1.4rem 0;
  grid-template-columns:repeat(auto-fit, minmax(260px, 1fr)); align-items:start; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
.figures table { background:var(--card); border-radius:6px; }
caption { text-align:left; font-weight:600; padding:.6rem .8rem .3rem; }
th { text-align:left; font-weight:400; color:var(--soft); }
th, td { padding:.28rem .8rem; border-top:1px solid var(--line); vertical-align:top; }
.figures td { text-align:right; white-space:nowrap; }
.wide { overflow-x:auto; margin:1rem 0; }
.wide td { overflow-wrap:anywhere; }
details { margin-top:1rem; }
summary { cursor:pointer; color:var(--soft); }
pre { background:var(--card); padding:1rem; border-radius:6px; overflow-x:auto; font-size:.8rem; }
section + section { border-top:3px solid var(--line); margin-top:2.5rem; padding-top:1.5rem; }
@media (max-width: 600px) { main { padding:.6rem .5rem 3rem; } }
"""

SCRIPT: Final = """
(function () {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), line = css.getPropertyValue("--line").trim();
  const narrow = window.innerWidth < 600;
  for (const [id, chart] of Object.entries(charts)) {
    const layout = chart.layout;
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { color: ink, size: narrow ? 10 : 12 };
    if (narrow) { layout.margin = { l: 46, r: 6, t: 60, b: 30 }; }
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) {
        Object.assign(layout[key], { gridcolor: line, zerolinecolor: line, linecolor: line });
      }
    }
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink };
    layout.hoverlabel = { bgcolor: dark ? "#222b35" : "#ffffff", font: { color: ink } };
    Plotly.newPlot(id, chart.data, layout,
      { responsive: true, displaylogo: false, scrollZoom: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "sendDataToCloud"] });
  }
  document.body.dataset.ready = "yes";
})();
"""


class ReportPage:
    """Collects the parts of a report in their order. Texts are escaped here, and only here."""

    def __init__(self, title: str, more_style: str = "") -> None:
        self._title = title
        self._style = STYLE + more_style
        self._parts: list[str] = []
        self._charts: dict[str, Any] = {}

    def add(self, html: str) -> None:
        """Add what is HTML already."""
        self._parts.append(html)

    def headline(self, text: str, *looks: str) -> None:
        """Add the first line of a section; `looks` are classes of the style sheet."""
        self.add(f'<h2 class="{" ".join(("headline", *looks))}">{escape(text)}</h2>')

    def warnings(self, texts: Sequence[str]) -> None:
        """Add a list of warnings; nothing for none."""
        if texts:
            items = "".join(f"<li>{escape(text)}</li>" for text in texts)
            self.add(f'<ul class="warnings">{items}</ul>')

    def notes(self, texts: Iterable[str]) -> None:
        """Add what a reader of the charts has to know."""
        for text in texts:
            self.add(f'<p class="note">{escape(text)}</p>')

    def chart(self, name: str, figure: go.Figure, plain: dict[str, Any] | None = None) -> None:
        """Add a chart; `plain` is what to draw where the figure does not hold all of it."""
        self._charts[name] = plain_figure(figure) if plain is None else plain
        height = figure.layout.height
        self.add(f'<div class="chart" id="{name}" style="height:{height}px"></div>')

    def figures(
        self,
        groups: Mapping[str, Sequence[Figure]],
        exact: Mapping[str, str],
        *more: str,
    ) -> None:
        """Add tables of figures, their exact values beside what is shown; `more` are tables."""
        tables = []
        for title, figures in groups.items():
            rows = "".join(
                f'<tr title="{escape(figure.meaning)}"><th>{escape(figure.label)}</th>'
                f'<td data-metric="{figure.name}" data-exact="{escape(exact[figure.name])}">'
                f"{escape(figure.shown)}</td></tr>"
                for figure in figures
            )
            tables.append(f"<table><caption>{escape(title)}</caption>{rows}</table>")
        self.add(f'<div class="figures">{"".join((*tables, *more))}</div>')

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a wide table; no columns: no head."""
        head = "".join(f"<th>{escape(name)}</th>" for name in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
        )
        head = f"<thead><tr>{head}</tr></thead>" if head else ""
        self.add(
            f'<div class="wide"><table><caption>{escape(title)}</caption>'
            f"{head}<tbody>{body}</tbody></table></div>"
        )

    def html(self) -> str:
        """Return the whole page."""
        return PAGE.format(
            title=escape(self._title),
            style=self._style,
            body="\n".join(self._parts),
            plotly=get_plotlyjs(),
            charts=_json(self._charts),
            script=SCRIPT,
        )


def plain_figure(figure: go.Figure) -> dict[str, Any]:
    """Return data and layout without plotly's built-in theme; the page has looks of its own."""
    figure.update_layout(template="none")
    plain: dict[str, Any] = json.loads(figure.to_json())
    plain["layout"].pop("template", None)
    return plain


def _json(value: object) -> str:
    """Return JSON that cannot end the script element that holds it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")
