"""The logs of the bot and of its watchdog, as the section `log` wants them."""

from __future__ import annotations

from typing import TextIO

from bybit_adapter import ORDERS_FIRST
from grid_service.logs import WAITING_LINES, ConsoleStyle, Logs
from grid_service.redaction import Redactor
from gridbot.settings.sections import LogSettings


def bot_logs(
    settings: LogSettings,
    redactor: Redactor,
    *,
    debug: bool = False,
    console: TextIO | None = None,
    most_waiting: int = WAITING_LINES,
) -> Logs:
    """Begin to log; `console` is standard error by default. Raises OSError of the file."""
    return Logs(
        redactor,
        level="debug" if debug else settings.level,
        file=settings.file,
        max_mb=settings.max_mb,
        backups=settings.backups,
        console=ConsoleStyle.TEXT if settings.console else None,
        stream=console,
        # no line is written while orders are on their way out of the same process
        give_way=ORDERS_FIRST.stand_back,
        most_waiting=most_waiting,
    )
