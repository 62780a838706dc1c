"""What who opens a folder may rely on: short files, small classes, one name for one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 450
MOST_METHODS = 20
PARTS = ("apps", "packages", "shared/db", "bbu_reference", "tests", "benchmarks", "tools")
# the older bot restated: it has the words of the thing that it restates
RESTATED = "bbu_reference"


def sources() -> Iterator[Path]:
    """Yield every Python file of the workspace but migrations, which are never touched again."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            inner = path.relative_to(ROOT).parts
            if not {".venv", "migrations", "build", "__pycache__"} & set(inner):
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_long() -> None:
    counts = {name_of(one): len(one.read_text("utf-8").splitlines()) for one in sources()}
    assert len(counts) > 500
    long = {name: count for name, count in counts.items() if count > MOST_LINES}
    assert long == {}, f"more than {MOST_LINES} lines: split them by subject"


def test_no_class_has_many_methods_without_saying_why() -> None:
    found = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            methods = ast.FunctionDef | ast.AsyncFunctionDef
            count = sum(isinstance(one, methods) for one in node.body)
            if count > MOST_METHODS and "methods" not in (ast.get_docstring(node) or ""):
                found.append(f"{name_of(path)}: {node.name} has {count} methods")
    assert found == [], "split them by job, or say in the docstring why they have so many methods"


def test_one_name_means_one_class() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        inner = path.relative_to(ROOT).parts
        if "src" not in inner or inner[0] in (RESTATED, "tests"):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name_of(path))
    doubled = {name: files for name, files in homes.items() if len(files) > 1}
    assert doubled == {}, "the same name for two things; give each its own"
