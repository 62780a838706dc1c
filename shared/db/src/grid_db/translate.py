"""Driver errors as this library's own: one sentence, no secret, and what to do."""

import sqlite3

import psycopg
from sqlalchemy import exc
from sqlalchemy.engine import URL

from grid_db.errors import (
    ConstraintError,
    DatabaseConfigError,
    DatabaseUnavailableError,
    GridDbError,
    SchemaError,
)
from grid_db.urls import redact_db_url


def translate_error(error: BaseException, url: URL) -> GridDbError | None:
    """Return our error for one of SQLAlchemy's or the driver's, None for any other exception."""
    if isinstance(error, GridDbError):
        return error
    cause: BaseException | None = error
    if isinstance(error, exc.StatementError):
        cause = error.orig
        if isinstance(cause, GridDbError):
            return cause
    shown = redact_db_url(url)
    if isinstance(cause, sqlite3.Error):
        return _sqlite(cause, shown)
    if isinstance(cause, psycopg.Error):
        return _postgresql(cause, url, shown)
    if isinstance(error, exc.SQLAlchemyError):
        return DatabaseUnavailableError(f"{shown}: {_first_line(error)}; see the log and try again")
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _sqlite(error: sqlite3.Error, shown: str) -> GridDbError:
    text = _first_line(error)
    if isinstance(error, sqlite3.IntegrityError):
        return _constraint(shown, text)
    if "no such table" in text or "no such column" in text or "has no column" in text:
        return _schema(shown, text)
    if "access mode" in text or "cache mode" in text or "no such vfs" in text:
        return DatabaseConfigError(f"{shown}: {text}; correct the parameters of the URL")
    if "readonly" in text:
        advice = "make the file and its folder writable for this user"
    elif "unable to open" in text:
        advice = "the folder must exist and be writable; create it or correct the path"
    elif "locked" in text or "busy" in text:
        advice = "another process has been writing for too long; end it or try again"
    elif "not a database" in text or "malformed" in text:
        advice = "the file is no intact SQLite database; correct the path or restore a copy"
    elif "full" in text:
        advice = "free some space on the disk and try again"
    else:
        advice = "try again"
    return DatabaseUnavailableError(f"{shown}: {text}; {advice}")


def _postgresql(error: psycopg.Error, url: URL, shown: str) -> GridDbError:
    text = error.diag.message_primary or _connection_text(error, url)
    state = error.sqlstate or ""
    if state.startswith("23"):
        return _constraint(shown, text)
    if state in ("42P01", "42703", "3F000"):
        return _schema(shown, text)
    if state == "P0001":  # raised by a statement of ours, with what to do
        return DatabaseConfigError(f"{shown}: {text}")
    if state == "42501":
        return DatabaseConfigError(
            f"{shown}: {text}; work through a TenantScope, or log in as a member of"
            " grid_db_admin for administration"
        )
    lower = text.lower()
    if "password" in lower or "authentication" in lower or "no pg_hba.conf entry" in lower:
        return DatabaseConfigError(
            f"{shown}: {text}; check user and password (GRIDBOT_DB_PASSWORD takes it as it is,"
            " in a URL its special characters are percent-encoded)"
        )
    if "does not exist" in lower and ("database" in lower or "role" in lower):
        return DatabaseConfigError(f"{shown}: {text}; create it or correct the name")
    if not state and (isinstance(error, psycopg.ProgrammingError) or "is bad: invalid" in lower):
        return DatabaseConfigError(f"{shown}: {text}; correct the parameters of the URL")
    if state == "40P01":
        advice = "another writer holds the same rows; try again"
    elif not state or state.startswith(("08", "57")):
        advice = "check that the server runs, its host and port, and try again"
    else:
        advice = "try again"
    return DatabaseUnavailableError(f"{shown}: {text}; {advice}")


def _connection_text(error: psycopg.Error, url: URL) -> str:
    # libpq repeats what it was given, host by host, a line each
    text = _first_line(error)
    if url.password:
        text = text.replace(str(url.password), "***")
    return text


def _constraint(shown: str, text: str) -> GridDbError:
    return ConstraintError(
        f"{shown}: {text}; the row names something that does not exist, repeats a unique name,"
        " or lacks a value"
    )


def _schema(shown: str, text: str) -> GridDbError:
    return SchemaError(
        f"{shown}: {text}; create the tables with python -m grid_db.init_db, or bring them up to"
        " date with python -m grid_db.migrate upgrade"
    )
