"""init_db and migrate as a user types them, on both databases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grid_db import init_db, migrate
from grid_db.database import DatabaseFactory
from grid_db.migrations import runner
from grid_db.schema import head_revision

Output = pytest.CaptureFixture[str]


def url_of(database: DatabaseFactory) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def test_init_twice_is_harmless_and_says_so(
    empty_database: DatabaseFactory, capsys: Output
) -> None:
    url = url_of(empty_database)
    assert init_db.main(["--database-url", url]) == 0
    assert "created 18 tables" in capsys.readouterr().out
    assert init_db.main(["--database-url", url]) == 0
    assert "nothing to do: all 18 tables" in capsys.readouterr().out


def test_the_way_up_and_down(empty_database: DatabaseFactory, capsys: Output) -> None:
    url = ["--database-url", url_of(empty_database)]

    def say(*arguments: str) -> str:
        assert migrate.main([*url, *arguments]) == 0
        return capsys.readouterr().out

    assert "no tables" in say("status")
    assert "0001" in say("upgrade", "0001")
    assert "0001" not in say("upgrade")
    assert "nothing to do" in say("upgrade")
    assert f"-> {head_revision()}" in say("status")
    assert "differs" not in say("status")
    assert "0003" in say("downgrade", "0002")
    assert init_db.main(url) == 1
    assert "run python -m grid_db.migrate upgrade" in capsys.readouterr().err
    assert "0001" in say("downgrade", "base")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://me:secret@host/name", "names 'mysql'"),
        ("sqlite:////nowhere/at/all/x.db", "folder /nowhere/at/all does not exist"),
        ("postgresql://me:s3cret@127.0.0.1:1/name", "127.0.0.1"),
        ("postgresql://me:s3@cret@127.0.0.1/name", "percent-encode the password"),
        ("nonsense", "cannot be read"),
    ],
)
def test_wrong_urls_get_one_sentence(url: str, sentence: str, capsys: Output) -> None:
    for main, arguments in ((init_db.main, []), (migrate.main, ["upgrade"])):
        assert main(["--database-url", url, *arguments]) == 1
        captured = capsys.readouterr()
        assert sentence in captured.err
        assert len(captured.err.strip().splitlines()) == 1
        assert "cret" not in captured.err
        assert not captured.out


def test_an_unknown_revision_names_the_known_ones(
    empty_database: DatabaseFactory, capsys: Output
) -> None:
    url = ["--database-url", url_of(empty_database)]
    assert migrate.main([*url, "upgrade", "9999"]) == 1
    known = ", ".join(sorted(one.id for one in runner.revisions()))
    assert f"known are {known}" in capsys.readouterr().err


def test_settings_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("GRIDBOT_DATABASE_URL", f"sqlite:///{tmp_path}/here.db")
    assert init_db.main([]) == 0
    assert (tmp_path / "here.db").is_file()
    monkeypatch.setenv("GRIDBOT_DB_PORT", "many")
    assert init_db.main([]) == 1
    assert "GRIDBOT_DB_PORT" in capsys.readouterr().err


def test_help_is_enough(capsys: Output) -> None:
    for main in (init_db.main, migrate.main):
        assert main(["--help"]) == 0
        text = capsys.readouterr().out
        assert "GRIDBOT_DATABASE_URL" in text
        assert "exit codes" in text


def test_a_reader_who_goes_away_is_no_fault(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    url = f"sqlite:///{tmp_path / 'a.db'}"
    done = subprocess.run(
        [sys.executable, "-m", "grid_db.init_db", "--database-url", url],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 1)
    assert init_db.main(["--database-url", url]) == 0  # the tables are there
