"""Everything that is told about a comparison."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from comparator.comparison import Comparison
from comparator.report.console_report import print_comparison
from comparator.report.html_report import write_html
from comparator.report.tables import write_tables


class ComparatorReporter:
    """Reports one comparison: console, CSV files, one HTML file."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def print(self, console: Console) -> None:
        """Print the verdict in one line, then figures, causes and the first differences."""
        print_comparison(console, self.comparison)

    def export(self, folder: str | Path) -> list[Path]:
        """Write the CSV files into the folder; return their paths."""
        return write_tables(self.comparison, folder)

    def html(self, path: str | Path) -> None:
        """Write one self-contained HTML file."""
        write_html(path, self.comparison)
