"""One bot on a state folder and a status file: a lock that ends with the process that holds it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gridbot.settings.config import GridbotConfig

LOCK_NAME = ".gridbot.lock"


class InUseError(Exception):
    """Another bot works with this state folder or this status file. The text says which."""


class InstanceLock:
    """Held from `acquire` to `release`, or to the end of the process. A context.

    What it locks are files beside what it guards; nothing else is written while they are not held.
    """

    def __init__(self, config: GridbotConfig) -> None:
        status = config.status_path
        self._guarded = {
            f"the state folder {config.state_path}": config.state_path / LOCK_NAME,
            f"the status file {status}": _beside(status),
        }
        exchange = None if config.paper is None else config.paper.state_path
        if exchange is not None:
            self._guarded[f"the embedded exchange's state {exchange}"] = _beside(exchange)
        self._files: list[IO[str]] = []

    def acquire(self) -> None:
        """Take it. Raises InUseError, and OSError where a folder cannot be used."""
        if self._files:
            return
        try:
            for what, path in self._guarded.items():
                self._files.append(_locked(what, path))
        except BaseException:
            self.release()
            raise
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        for file in self._files:
            file.truncate(0)
            file.write(text)
            file.flush()

    def holder(self) -> str | None:
        """Return the sentence of who holds it now, None when it is free. Leaves no trace."""
        for what, path in self._guarded.items():
            try:
                with path.open("r", encoding="utf-8") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _sentence(what, path)
            except OSError:
                continue  # a folder that is not there yet, or cannot be used, is no bot
        return None

    def release(self) -> None:
        """Let go. The files stay: one that is deleted under a lock would be locked by two."""
        for file in self._files:
            file.close()
        self._files.clear()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _locked(what: str, path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(_sentence(what, path)) from None
    except BaseException:
        file.close()
        raise
    return file


def _sentence(what: str, path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        who = f"process {found['pid']} on {found['host']} has it since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process has it"
    return (
        f"{what} is in use by another bot ({who}); stop that one first, or give this one a"
        " state_path, a status_path and a database_url of its own"
    )
