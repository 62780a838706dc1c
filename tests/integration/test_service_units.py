"""The systemd units of `deploy/` start what exists, with options that exist."""

from __future__ import annotations

import configparser
import importlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
FOLDER = "/srv/hedge-grid"


def command_of(unit: Path) -> list[str]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(unit)
    return shlex.split(parser["Service"]["ExecStart"])


def test_every_daemon_has_a_unit() -> None:
    assert {unit.stem for unit in UNITS} == {"event-saver", "gridbot", "gridbot-watchdog"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_is_one_of_the_project(unit: Path) -> None:
    python, dash_m, module, *options = command_of(unit)
    assert python == f"{FOLDER}/.venv/bin/python"
    assert dash_m == "-m"
    command = typer.main.get_command(importlib.import_module(module).app)
    known = {name for parameter in command.params for name in parameter.opts}
    assert {option for option in options if option.startswith("-")} <= known


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault(unit: Path, tmp_path: Path) -> None:
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("no systemd on this machine")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(f"{FOLDER}/.venv/bin/python", sys.executable))
    done = subprocess.run(
        [systemd, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    # faults of other units of this machine are none of ours
    assert unit.stem not in done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
