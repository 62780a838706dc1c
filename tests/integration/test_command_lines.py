"""`--help` of every command: it is enough to begin with, and costs next to nothing.

The commands are found, so a new one is looked at without a word here. Time is not measured (that
does `benchmarks/bench_help.py`); what is loaded is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from testkit.runnable import ROOT, arguments, commands

# what a command line may load besides the standard library: typer, and what typer is made of
LIGHT = {"typer", "annotated_doc", "shellingham", "typing_extensions"}
# by this typer reads the command before the one whose help is wanted
READING = {"pydantic", "pydantic_core", "annotated_types", "typing_inspection"}

# runs a command as `python -m` does, and tells by the last line of stderr what it loaded
LOOK = """
import atexit, json, runpy, sys
before, target = set(sys.modules), sys.argv.pop(1)

def tell():
    found = {name.partition(".")[0] for name, module in list(sys.modules.items())
             if name not in before and "site-packages" in (getattr(module, "__file__", "") or "")}
    print(json.dumps(sorted(found)), file=sys.stderr)

atexit.register(tell)
if target.endswith(".py"):
    sys.path[0] = target.rpartition("/")[0]
    runpy.run_path(target, run_name="__main__")
else:
    runpy.run_module(target, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Help:
    """What a command says of itself, and the packages that it loaded for that."""

    code: int
    text: str
    loaded: set[str]

    @property
    def entries(self) -> dict[str, str]:
        """What is said of each option and argument, without what the parser says by itself."""
        return self._listed("Options:", "Arguments:", "options:", "positional arguments:")

    @property
    def commands(self) -> list[str]:
        """The commands that it has, of which each has a help of its own."""
        return [*self._listed("Commands:"), *self._listed("  COMMAND", indent=4)]

    def _listed(self, *headings: str, indent: int = 2) -> dict[str, str]:
        found: dict[str, str] = {}
        is_inside, name = False, ""
        for line in self.text.splitlines():
            depth = len(line) - len(line.lstrip())
            if line in headings:
                is_inside = True
            elif not line or depth < indent:
                is_inside = False
            elif is_inside and depth == indent:
                name, _, said = line.strip().partition("  ")
                found[name] = said.strip()
            elif is_inside:
                found[name] += f" {line.strip()}"
        by_itself = r"\[(?:default|required|[x\d.]+<|x>)[^\]]*\]"
        return {
            name: re.sub(by_itself, "", said).strip()
            for name, said in found.items()
            if name != "COMMAND"
        }


def help_of(module: str, *command: str) -> Help:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, module, *command, "--help"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    *errors, loaded = done.stderr.splitlines()
    assert errors == []
    return Help(done.returncode, done.stdout, set(json.loads(loaded)))


def examine(module: str, *command: str) -> Help:
    """Say what is wrong with the help of one command."""
    told = help_of(module, *command)
    assert told.code == 0
    assert told.text.lower().startswith("usage: ")
    assert told.loaded <= (LIGHT | READING if command else LIGHT), (
        "import it where the command does its work"
    )
    assert any("--help" in name for name in told.entries), told.text
    assert [name for name, said in told.entries.items() if not said] == []
    return told


def test_the_commands_are_found() -> None:
    found = commands()
    assert {"gridbot.main", "gridbot.watchdog", "grid_db.migrate", "tools/pins.py"} <= set(found)
    assert len(found) >= 18


@pytest.mark.parametrize("module", commands())
def test_help_is_enough_and_loads_only_the_command_line(module: str) -> None:
    told = examine(module)
    text = " ".join(told.text.split())
    beginning = re.escape(" ".join(["python", *arguments(module)]))
    assert re.search(rf"(?<!usage: ){beginning}", text), "it has no example"
    for page in re.findall(r"docs/\w+\.md", text):
        assert (ROOT / page).is_file()
    for command in told.commands:
        examine(module, command)


def test_commands_within_a_command_are_looked_at_too() -> None:
    assert help_of("backtest.data").commands == ["fetch", "import", "info"]
    assert help_of("grid_db.tenant_login").commands == ["create", "list", "password", "drop"]


def test_an_option_without_a_word_is_found(tmp_path: Path) -> None:
    (tmp_path / "silent.py").write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--said', help='something')\n"
        "parser.add_argument('--rows', type=int)\n"
        "parser.parse_args()\n"
    )
    told = help_of(str(tmp_path / "silent.py"))
    assert told.entries["--rows ROWS"] == ""
    assert told.entries["--said SAID"] == "something"


@pytest.mark.parametrize(
    "line",
    [
        "backtest.main --config conf/backtest.yaml --offline --export {file}/out",
        "backtest.main --config conf/backtest.yaml --offline --report {file}/out/report.html",
        "backtest.data info --store {file}/store",
        "gridbot.prove --fills 1 --output {file}/out",
    ],
)
def test_a_place_that_cannot_be_is_named_in_a_sentence(line: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    done = subprocess.run(
        [sys.executable, "-m", *line.format(file=file).split()],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"Not a directory: '{file}" in done.stderr
