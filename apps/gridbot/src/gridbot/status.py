"""The status file: what the bot is doing, and its heartbeat, for people and for the watchdog."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from gridbot.snapshot import BotSnapshot, StrategySnapshot

VERSION = 1


class StatusError(Exception):
    """No heartbeat can be read: the file is absent, no status, or of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a status file says about the process that wrote it."""

    at: datetime
    started_at: datetime
    pid: int
    is_stopped: bool

    def age_s(self, now: datetime) -> float:
        """Return how old it is; negative when the clock was set back."""
        return (now - self.at).total_seconds()


class StatusFile:
    """One file, replaced as a whole: a reader sees the old one or the new one, never a part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, snapshot: BotSnapshot) -> None:
        """Write a snapshot. Blocking: call it on a thread. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document(snapshot), indent=1, ensure_ascii=False)
        # always the same name: what a killed process leaves behind is written over
        temporary = self.path.with_name(f".{self.path.name}.new")
        with self._lock:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)

    def read(self) -> dict[str, Any]:
        """Return the whole document. Raises StatusError."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StatusError(
                f"{self.path} does not exist; has the bot ever run with this configuration?"
            ) from None
        except OSError as error:
            raise StatusError(f"{self.path} cannot be read ({error.strerror})") from None
        except (ValueError, UnicodeDecodeError):
            raise StatusError(f"{self.path} is no JSON; is it the bot's status file?") from None
        version = found.get("version") if isinstance(found, dict) else None
        if version != VERSION or not isinstance(found, dict):
            raise StatusError(
                f"{self.path} is of version {version}, this program reads {VERSION};"
                " use the bot and the watchdog of one release"
            )
        return found

    def heartbeat(self) -> Heartbeat:
        """Return the heartbeat. Raises StatusError."""
        found = self.read()
        try:
            beat = Heartbeat(
                at=_time(found["heartbeat_at"]),
                started_at=_time(found["started_at"]),
                pid=int(found["pid"]),
                is_stopped=found["state"] == "stopped",
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StatusError(
                f"{self.path} has no usable heartbeat ({type(error).__name__}: {error})"
            ) from None
        return beat


def document(snapshot: BotSnapshot) -> dict[str, Any]:
    """Return a snapshot as plain values for JSON: Decimals as text, times in ISO 8601 UTC."""
    state = "stopped" if snapshot.is_stopped else "stopping" if snapshot.is_stopping else "running"
    return {
        "version": VERSION,
        "state": state,
        "heartbeat_at": snapshot.taken_at.isoformat(),
        "started_at": snapshot.started_at.isoformat(),
        "pid": snapshot.pid,
        "accounts": [_plain(account) for account in snapshot.accounts],
        "strategies": [_strategy(one, snapshot.taken_at) for one in snapshot.strategies],
    }


def _strategy(one: StrategySnapshot, now: datetime) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(one)
    plain["open_orders"] = len(one.orders)
    plain["last_tick_age_s"] = one.tick_age_s(now)
    plain["pnl"]["net"] = str(one.pnl.net)
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else value


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
