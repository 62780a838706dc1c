"""The way from the socket to the wire stays short; docs/architecture.md tells how short."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_tick_reaches_the_wire_by_few_files() -> None:
    run = subprocess.run(
        [sys.executable, "tools/trace_path.py", "--steps"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    steps = [line for line in run.stdout.splitlines() if line.startswith("->")]
    found = {
        part: (int(files), int(returns))
        for part, files, returns in re.findall(r"(\w+): (\d+) files, (\d+) returns", run.stdout)
    }
    assert found.keys() == {"wire", "bybit_adapter", "gridbot", "gridcore"}
    assert "pybit_socket" in steps[0]
    assert "http/connections.py" in steps[-1]
    for part, most in (("bybit_adapter", (19, 25)), ("wire", (59, 135))):
        assert found[part][0] <= most[0]
        assert found[part][1] <= most[1]
