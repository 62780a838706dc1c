"""Everything that is told about finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from backtest.report.console_report import print_session, print_summary
from backtest.report.export import export_session
from backtest.report.html_report import write_html
from backtest.result.session import BacktestSession


class BacktestReporter:
    """Reports sessions by symbol, and symbols that failed."""

    def __init__(
        self,
        sessions: Mapping[str, BacktestSession],
        failures: Mapping[str, Exception] | None = None,
    ) -> None:
        self.sessions = sessions
        self.failures = failures or {}

    def print(self, console: Console) -> None:
        """Print every session, and a summary where there are several symbols."""
        for session in self.sessions.values():
            print_session(console, session)
        if len(self.sessions) + len(self.failures) > 1:
            print_summary(console, self.sessions, self.failures)

    def export(self, folder: str | Path) -> list[Path]:
        """Write CSV and Parquet of every session into FOLDER/SYMBOL; return the files."""
        return [
            path for session in self.sessions.values() for path in export_session(session, folder)
        ]

    def html(self, path: str | Path) -> None:
        """Write one self-contained HTML file with all sessions."""
        write_html(path, self.sessions, self.failures)
