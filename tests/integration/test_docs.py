"""What README and docs show works as it stands there."""

from __future__ import annotations

import csv
import gzip
import importlib
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from testkit.paper import PaperHost, paper_account, paper_market

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"python -m ([a-z_]+(?:\.[a-z_]+)*)((?:\\\n|[^\n`|#])*)")
# blocks that go on from something a page describes in words: what they import has to be there
TESTS = "contributing.md"
IN_WORDS = {"comparator.md", "event_saver.md"}


def blocks() -> list[tuple[str, int, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(BLOCK.finditer(text)):
            found.append((page.name, number, match[1]))
    return found


def archive(path: Path) -> None:
    """Write a day of trades in the form of Bybit's archive."""
    chance, price = random.Random(1), 600_000
    with gzip.open(path, "wt", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["timestamp", "symbol", "side", "size", "price", "tickDirection", "trdMatchID",
             "grossValue", "homeNotional", "foreignNotional"]
        )  # fmt: skip
        for second in range(3_000):
            price += chance.choice((-200, -1, 0, 1, 200))
            rows.writerow(
                [f"{1735689600 + second}.5", "BTCUSDT", chance.choice(("Buy", "Sell")), "0.01",
                 f"{price / 10:.2f}", "PlusTick", f"id-{second}", "0", "0.01", "600"]
            )  # fmt: skip


def test_the_test_of_the_page_on_tests_passes(tmp_path: Path) -> None:
    (code,) = (text for name, _, text in blocks() if name == TESTS)
    (tmp_path / "test_page.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "testkit.plugin", "test_page.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("page", sorted({page for page, _, _ in blocks()} - {TESTS}))
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    code = "\n".join(text for name, _, text in blocks() if name == page)
    if page in IN_WORDS:
        code = "\n".join(
            re.findall(r"^from [\w.]+ import (?:\([^)]*\)|[^\n]*)", code, re.MULTILINE)
        )
    archive(tmp_path / "BTCUSDT2025-01-01.csv.gz")
    account = paper_account(key="demo-key", secret="demo-secret")
    with PaperHost([paper_market()], [account]) as host:
        host.trade("65000")
        code = code.replace("127.0.0.1:8899", f"127.0.0.1:{host.server.port}")
        # processes of a sweep import the script again
        script = "if __name__ == '__main__':\n    pass\n" + re.sub(
            "^", "    ", code, flags=re.MULTILINE
        )
        (tmp_path / "page.py").write_text(script, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "page.py"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if "# Filled" in code:
        assert done.stdout.splitlines()[0] == "Filled"


def options_of(module: str, *command: str) -> set[str]:
    """Return the options in the help of a command; of one that is none, those above it."""
    done = subprocess.run(
        [sys.executable, "-m", module, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return set(re.findall(r"--[a-z-]+", done.stdout))


def commands() -> list[tuple[str, str, str]]:
    found = set()
    for page in PAGES:
        for module, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
            found.add((page.name, module, rest.replace("\\\n", " ").strip()))
    return sorted(found)


@pytest.mark.parametrize(("page", "module", "rest"), commands())
def test_a_command_of_a_page_has_the_options_that_are_shown(
    page: str, module: str, rest: str
) -> None:
    found = importlib.import_module(module)
    shown = {word.split("=")[0] for word in shlex.split(rest) if word.startswith("--")}
    if not hasattr(found, "app"):  # argparse
        known = options_of(module) | options_of(module, *shlex.split(rest)[:1])
    else:
        command = typer.main.get_command(found.app)
        nested = [command, *getattr(command, "commands", {}).values()]
        known = {
            name
            for one in nested
            for parameter in one.params
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
    assert shown <= known | {"--help"}, f"{page}: {module} has no {', '.join(shown - known)}"
