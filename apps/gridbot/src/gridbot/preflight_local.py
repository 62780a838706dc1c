"""What has to be right on this machine before a start: the one list, for `--check` and the start.

Nothing is changed: no folder is made and no table.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from grid_db import DatabaseFactory, GridDbError, schema
from grid_db.urls import sqlite_file
from grid_service.endpoint import PortTakenError
from gridbot.alerts.notifier import telegram_chat
from gridbot.alerts.telegram_api import TelegramDownError, TelegramError, TelegramRefusedError
from gridbot.settings.config import GridbotConfig
from gridbot.settings.sections import TelegramSettings
from gridbot.views.metrics_server import MetricsServer

TELEGRAM_PATIENCE_S = 5.0
SPOOL, ANY_FILE = "spool", "any"


@dataclass(slots=True)
class LocalReport:
    """Problems keep the bot from starting, notes are worth knowing."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_at_machine(config: GridbotConfig, *, is_running: bool = False) -> LocalReport:
    """Look at folders, port, database and Telegram. Blocks while the two latter answer.

    `is_running`: a bot of this configuration holds the port, which then tells nothing.
    """
    report = LocalReport(problems=folder_problems(config))
    if not is_running:
        _look_at_port(config, report)
    _look_at_database(config, report)
    _look_at_telegram(config.notification.telegram, report)
    return report


def folder_problems(config: GridbotConfig) -> list[str]:
    """Return which of the bot's own files cannot be written, and why."""
    files = {"state_path": config.state_path / SPOOL / ANY_FILE, "status_path": config.status_path}
    if config.log.file is not None:
        files["log.file"] = config.log.file
    found = []
    for setting, path in files.items():
        problem = folder_problem(path.parent)
        if problem is None and path.is_dir():
            problem = f"{path} is a folder"
        elif problem is None and path.exists() and not os.access(path, os.W_OK):
            problem = f"{path} cannot be written"
        if problem is not None:
            found.append(f"{setting}: {problem}; make it writable or name another")
    return found


def folder_problem(folder: str | Path) -> str | None:
    """Return why nothing can be written into a folder, None where it can, or can be made."""
    folder = Path(folder)
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        what = "cannot be written" if nearest == folder else f"cannot be made in {nearest}"
        return f"the folder {folder} {what}"
    return None


def _look_at_port(config: GridbotConfig, report: LocalReport) -> None:
    if not config.metrics_port:
        return
    server = MetricsServer(
        CollectorRegistry(), lambda: None, port=config.metrics_port, host=config.metrics_host
    )
    try:
        server.start()
    except PortTakenError as error:
        report.problems.append(str(error))
    finally:
        server.close()


def _look_at_database(config: GridbotConfig, report: LocalReport) -> None:
    settings = config.database_settings()
    url = settings.url()
    file = sqlite_file(url) if url.get_backend_name() == "sqlite" else None
    if file is not None and not file.exists() and _will_be_folder(config, file.parent):
        problem = folder_problem(file.parent)
        if problem is None:
            report.notes.append("the database will be made")
        else:
            report.problems.append(f"database: {problem}")
        return
    try:
        with DatabaseFactory(settings) as database, database.looking() as connection:
            if schema.current_revision(connection) is None and not schema.our_tables(connection):
                report.notes.append("the tables of the database will be made")
            else:
                schema.check(connection)
    except GridDbError as error:
        report.problems.append(f"database: {error}")


def _will_be_folder(config: GridbotConfig, folder: Path) -> bool:
    """Tell whether a folder is there, or is made by a start for the bot's other files."""
    made = [config.state_path, config.status_path.parent]
    if config.log.file is not None:
        made.append(config.log.file.parent)
    return folder.is_dir() or any(folder == one or folder in one.parents for one in made)


def _look_at_telegram(settings: TelegramSettings, report: LocalReport) -> None:
    try:
        chat = telegram_chat(settings)
    except TelegramRefusedError as error:
        report.problems.append(f"Telegram: {error}")
        return
    if chat is None:
        report.notes.append("no Telegram: alerts are only logged")
        return
    try:
        report.notes.append(f"Telegram bot {_in_time(chat.api.user_name)}")
    except TelegramRefusedError as error:
        report.problems.append(f"Telegram: {error}")
    except TelegramError as error:
        # alerts wait until it is back; trading does not depend on it
        report.notes.append(f"Telegram: {error}")
    finally:
        chat.api.close()


def _in_time(call: Callable[[], str]) -> str:
    """Return what a call returns or raises; TelegramDownError when that takes too long."""
    outcome: Future[str] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except TelegramError as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="telegram check", daemon=True).start()
    try:
        return outcome.result(TELEGRAM_PATIENCE_S)
    except TimeoutError:
        raise TelegramDownError(f"no answer within {TELEGRAM_PATIENCE_S:g} s") from None
