"""The state file: what was saved last is there after any end, and nothing else passes for it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import struct
import zlib
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from gridbot.records.state_store import StateFiles

NOW = datetime(2026, 8, 9, 12, tzinfo=UTC)


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "new")
    assert files.load("one") is None
    for number in range(5):
        files.save("one", NOW + timedelta(seconds=number), {"levels": [number]})
        files.save("two", NOW, {"levels": ["other"]})
        assert StateFiles(tmp_path / "new").load("one") == (
            NOW + timedelta(seconds=number),
            {"levels": [number]},
        )
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.state", "two.state"]


def test_a_state_that_outgrows_its_file_gets_a_larger_one(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    for count in (1, 20_000, 200_000, 3):
        files.save("one", NOW, {"levels": list(range(count))})
        kept = StateFiles(tmp_path).load("one")
        assert kept is not None
        assert len(kept[1]["levels"]) == count


def test_a_half_that_was_not_finished_leaves_the_one_before(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.save("one", NOW, {"levels": ["before"]})
    files.save("one", NOW, {"levels": ["after"]})
    path = tmp_path / "one.state"
    content = path.read_bytes()
    at = content.index(b"after")
    path.write_bytes(content[:at] + b"aft\0\0" + content[at + 5 :])
    assert StateFiles(tmp_path).load("one") == (NOW, {"levels": ["before"]})


@pytest.mark.parametrize("content", [b"", b"x", bytes(200_000), b"{}" * 100_000])
def test_a_file_that_is_none_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.state").write_bytes(content)
    files = StateFiles(tmp_path)
    assert files.load("one") is None
    assert (tmp_path / "one.unreadable").read_bytes() == content
    files.save("one", NOW, {"levels": []})
    assert files.load("one") == (NOW, {"levels": []})


def test_a_folder_that_takes_nothing_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        StateFiles(tmp_path / "file").save("one", NOW, {})


def save_for_ever(folder: str, pipe: Connection) -> None:
    files, number = StateFiles(Path(folder)), 0
    while True:
        number += 1
        files.save("one", NOW, {"levels": [number] * 3_000})
        pipe.send(number)


def test_a_kill_at_any_moment_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for round_number in range(8):
        mine, theirs = context.Pipe()
        child = context.Process(target=save_for_ever, args=(str(tmp_path), theirs))
        child.start()
        theirs.close()
        told = 0
        while told < 20 + 7 * round_number:
            told = mine.recv()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(10)
        try:
            while True:
                told = mine.recv()
        except EOFError:
            pass
        kept = StateFiles(tmp_path).load("one")
        assert kept is not None
        assert len(set(kept[1]["levels"])) == 1
        assert kept[1]["levels"][0] >= told


def test_newer_guards_stand_in_for_those_of_the_snapshot(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.save("one", NOW, {"levels": [1], "guards": {"holds": []}})
    files.save_guards("one", NOW, {"holds": ["paused"]})
    again = StateFiles(tmp_path)
    assert again.load("one") == (NOW, {"levels": [1], "guards": {"holds": ["paused"]}})
    # a snapshot that is kept later holds the newest of both
    again.save("one", NOW, {"levels": [2], "guards": {"holds": []}})
    assert StateFiles(tmp_path).load("one") == (NOW, {"levels": [2], "guards": {"holds": []}})


def test_guards_tell_what_stops_trading_where_the_grid_is_lost(tmp_path: Path) -> None:
    files = StateFiles(tmp_path)
    files.save("one", NOW, {"levels": [1], "guards": {"holds": []}})
    files.save_guards("one", NOW, {"holds": ["paused"]})
    (tmp_path / "one.state").write_bytes(b"no state")
    assert StateFiles(tmp_path).load("one") == (NOW, {"guards": {"holds": ["paused"]}})
    (tmp_path / "one.guards").write_bytes(b"none either")
    assert StateFiles(tmp_path).load("one") is None
    assert (tmp_path / "one.guards.unreadable").read_bytes() == b"none either"


def test_a_state_of_the_version_before_is_read(tmp_path: Path) -> None:
    """It did not number what it kept, and had no guards beside it."""
    files = StateFiles(tmp_path)
    files.save("one", NOW, {"levels": [1]})
    path = tmp_path / "one.state"
    content = path.read_bytes()
    number, length, _ = struct.unpack_from("<QII", content, len(content) // 2)
    body = json.dumps({"saved_at": NOW.isoformat(), "snapshot": {"levels": [1]}}).encode()
    half = struct.pack("<QII", number, len(body), zlib.crc32(body)) + body
    path.write_bytes(bytes(len(content) // 2) + half + bytes(len(content) // 2 - len(half)))
    assert length != len(body)
    again = StateFiles(tmp_path)
    assert again.load("one") == (NOW, {"levels": [1]})
    again.save_guards("one", NOW, {"holds": ["paused"]})
    assert StateFiles(tmp_path).load("one") == (
        NOW,
        {"levels": [1], "guards": {"holds": ["paused"]}},
    )
