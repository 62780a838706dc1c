"""What `python -m grid_db.tenant_login` does, and the sentence about it."""

import getpass
import os
import secrets
import sys
from pathlib import Path

from pydantic import SecretStr

from grid_db import logins
from grid_db.database import DatabaseFactory
from grid_db.errors import DatabaseConfigError, InvalidValueError

GENERATED_BYTES = 24


def create(
    database: DatabaseFactory, user: str, login: str, password: SecretStr | None, connections: int
) -> str:
    """Make the login and return a sentence about it."""
    database.check_schema()
    with database.get_session() as session:
        made = logins.create(session, user, login, password, connections)
    what = "made" if made.login_is_new else "kept"
    whom = f"user {made.user_name!r}" + (" (new)" if made.user_is_new else "")
    return (
        f"{what} the login {made.login} for {whom} in {database.redacted_url}: it reads and writes"
        " that user's rows, reads market data, and reaches nothing else"
    )


def change_password(database: DatabaseFactory, login: str, password: SecretStr) -> str:
    """Give the login another password and return a sentence about it."""
    database.check_schema()
    with database.get_session() as session:
        if login not in {one.login for one in logins.list_all(session) if one.user_name}:
            raise DatabaseConfigError(f"the login {login} serves no user of this database")
        logins.set_password(session, login, password)
    return f"the login {login} has another password; connections that are open stay"


def listing(database: DatabaseFactory) -> str:
    """Return a line for each login, problems named."""
    database.check_schema()
    with database.get_session() as session:
        found = logins.list_all(session)
    if not found:
        return f"no tenant has a login of its own in {database.redacted_url}"
    return "\n".join(
        f"{one.login}  {one.user_name or '-'}"
        + (f"  PROBLEM: {one.problem}" if one.problem else "")
        for one in found
    )


def drop(database: DatabaseFactory, login: str) -> str:
    """Remove the login and return a sentence about it."""
    database.check_schema()
    with database.get_session() as session:
        user = logins.drop(session, login)
    return f"dropped the login {login} of user {user!r}; the user and its rows are still there"


def password_of(file: str | Path | None) -> SecretStr:
    """Return the password in `file`, made there now if there is none, or ask for one.

    Raises InvalidValueError where it cannot be had.
    """
    file = None if file is None else Path(file)
    if file is None:
        return _asked()
    try:
        if file.exists():
            return SecretStr(file.read_text(encoding="utf-8").strip())
        made = secrets.token_urlsafe(GENERATED_BYTES)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(made + "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidValueError(f"--password-file {file}: {reason}; name another file") from None
    return SecretStr(made)


def _asked() -> SecretStr:
    if not sys.stdin.isatty():
        raise InvalidValueError(
            "there is nobody to ask for a password; give --password-file FILE (a file that is not"
            " there is made, with a new password in it)"
        )
    first = getpass.getpass("password of the login: ")
    if first != getpass.getpass("once more: "):
        raise InvalidValueError("the two passwords differ; nothing was done")
    return SecretStr(first)
