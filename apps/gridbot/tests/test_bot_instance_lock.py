"""Two starts on one folder: the second says so and leaves, and the first does not notice."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gridbot.bot_run import IN_USE
from gridbot.main import main
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

DEMO = Path(__file__).resolve().parents[3] / "conf" / "demo.yaml"


def start(folder: Path, config: Path = DEMO) -> subprocess.Popen[str]:
    """Start a demo in a folder, as `make demo` does."""
    return subprocess.Popen(
        [sys.executable, "-m", "gridbot.main", "--config", str(config), "--duration", "150"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def status(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "var/demo/status.json").read_text())
    return found


def is_trading(folder: Path) -> bool:
    file = folder / "var/demo/status.json"
    return file.exists() and any(one["orders"] for one in status(folder)["strategies"])


def runs(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "var/demo/demo.db") as database:
        return [row[0] for row in database.execute("SELECT status FROM runs ORDER BY id")]


@pytest.mark.slow
def test_a_second_demo_leaves_the_first_alone(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        eventually(lambda: is_trading(tmp_path), 90, "the first demo trades")
        begun = runs(tmp_path)
        second = start(tmp_path)
        _, told = second.communicate(timeout=90)
        assert second.returncode == IN_USE == 3
        who = f"in use by another bot (process {first.pid}"
        assert told.startswith(f"gridbot: the state folder var/demo/state is {who}")
        assert "stop that one first, or give this one a state_path" in told
        assert len(told.splitlines()) == 1
        assert runs(tmp_path) == begun
        assert {line["level"] for line in log_of(tmp_path)} <= {"info", "warning"}
        assert status(tmp_path)["pid"] == first.pid
        seen = status(tmp_path)["heartbeat_at"]
        eventually(lambda: status(tmp_path)["heartbeat_at"] > seen, 10, "the first one goes on")
        first.send_signal(signal.SIGINT)
        out, wrong = first.communicate(timeout=90)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 0, wrong
    assert "equal to the bot's books" in out
    assert status(tmp_path)["state"] == "stopped"


def log_of(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "var/demo/gridbot.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    first = start(tmp_path)
    try:
        eventually(lambda: is_trading(tmp_path), 90, "the first demo trades")
    finally:
        first.kill()
        first.communicate()
    assert (tmp_path / "var/demo/state/.gridbot.lock").exists()
    second = start(tmp_path)
    try:
        eventually(lambda: status(tmp_path)["pid"] == second.pid, 90, "the second one runs")
    finally:
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=90)
    assert second.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("own", ["state_path", "status_path"])
def test_each_of_the_files_is_guarded(
    tmp_path: Path, own: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(tmp_path)
    try:
        eventually(lambda: is_trading(tmp_path), 90, "the first demo trades")
        settings = yaml.safe_load(DEMO.read_text())
        settings[own] = f"var/other/{Path(settings[own]).name}"
        other = tmp_path / "other.yaml"
        other.write_text(yaml.safe_dump(settings))
        monkeypatch.chdir(tmp_path)
        assert main(["--config", str(other), "--duration", "1"]) == IN_USE
        assert main(["--config", str(other), "--check"]) == IN_USE
    finally:
        logging.shutdown()
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=90)
    told = capsys.readouterr().err.splitlines()
    what = "the status file" if own == "state_path" else "the state folder"
    assert told[0].startswith(f"gridbot: {what}")
    assert told[0] == told[1]
    shutil.rmtree(tmp_path / "var")


@pytest.mark.slow
def test_a_port_that_is_taken_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Two bots of different folders that want one port for their exchange."""
    settings = yaml.safe_load(DEMO.read_text())
    first = start(tmp_path)
    try:
        eventually(lambda: is_trading(tmp_path), 90, "the first demo trades")
        port = port_of(tmp_path)
        settings["paper"]["port"] = port
        second_folder = tmp_path / "second"
        second_folder.mkdir()
        config = second_folder / "demo.yaml"
        config.write_text(yaml.safe_dump(settings))
        second = start(second_folder, config)
        _, told = second.communicate(timeout=90)
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=90)
    assert second.returncode == 1
    assert str(port) in told
    assert "port" in told
    assert len(told.splitlines()) == 1
    assert os.path.exists(second_folder / "var/demo/state")  # its own, and nothing of the first


def port_of(folder: Path) -> int:
    for line in log_of(folder):
        if line["message"].startswith("embedded exchange at "):
            return int(line["message"].rpartition(":")[2])
    raise AssertionError("the log does not tell the port")
