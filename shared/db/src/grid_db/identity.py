"""Ids of users, accounts and strategies, made from their names.

A user's id is made from its name, an account's from its user and its name, a strategy's from its
account and its name. The same configuration gives the same ids on every machine, so rows written
by two processes, or before and after a database was lost, belong together.
"""

import json
from uuid import UUID, uuid5

from grid_db.errors import InvalidValueError
from grid_db.values import id_text

# Fixed for ever: another value would orphan every stored row.
NAMESPACE = UUID("6f1d3a52-6c1f-5b7e-9d0a-2f8f1c6b4e11")


def _identity(kind: str, *names: str) -> str:
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InvalidValueError(f"the {kind}'s name is {name!r}; give a non-empty text")
    # JSON keeps ("a/b", "c") apart from ("a", "b/c"), which a separator would not
    return str(uuid5(NAMESPACE, json.dumps([kind, *names], ensure_ascii=True)))


def user_id_for(user_name: str) -> str:
    """Return the id of a user, as UUID text. Raises InvalidValueError for an empty name."""
    return _identity("user", user_name)


def account_id_for(user_id: str | UUID, account_name: str) -> str:
    """Return the id of that user's account, as UUID text."""
    return _identity("account", id_text(user_id, "user_id"), account_name)


def strategy_id_for(account_id: str | UUID, strat_id: str) -> str:
    """Return the id of the account's strategy that the configuration calls `strat_id`."""
    return _identity("strategy", id_text(account_id, "account_id"), strat_id)
