"""Database URLs: read, refused with a reason, and shown without their secrets."""

import importlib.util
import re
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from grid_db.errors import DatabaseConfigError

EXAMPLES = "sqlite:///gridbot.db or postgresql://user:password@host:5432/name"

_SECRET_PARAMETER = re.compile(
    r"((?:^|[?&;\s])[^=&?\s]*(?:pass|secret|token)[^=&]*=)[^&\s]*", re.IGNORECASE
)
# Greedy up to the last @, because a password that was not encoded may hold one.
_PASSWORD = re.compile(r"(?<=://)([^:@/?]*):(.*)@", re.DOTALL)


def redact_db_url(url: str | URL) -> str:
    """Return `url` with the password, and any secret parameter, as ***.

    Works on what is no URL too: text that cannot be read is never shown with a password in it.
    """
    text = url.render_as_string(hide_password=False) if isinstance(url, URL) else str(url)
    if "://" not in text and "@" in text:
        return "***@" + text.rpartition("@")[2]
    return _SECRET_PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))


def parse_url(text: str) -> URL:
    """Return the URL with the driver this library uses.

    Raises DatabaseConfigError for anything but SQLite and PostgreSQL through psycopg, for a
    password whose special characters are not percent-encoded, and for a driver not installed.
    """
    shown = redact_db_url(text)
    if text.startswith("postgres") and text.split("?", 1)[0].count("@") > 1:
        raise DatabaseConfigError(
            f"the database URL {shown} has more than one @; percent-encode the password"
            " (urllib.parse.quote(password, safe='')) or give it alone in GRIDBOT_DB_PASSWORD"
        )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseConfigError(
            f"the database URL {shown!r} cannot be read; write {EXAMPLES}"
            " and percent-encode special characters of the password"
        ) from None
    backend, _, driver = url.drivername.partition("+")
    if backend == "sqlite":
        return _sqlite(url, driver, shown)
    if backend in ("postgresql", "postgres"):
        return _postgresql(url, driver, shown)
    raise DatabaseConfigError(f"the database URL {shown} names {backend!r}; write {EXAMPLES}")


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
    return url.set(drivername="sqlite")


def _postgresql(url: URL, driver: str, shown: str) -> URL:
    if driver not in ("", "psycopg"):
        raise DatabaseConfigError(
            f"the database URL {shown} names the driver {driver!r}; write postgresql://…,"
            " which uses psycopg 3"
        )
    if not url.database:
        raise DatabaseConfigError(f"the database URL {shown} names no database; write {EXAMPLES}")
    try:
        found = importlib.util.find_spec("psycopg") is not None
    except ValueError:
        found = False
    if not found:
        raise DatabaseConfigError(
            f"the database URL {shown} needs the driver psycopg, which is not installed;"
            " install psycopg[binary]"
        )
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
