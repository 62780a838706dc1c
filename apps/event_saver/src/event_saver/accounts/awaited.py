"""Accounts that the settings name and that cannot be captured yet: looked for until they can."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from event_saver.accounts.contexts import AccountContext
from event_saver.settings.config import ConfigError
from grid_db import GridDbError
from grid_service.threads import in_thread

log = logging.getLogger(__name__)

FindAccount = Callable[[], AccountContext]


class AwaitedAccounts:
    """Hands an account to `found` once there is one."""

    def __init__(self, found: Callable[[AccountContext], Awaitable[None]]) -> None:
        self._found = found
        self._missing: dict[str, tuple[FindAccount, str]] = {}

    def add(self, name: str, find: FindAccount, why: str) -> None:
        """Look for an account from now on."""
        log.error("account %s is not captured (%s); it is looked at again", name, why)
        self._missing[name] = (find, why)

    def out(self) -> dict[str, str]:
        """Return those that are missing, with reasons."""
        return {name: why for name, (_, why) in tuple(self._missing.items())}

    async def look(self) -> None:
        """Look for all again."""
        for name, (find, why) in tuple(self._missing.items()):
            try:
                context = await in_thread(find)
            except (ConfigError, GridDbError) as error:
                if str(error) != why:
                    self.add(name, find, str(error))
                continue
            with suppress(KeyError):
                del self._missing[name]
            log.info("account %s is captured from now on", name)
            await self._found(context)
