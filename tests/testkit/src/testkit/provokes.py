"""Names, at a test, the alerts that it provokes for real."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gridbot.alerts.alerts import AlertKey

Test = TypeVar("Test", bound=Callable[..., object])


def provokes(*keys: AlertKey) -> Callable[[Test], Test]:
    """Mark a test that provokes alerts by real parts and looks at their texts."""

    def mark(test: Test) -> Test:
        if not keys:
            raise ValueError("name at least one key that the test provokes")
        return test

    return mark


def provoked_in(folder: Path) -> dict[str, list[str]]:
    """Return which tests in the files of a folder provoke which key, by the name of the key."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for name in _keys_at(node):
                    found.setdefault(name, []).append(f"{path.name}::{node.name}")
    return found


def _keys_at(node: ast.FunctionDef) -> Iterator[str]:
    for mark in node.decorator_list:
        if not isinstance(mark, ast.Call) or getattr(mark.func, "id", "") != "provokes":
            continue
        for argument in mark.args:
            if isinstance(argument, ast.Attribute):
                yield argument.attr
