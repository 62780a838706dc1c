"""The page around a report: its frame, its looks, and the script that draws the charts."""

from __future__ import annotations

from typing import Final

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
