"""The ways through the code stay short; docs/architecture.md tells how short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# files and returns, at most
TICK = {"in all": (60, 135), "bybit_adapter": (19, 25)}
EXECUTION = {"in all": (21, 25), "grid_db": (7, 8), "event_saver": (5, 8)}
FILL = {"in all": (49, 275), "exchange_model": (11, 62)}


def run(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "tools/trace_path.py", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("way", "first", "last", "packages", "most"),
    [
        (
            "tick", "pybit_socket", "http/connections.py",
            {"bybit_adapter", "gridbot", "gridcore"}, TICK,
        ),
        (
            "execution", "pybit_socket", "grid_db/database.py",
            {"bybit_adapter", "event_saver", "grid_db"}, EXECUTION,
        ),
        (
            "fill", "backtest/run/simulation.py", "",
            {"backtest", "exchange_model", "gridcore"}, FILL,
        ),
    ],
)  # fmt: skip
def test_a_way_visits_few_files(
    way: str, first: str, last: str, packages: set[str], most: dict[str, tuple[int, int]]
) -> None:
    lines = run(way, "--steps")
    steps = [line for line in lines if line.startswith("->")]
    assert first in steps[0]
    assert last in steps[-1]
    table = lines[lines.index(next(line for line in lines if line.startswith("way "))) + 1 :]
    rows = [line.removeprefix(way).rsplit(maxsplit=2) for line in table[: table.index("")]]
    found = {part.strip(): (int(files), int(returns)) for part, files, returns in rows}
    assert found.keys() == {"in all", *packages}
    for part, (files, returns) in most.items():
        assert found[part][0] <= files
        assert found[part][1] <= returns


def test_a_way_that_is_not_there_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "tools/trace_path.py", "tock"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "there is no way tock; there are tick, execution, fill" in done.stderr
