"""The store as a table on the console."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from market_data.basics.quality import utc_text
from market_data.store.store_info import SeriesInfo, damaged_columns, describe_rules, describe_store


def print_store(console: Console, root: str | Path, *, gaps_shown: int, verify: bool) -> bool:
    """Print what the store holds. Return False if `verify` found damage.

    Raises UnreadableFileError for a damaged manifest.
    """
    root = Path(root)
    series = describe_store(root)
    instruments, risk_limits = describe_rules(root)
    if not (series or instruments or risk_limits):
        console.print(f"the store {root} is empty; use fetch or import", soft_wrap=True)
        return True
    console.print(f"store {root}", soft_wrap=True)
    if series:
        console.print(_table(series))
    for info in series:
        _print_gaps(console, info, gaps_shown)
    _print_rules(console, "instrument rules", instruments)
    _print_rules(console, "risk limits", risk_limits)
    damaged = damaged_columns(root) if verify else []
    if verify:
        console.print("every trade column has its checksum" if not damaged else "damaged columns:")
    for column in damaged:
        console.print(f"  {column}: import this day again", style="red", soft_wrap=True)
    return not damaged


def _table(series: list[SeriesInfo]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("symbol", "what", "from (UTC)", "to (UTC)"):
        table.add_column(title, no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("gaps", justify="right", no_wrap=True)
    for info in series:
        first, last = utc_text(info.first_us)[:16], utc_text(info.last_us)[:16]
        gaps = str(len(info.gaps))
        table.add_row(info.symbol, info.what, first, last, f"{info.rows:,}", gaps)
    return table


def _print_gaps(console: Console, info: SeriesInfo, shown: int) -> None:
    lines = [f"gap {gap}" for gap in info.gaps[:shown]]
    if len(info.gaps) > shown:
        lines.append(f"and {len(info.gaps) - shown} more gaps")
    for line in (*lines, *info.faults):
        text = f"{info.symbol} {info.what}: {line}"
        console.print(text, soft_wrap=True)


def _print_rules(console: Console, what: str, symbols: list[str]) -> None:
    if symbols:
        more = f" and {len(symbols) - 10} more" if len(symbols) > 10 else ""
        names = ", ".join(symbols[:10])
        console.print(f"{what}: {names}{more}", soft_wrap=True)
