"""Logs: JSON lines to a rotating file and readable text to the console, written in the background.

Whoever logs never waits for a disk or a terminal. Every line passes the redactor, tracebacks
included.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from grid_service.redaction import Redactor

OUR_PACKAGES = (
    "gridbot", "gridcore", "bybit_adapter", "event_saver", "grid_db", "grid_config", "grid_service",
    "paper_exchange", "exchange_model", "market_data", "backtest", "comparator",
    "__main__",  # a module that runs as a command
)  # fmt: skip
WAITING_LINES = 20_000
COMPLAIN_EVERY_S = 60.0
GATHER_S = 0.1
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, the `extra` values, exception."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._clean = redactor.clean

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        line |= {name: self._plain(value) for name, value in _extras(record).items()}
        trace = _trace(self, record)
        if trace:
            line["exception"] = self._clean(trace)
        # cleaned value by value: a pattern that cuts through quotes would leave no JSON
        return json.dumps(line, ensure_ascii=False)

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        return self._clean(str(value))


class TextFormatter(logging.Formatter):
    """One line for people; a traceback follows on lines of its own."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._clean = redactor.clean

    def format(self, record: logging.LogRecord) -> str:
        """Return the text."""
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        # a line break in what somebody else wrote must not look like a line of ours
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        text = f"{moment} {record.levelname:<7} {record.name}: {message}"
        trace = _trace(self, record)
        return self._clean(f"{text}\n{trace}" if trace else text)


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if record.exc_info and not record.exc_text:
        record.exc_text = formatter.formatException(record.exc_info)
    return "\n".join(part for part in (record.exc_text, record.stack_info) if part)


class _RarelyComplainingFileHandler(RotatingFileHandler):
    """A full disk is said once a minute, not with every line."""

    _complained = -COMPLAIN_EVERY_S

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        now = time.monotonic()
        if now - self._complained >= COMPLAIN_EVERY_S:
            self._complained = now
            reason = sys.exc_info()[1]
            print(f"the log file cannot be written: {reason}", file=sys.stderr)  # noqa: T201


class _Background(logging.Handler):
    """Hands records to a thread. What waits is bounded; lines that found no room are counted."""

    def __init__(
        self,
        targets: list[logging.Handler],
        most_waiting: int,
        give_way: Callable[[], object],
    ) -> None:
        super().__init__()
        self._give_way = give_way
        self._targets = targets
        self._waiting: deque[logging.LogRecord] = deque()
        self._most_waiting = most_waiting
        self._changed = threading.Condition()
        self._is_closing = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        # arguments may change, and frames live on, before the thread gets to it
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = record.exc_text or _FORMATTER.formatException(record.exc_info)
            record.exc_info = None
        with self._changed:
            if len(self._waiting) >= self._most_waiting:
                self._dropped += 1
                return
            self._waiting.append(record)
            if len(self._waiting) == 1:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closing:
                    self._changed.wait()
                # What is decided in one moment is written in one go, and not while its orders
                # are on their way out of the same process.
                self._changed.wait_for(lambda: self._is_closing, GATHER_S)
                records, self._waiting = self._waiting, deque()
                dropped, self._dropped = self._dropped, 0
                is_last = self._is_closing
            if dropped:
                records.append(_lines_lost(dropped))
            for record in records:
                self._give_way()
                for target in self._targets:
                    if record.levelno >= target.level:
                        target.handle(record)
            if is_last:
                return

    def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(5)
        for target in self._targets:
            with contextlib.suppress(OSError):  # of a full disk, said already
                target.close()
        super().close()


_FORMATTER = logging.Formatter()


def _lines_lost(count: int) -> logging.LogRecord:
    text = "%d log lines were dropped: the disk or the terminal is too slow"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)


class ConsoleStyle(StrEnum):
    """How lines look on standard error: for people, or for whoever collects them."""

    TEXT = "text"
    JSON = "json"


class Logs:
    """The logging of this process, from construction until `close`.

    Args:
        redactor: Knows what no line may show.
        level: debug, info, warning or error; of the packages of this project, others WARNING.
        file: JSON lines, rotated at `max_mb`, with `backups` older files; None for no file.
        console: Form of the lines on `stream` (standard error by default); None for none there.
        give_way: Called before each line is written; returns when nothing urgent is under way.
        most_waiting: Lines that wait for disk and terminal; further ones are counted, not kept.

    Raises OSError when the file cannot be opened.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        level: str = "info",
        file: Path | None = None,
        max_mb: int = 50,
        backups: int = 10,
        console: ConsoleStyle | None = ConsoleStyle.TEXT,
        stream: TextIO | None = None,
        give_way: Callable[[], object] = lambda: None,
        most_waiting: int = WAITING_LINES,
    ) -> None:
        targets: list[logging.Handler] = []
        if console is not None:
            targets.append(logging.StreamHandler(stream or sys.stderr))
            style = JsonFormatter if console is ConsoleStyle.JSON else TextFormatter
            targets[-1].setFormatter(style(redactor))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            target = _RarelyComplainingFileHandler(
                file, maxBytes=max_mb * 1_000_000, backupCount=backups, encoding="utf-8"
            )
            target.setFormatter(JsonFormatter(redactor))
            targets.append(target)
        self._handler = _Background(targets, most_waiting, give_way)
        # says what bybit_adapter says better; pybit sets its level anew at every connection
        self._handler.addFilter(lambda record: record.name != "websocket")
        self._root = logging.getLogger()
        self._levels = {"": self._root.level}
        number = logging.getLevelNamesMapping()[level.upper()]
        self._root.addHandler(self._handler)
        self._root.setLevel(logging.WARNING)  # other people's libraries
        for name in OUR_PACKAGES:
            self._levels[name] = logging.getLogger(name).level
            logging.getLogger(name).setLevel(number)
        # comes with a handler of its own, which knows no secrets
        logging.getLogger("TeleBot").handlers.clear()
        logging.captureWarnings(True)
        self._hooks = sys.excepthook, threading.excepthook
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread

    def close(self) -> None:
        """Write what waits and leave logging as it was."""
        sys.excepthook, threading.excepthook = self._hooks
        logging.captureWarnings(False)
        self._root.removeHandler(self._handler)
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._handler.close()

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    error = hook.exc_value or hook.exc_type()
    name = hook.thread.name if hook.thread else "?"
    logging.getLogger(__name__).critical(
        "uncaught in thread %s", name, exc_info=(hook.exc_type, error, hook.exc_traceback)
    )
