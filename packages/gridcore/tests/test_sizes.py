"""Files of one idea each: a new one is cheaper than a long one."""

import ast
from pathlib import Path

import gridcore

MOST_LINES = 450
MOST_METHODS = 20
SOURCES = sorted(Path(gridcore.__file__).parent.glob("*.py"))


def test_no_file_is_long() -> None:
    counts = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: count for name, count in counts.items() if count > MOST_LINES} == {}
    assert len(counts) > 40


def test_no_class_has_many_methods_without_saying_why() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            count = sum(isinstance(one, ast.FunctionDef) for one in node.body)
            if count > MOST_METHODS and "methods" not in (ast.get_docstring(node) or ""):
                found.append(f"{path.name}: {node.name} has {count} methods and does not say why")
    assert found == []
