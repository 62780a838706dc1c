"""What wrong input is told, and what it must not quote."""

import traceback
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from sqlalchemy import text

from grid_db import (
    DatabaseFactory,
    PublicTradeRepository,
)
from grid_db.errors import (
    GridDbError,
)
from grid_db.testing_rows import trade

Log = pytest.LogCaptureFixture


# Every sign that means something in a URL. What is left when one of them ends the password early
# would still be seen, because each part between them is searched for.
SECRET = "aK1@bK2:cK3/dK4#eK5%fK6?gK7&hK8=iK9 jK0"


PARTS = ["aK1", "bK2", "cK3", "dK4", "eK5", "fK6", "gK7", "hK8", "iK9", "jK0"]


Output = pytest.CaptureFixture[str]


def assert_command_says(command: Callable[[], int], capsys: Output, sentence: str) -> None:
    assert command() == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not any(part in captured.err for part in PARTS)


def insert(database: DatabaseFactory, count: int = 1, before: str | None = None) -> None:
    """Insert trades, after one statement of raw SQL if need be."""
    with database.get_session() as session:
        if before is not None:
            session.execute(text(before))
        PublicTradeRepository(session).bulk_insert(map(trade, range(count)))


def said_by(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error, and every error behind it, tells anybody who looks."""
    if error is not None:
        yield "".join(traceback.format_exception(error))
    while error is not None:
        yield from (str(error), repr(error), repr(error.args))
        error = error.__cause__ or error.__context__


def assert_tells(error: GridDbError, *sentences: str) -> None:
    assert len(str(error).splitlines()) == 1
    for sentence in sentences:
        assert sentence in str(error)
    for said in said_by(error):
        for part in [*PARTS, quote(SECRET, safe="")]:
            assert part not in said


UNREADABLE = {
    # scheme and driver
    "mysql://me:aK1@host/name": "names 'mysql'; write sqlite:///",
    "mysql+pymysql://me:aK1@host/name": "names 'mysql'",
    "mongodb://me:aK1@host/name": "names 'mongodb'",
    "postgresql+asyncpg://me:aK1@host/name": "names the driver 'asyncpg'; write postgresql://",
    "postgresql+psycopg2://me:aK1@host/name": "names the driver 'psycopg2'",
    "sqlite+aiosqlite:///x.db": "names the driver 'aiosqlite'; write sqlite:///",
    # no URL
    "": "the database URL '' cannot be read; write sqlite:///gridbot.db or postgresql://",
    "nonsense": "'nonsense' cannot be read",
    "host=localhost user=me password='aK1 bK2'": "'***' cannot be read",
    "postgresql:/me:aK1@host/name": "'***' cannot be read",
    "password = aK1": "'***' cannot be read",
    # a password that was not encoded, or has nothing behind it
    "postgresql://me:aK1@bK2@host/name": "percent-encode the password",
    "postgresql://me:aK1:bK2@cK3@host/name": "me:***@host/name has one @ too many",
    "postgresql://me@work:aK1@host/name": "me@work:***@host/name has one @ too many",
    "postgresql://do/main:aK1@host/name": "do/main:***@host/name has one @ too many, or a / before",
    "postgresql://me:aK1": "'postgresql://me:***' cannot be read",
    "postgresql://me:aK1/name": "'postgresql://me:***' cannot be read",
    "postgresql://me:aK1@host:54x/name": "'postgresql://me:***@host:54x/name' cannot be read",
    # parts that are missing, or that the driver would take for something else
    "postgresql://me:aK1@host": "names no database",
    "postgresql://me:aK1@host:70000/name": "names no port from 1 to 65535",
    "postgresql://me:aK1@host:0/name": "names no port from 1 to 65535",
    "postgresql://me:aK1%00bK2@host/name": "the password of the database has a NUL",
    "postgresql://me:aK1@host/na%00me": "the name of the database has a NUL",
    "postgresql://me:aK1@host/name?options=%00": "the parameter 'options' of the database has a",
    "postgresql://me:aK1@ho st/name": "the host of the database is 'ho st'; give a name",
    "sqlite://file.db": "has two slashes; write sqlite:///file.db for a file",
    "sqlite://me:aK1@/file.db": "sqlite://me:***@/file.db names a user or a port",
    "sqlite:///file.db?mode=ro": "which only a file: URI takes; write sqlite:///file:",
    "sqlite:///file:file.db?timeout=long&uri=true": "parameters that cannot be read",
}


def expect(
    kind: type[GridDbError], action: Callable[[], object], *sentences: str, log: Log | None = None
) -> None:
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert_tells(caught.value, *sentences)
    if log is not None:
        assert not any(part in log.text for part in PARTS)
