"""Commands of the workspace in processes of their own, forked from one that has imported them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any


class Children:
    """Runs the `main` of a module in processes that can be killed. A context.

    Args:
        module: The module whose `main(arguments)` returns the exit code.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([module])
        self._started: list[Any] = []

    def start(self, *arguments: str, output: Path | None = None) -> Any:
        """Start the command with the environment of now; `output` gets what it prints."""
        child = self._context.Process(
            target=_command,
            args=(
                self._module,
                list(arguments),
                dict(os.environ),
                None if output is None else str(output),
            ),
        )
        child.start()
        self._started.append(child)
        return child

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._started:
            if child.is_alive():
                child.kill()
            child.join(10)
            child.close()


def _command(
    module: str, arguments: list[str], environment: dict[str, str], output: str | None
) -> None:
    """Run the command in a child; its exit code becomes that of the process."""
    # the process that this one is forked from has the environment of the first start
    os.environ.clear()
    os.environ.update(environment)
    if output is not None:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
    sys.exit(importlib.import_module(module).main(arguments))
