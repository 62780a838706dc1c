"""The commands of one strategy that have no outcome yet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from bybit_adapter import BybitError, OrderAck
from gridbot.actor.roles import OutcomeListener
from gridbot.ports import Outcomes

log = logging.getLogger(__name__)

Command = TypeVar("Command")
Answer = Awaitable[OrderAck] | Awaitable[Outcomes]


def failed(error: Exception) -> Answer:
    """Return the answer to a request that could not even be sent."""
    answer: asyncio.Future[OrderAck] = asyncio.get_running_loop().create_future()
    answer.set_exception(error)
    return answer


class CommandsInFlight:
    """Waits for the outcome of commands, each in a task of its own."""

    def __init__(self, listener: OutcomeListener) -> None:
        self._listener = listener
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin what ends in the outcome of a command."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # its order would stay in flight for ever, and the price taken
            log.error("a command failed unexpectedly", exc_info=error)
            self._listener.failed(error)

    @staticmethod
    async def outcomes(
        commands: Sequence[Command],
        answer: Answer,
        settle: Callable[[Command, OrderAck | BybitError], None],
    ) -> None:
        """Wait for the answer to a request, and settle each of its commands."""
        outcomes: Sequence[OrderAck | BybitError]
        try:
            told = await answer
            outcomes = [told] if isinstance(told, OrderAck) else told
        except BybitError as error:
            outcomes = [error] * len(commands)
        for command, outcome in zip(commands, outcomes, strict=True):
            settle(command, outcome)

    async def settle(self, timeout_s: float) -> bool:
        """Wait until there are none; False when it takes longer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while self._tasks and loop.time() < end:
            # a command may end in another one: a look-up, a retry
            await asyncio.wait(tuple(self._tasks), timeout=end - loop.time())
        return not self._tasks

    def abandon(self) -> None:
        """Wait for nothing any more."""
        for task in tuple(self._tasks):
            task.cancel()
