"""Whether a key may do what the bot needs, asked before the first order."""

from __future__ import annotations

import logging
from typing import Protocol

from bybit_adapter import AuthError, BybitError

log = logging.getLogger(__name__)


class KeyCalls(Protocol):
    """The one call of an account that tells of its key."""

    async def is_read_only(self) -> bool: ...


async def key_problem(account: str, rest: KeyCalls) -> str | None:
    """Return why the key of an account cannot trade, None when it can or nobody tells.

    Raises AuthError for a key that the exchange refuses altogether.
    """
    try:
        is_read_only = await rest.is_read_only()
    except AuthError:
        raise
    except BybitError as error:
        # demo trading does not tell of keys; there the first order shows what they may
        log.warning("account %s: what the key may do is not known: %s", account, error)
        return None
    if is_read_only:
        return (
            f"account {account}: the key is read-only; make one with read and write permission"
            " for orders and positions"
        )
    return None
