"""Log lines as JSON on standard error, one an event."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def _fields(_: Any, __: str, event: Any) -> Any:
    """Put the fields of a summary beside its name."""
    record = event.get("_record")
    fields = getattr(record, "fields", None)
    return {**event, **fields} if isinstance(fields, dict) else event


def configure_logs(level: int = logging.INFO) -> None:
    """Let everything that this process logs come out as JSON lines."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            _fields,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(default=str),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    # says what bybit_adapter says better; pybit sets its level anew at every connection
    handler.addFilter(lambda record: record.name != "websocket")
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # what these say, this program says better itself; at DEBUG some say secrets
    for name in ("pybit", "urllib3", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
