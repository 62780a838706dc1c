"""Everything that is told about finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from backtest.report.console_report import print_session, print_summary
from backtest.report.export import (
    check_folder,
    check_page,
    equity_table,
    export_session,
    funding_table,
    metrics_table,
    trades_table,
    write_table,
)
from backtest.report.html_report import write_html
from backtest.result.session import BacktestSession


class BacktestReporter:
    """Reports sessions by symbol, and symbols that failed.

    A program may give one session alone. Tables go into CSV or Parquet by the ending of the name,
    one file for all sessions; what is in them: see `backtest.report.export`.
    """

    def __init__(
        self,
        sessions: BacktestSession | Mapping[str, BacktestSession],
        failures: Mapping[str, Exception] | None = None,
    ) -> None:
        if isinstance(sessions, BacktestSession):
            sessions = {sessions.symbol: sessions}
        self.sessions = sessions
        self.failures = failures or {}

    def print(self, console: Console | None = None) -> None:
        """Print every session, and a summary where there are several symbols."""
        console = console or Console()
        for session in self.sessions.values():
            print_session(console, session)
        if len(self.sessions) + len(self.failures) > 1:
            print_summary(console, self.sessions, self.failures)

    def export(self, folder: str | Path) -> list[Path]:
        """Write CSV and Parquet of every session into FOLDER/SYMBOL; return the files.

        Raises ValueError for a folder that is named like a file, or is one.
        """
        check_folder(folder)
        return [
            path for session in self.sessions.values() for path in export_session(session, folder)
        ]

    def export_trades(self, path: str | Path) -> Path:
        """Write every fill; return the path. Raises ValueError for an ending of no table."""
        return write_table(Path(path), trades_table(self._all))

    def export_funding(self, path: str | Path) -> Path:
        """Write every settlement of a leg; return the path. Raises ValueError as above."""
        return write_table(Path(path), funding_table(self._all))

    def export_equity_curve(self, path: str | Path) -> Path:
        """Write symbol, time and equity (USDT); return the path. Raises ValueError as above."""
        return write_table(Path(path), equity_table(self._all))

    def export_metrics(self, path: str | Path) -> Path:
        """Write symbol, metric and value; return the path. Raises ValueError as above."""
        return write_table(Path(path), metrics_table(self._all))

    def html(self, path: str | Path) -> None:
        """Write one self-contained HTML file with all sessions. Raises ValueError for a folder."""
        check_page(path)
        write_html(path, self.sessions, self.failures)

    @property
    def _all(self) -> list[BacktestSession]:
        return list(self.sessions.values())
