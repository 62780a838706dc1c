"""Database URLs: read, refused with a reason, and shown without their secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from grid_db.errors import DatabaseConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

EXAMPLES = "sqlite:///gridbot.db or postgresql://user:password@host:5432/name"

# up to the next & whatever is in between, because a secret that was not encoded may hold anything
_SECRET_PARAMETER = re.compile(
    r"([?&;\s][^=&?\s]*(?:pass|pwd|secret|token)[^=&]*=)[^&]*", re.IGNORECASE
)
# host:port has digits after the colon; anything else there may be a password without its host
_PASSWORD_WITHOUT_HOST = re.compile(r"^([^:/?\[]*):(?!\d*(?:[/?,]|$)).*", re.DOTALL)
# would end the host, where a URL has no way to encode them
_NOT_IN_A_HOST = re.compile(r"[\s/\\?#@\[\]]")
_PORTS = range(1, 65_536)


def redact_db_url(url: str | URL) -> str:
    """Return `url` with the password, and any secret parameter, as ***.

    Works on what is no URL too: text that cannot be read is never shown with a password in it,
    even if that hides more than the password.
    """
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    scheme, found, rest = text.partition("://")
    if not found:
        return "***" if any(sign in text for sign in "@:=") else text
    if not (scheme.startswith("sqlite") and rest.startswith("/")):
        rest = _without_password(rest)
    return scheme + found + _SECRET_PARAMETER.sub(r"\1***", rest)


def _without_password(rest: str) -> str:
    # the last @, because a password that was not encoded may hold one
    credentials, at, place = rest.rpartition("@")
    if not at:
        return _PASSWORD_WITHOUT_HOST.sub(r"\1:***", rest)
    user, colon, _ = credentials.partition(":")
    return f"{user}:***@{place}" if colon else rest


def parse_url(text: str) -> URL:
    """Return the URL with the driver this library uses.

    Raises DatabaseConfigError for anything but SQLite and PostgreSQL through psycopg, and for a
    user or a password whose special characters are not percent-encoded.
    """
    shown = redact_db_url(text)
    url = _read(text)
    if url is None:
        raise DatabaseConfigError(
            f"the database URL {shown!r} cannot be read; write {EXAMPLES}"
            " and percent-encode special characters of the password"
        )
    ats = text.split("?", 1)[0].count("@")
    if text.startswith("postgres") and (ats > 1 or (ats == 1 and url.username is None)):
        raise DatabaseConfigError(
            f"the database URL {shown} has one @ too many, or a / before it; percent-encode the"
            " password (urllib.parse.quote(password, safe='')) and the user, or give them as they"
            " are in GRIDBOT_DB_PASSWORD and GRIDBOT_DB_USER"
        )
    return checked_url(url)


def _read(text: str) -> URL | None:
    """Return the URL, None if it is none; SQLAlchemy's errors may quote the password."""
    # settings are read, and texts hidden, without it
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        return None


def checked_url(url: URL) -> URL:
    """Return the URL with the driver this library uses; raise DatabaseConfigError if it has none.

    Refuses what a driver would read as something else: a NUL, behind which it sees nothing, a
    port that wraps around, a parameter that it ignores.
    """
    _check_texts(url)
    shown = redact_db_url(url)
    backend, _, driver = url.drivername.partition("+")
    if backend == "sqlite":
        return _sqlite(url, driver, shown)
    if backend in ("postgresql", "postgres"):
        return _postgresql(url, driver, shown)
    raise DatabaseConfigError(f"the database URL {shown} names {backend!r}; write {EXAMPLES}")


def _check_texts(url: URL) -> None:
    parts: dict[str, list[str | None]] = {
        "user": [url.username],
        "password": [url.password],
        "host": [url.host],
        "name": [url.database],
        **{f"parameter {name!r}": list(values) for name, values in url.normalized_query.items()},
    }
    for name, values in parts.items():
        for text in filter(None, values):
            if "\0" in text or not _is_utf8(text):
                raise DatabaseConfigError(
                    f"the {name} of the database has a NUL, or bytes that are no UTF-8 text;"
                    " correct it in the URL or in GRIDBOT_DB_…"
                )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sqlite(url: URL, driver: str, shown: str) -> URL:
    if driver not in ("", "pysqlite"):
        raise DatabaseConfigError(
            f"the database URL {shown} names the driver {driver!r}; write sqlite:///…"
        )
    if url.host:
        raise DatabaseConfigError(
            f"the database URL {shown} has two slashes; write sqlite:///{url.host} for a file"
            f" here or sqlite:////full/path for one elsewhere"
        )
    if url.username is not None or url.port is not None:
        raise DatabaseConfigError(
            f"the database URL {shown} names a user or a port, and SQLite is a file; write"
            f" {EXAMPLES}"
        )
    if url.query and url.query.get("uri") != "true":
        raise DatabaseConfigError(
            f"the database URL {shown} has parameters, which only a file: URI takes; write"
            " sqlite:///file:gridbot.db?mode=ro&uri=true"
        )
    return url.set(drivername="sqlite")


def _postgresql(url: URL, driver: str, shown: str) -> URL:
    if driver not in ("", "psycopg"):
        raise DatabaseConfigError(
            f"the database URL {shown} names the driver {driver!r}; write postgresql://…,"
            " which uses psycopg 3"
        )
    if not url.database:
        raise DatabaseConfigError(f"the database URL {shown} names no database; write {EXAMPLES}")
    if url.port is not None and url.port not in _PORTS:
        raise DatabaseConfigError(f"the database URL {shown} names no port from 1 to 65535")
    if _NOT_IN_A_HOST.search(url.host or ""):
        raise DatabaseConfigError(
            f"the host of the database is {url.host!r}; give a name, an address, or the full path"
            " of a folder with the server's socket"
        )
    password = url.query.get("password")
    if isinstance(password, str):
        # there it would be shown wherever the URL is
        url = url.set(password=password).difference_update_query(["password"])
    return url.set(drivername="postgresql+psycopg")


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL, None for one in memory or a file: URI."""
    name = url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def is_memory(url: URL) -> bool:
    """Tell whether a SQLite URL is of a database that lives in one connection only."""
    return url.get_backend_name() == "sqlite" and (
        not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"
    )
