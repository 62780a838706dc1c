"""The status file: what the bot is doing, and its heartbeat, for people and for the watchdog."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from gridbot.words.snapshot import BotSnapshot, Health, RunState, StrategySnapshot

VERSION = 1

GridKey = tuple[str, str]  # account and symbol: one grid each


class StatusError(Exception):
    """No heartbeat can be read: the file is absent, no status, or of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a status file says about the process that wrote it, and of whom it looks after.

    `attended` are the grids that trade or are held on purpose; `unattended` tells of the others
    why their orders rest without anybody. `rested` are those whose orders were left on purpose.
    """

    at: datetime
    started_at: datetime
    pid: int
    state: RunState
    reason: str = ""
    attended: frozenset[GridKey] = frozenset()
    rested: frozenset[GridKey] = frozenset()
    unattended: Mapping[GridKey, str] = field(default_factory=dict)

    def age_s(self, now: datetime) -> float:
        """Return how old it is; negative when the clock was set back."""
        return (now - self.at).total_seconds()


class StatusFile:
    """One file, replaced as a whole: a reader sees the old one or the new one, never a part."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
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
        except (ValueError, RecursionError):
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
            unattended = _unattended(found)
            grids = {_key(one): one["health"] for one in found.get("strategies", ())}
            stopped = {key for key, health in grids.items() if health == Health.STOPPED.value}
            return Heartbeat(
                at=_time(found["heartbeat_at"]),
                started_at=_time(found["started_at"]),
                pid=int(found["pid"]),
                state=RunState(found["state"]),
                reason=str(found.get("reason", "")),
                attended=frozenset(grids.keys() - stopped - unattended.keys()),
                rested=frozenset(stopped - unattended.keys()),
                unattended=unattended,
            )
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise StatusError(
                f"{self.path} has no usable heartbeat ({type(error).__name__}: {error})"
            ) from None

    def start_failed(self, reason: str) -> None:
        """Note that a start failed, where the file would say that all is as somebody wanted it.

        Any other heartbeat stays as it is, so that it grows old: a start that fails again and
        again must not look alive. Blocking. Raises OSError.
        """
        try:
            last = self.heartbeat()
        except StatusError:
            return
        if last.state is RunState.STOPPED:
            now = datetime.now(UTC)
            self.write(
                BotSnapshot(
                    taken_at=now,
                    started_at=now,
                    pid=os.getpid(),
                    state=RunState.FAILED,
                    reason=f"the start failed: {reason}",
                )
            )


def _key(one: Mapping[str, Any]) -> GridKey:
    return str(one["account"]), str(one["symbol"])


def _unattended(found: Mapping[str, Any]) -> dict[GridKey, str]:
    """Return why grids are unattended.

    A strategy that is stopped for a reason has failed, also where an older bot wrote the file,
    which listed no others and called every end an orderly one.
    """
    reasons = {
        _key(one): f"{one['strat_id']}: {'; '.join(map(str, one['reasons']))}"
        for one in found.get("strategies", ())
        if one["health"] == Health.STOPPED.value and one.get("reasons")
    }
    told = {_key(one): f"{one['strat_id']}: {one['reason']}" for one in found.get("unattended", ())}
    return reasons | told


def document(snapshot: BotSnapshot) -> dict[str, Any]:
    """Return a snapshot as plain values for JSON: Decimals as text, times in ISO 8601 UTC."""
    return {
        "version": VERSION,
        "state": snapshot.state.value,
        "reason": snapshot.reason,
        "heartbeat_at": snapshot.taken_at.isoformat(),
        "started_at": snapshot.started_at.isoformat(),
        "pid": snapshot.pid,
        "accounts": [_plain(account) for account in snapshot.accounts],
        "strategies": [_strategy(one, snapshot.taken_at) for one in snapshot.strategies],
        "unattended": [_plain(one) for one in snapshot.unattended],
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
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
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
