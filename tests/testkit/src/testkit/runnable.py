"""Which commands the project has: found in its sources, so that no list goes out of date."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
_IS_RUN = re.compile(r"^if __name__ == .__main__.:", re.MULTILINE)


def commands() -> list[str]:
    """Return the name of every module that can be run, and the file of every tool.

    A file is told by its path below the project's folder. Of the benchmarks only the one that runs
    them is a command; each of the others is what it measures.
    """
    found = []
    for source in sorted(ROOT.glob("*/*/src")):
        for path in sorted(source.rglob("*.py")):
            if _is_run(path):
                name = ".".join(path.relative_to(source).with_suffix("").parts)
                found.append(name.removesuffix(".__main__"))
    tools = [*sorted((ROOT / "tools").glob("*.py")), ROOT / "benchmarks" / "run.py"]
    return found + [str(path.relative_to(ROOT)) for path in tools if _is_run(path)]


def arguments(command: str) -> list[str]:
    """Return what follows `python` to run it, in the project's folder."""
    return [command] if command.endswith(".py") else ["-m", command]


def _is_run(path: Path) -> bool:
    return bool(_IS_RUN.search(path.read_text(encoding="utf-8")))
