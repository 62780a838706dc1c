"""What commands say to wrong calls, as programs."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from grid_db import (
    init_db,
)
from testkit.wrong_input import PARTS, SECRET, Output, assert_command_says


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["grid_db.init_db"], 1, "init_db: postgresql+psycopg://me:***@127.0.0.1:"),
        (["grid_db.migrate", "upgrade"], 1, "migrate: postgresql+psycopg://me:***@127.0.0.1:"),
        (["grid_db.migrate"], 2, "the following arguments are required: COMMAND"),
    ],
)
def test_commands_as_programs(
    arguments: list[str], code: int, sentence: str, closed_port: int
) -> None:
    url = URL.create("postgresql", "me", SECRET, "127.0.0.1", closed_port, "name")
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={"GRIDBOT_DATABASE_URL": url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(part in done.stderr for part in PARTS)
    if code == 1:
        assert len(done.stderr.splitlines()) == 1


def test_an_init_that_fails_leaves_nothing(tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE users (name TEXT)")
    url = f"sqlite:///{file}"
    sentence = "(users) that carry no revision; name an empty database, or drop them"
    assert_command_says(lambda: init_db.main(["--database-url", url]), capsys, sentence)
    with closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]
