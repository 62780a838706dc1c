"""Finds code that reaches past the face of a strategy, by its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from gridcore import GridStrategy

# what others may use of a strategy; everything else of it is gridcore's own
FACE = frozenset(
    {
        "adopt_orders",
        "config",
        "foreign_orders",
        "guards",
        "handle",
        "limits",
        "marks",
        "next_position_check",
        "on_event",
        "on_price",
        "pass_quiet",
        "quiet_band",
        "reset_same_order",
        "restore",
        "restore_guards",
        "restore_memory",
        "snapshot",
        "still_wants",
        "trips",
        "view",
    }
)


def parts_of(strategy: GridStrategy) -> frozenset[str]:
    """Return the names of a strategy that are no part of its face."""
    return frozenset(name for name in dir(strategy) if not name.startswith("__")) - FACE


def reaches_in(source: str, where: str, parts: frozenset[str]) -> Iterator[str]:
    """Yield a sentence for every line that touches a part of a strategy or sets a field of it.

    A strategy is what is called `strategy`, what is made by `GridStrategy(...)`, and a name that
    one of these was given to in the same file.
    """
    tree = ast.parse(source, where)
    names = {"strategy"} | _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_strategy(node.value, names):
            line = f"{where}:{node.lineno}"
            if node.attr in parts:
                yield (
                    f"{line} reaches into a strategy ({ast.unparse(node)}); send it a message with"
                    " handle(...), or read its view"
                )
            elif isinstance(node.ctx, ast.Store | ast.Del) and node.attr in FACE:
                yield f"{line} sets {ast.unparse(node)}; only messages change a strategy"
        elif isinstance(node, ast.Call) and _sets_by_name(node, names):
            yield (
                f"{where}:{node.lineno} sets a field of a strategy ({ast.unparse(node)}); only"
                " messages change a strategy"
            )


def _is_strategy(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "GridStrategy"
    return isinstance(node, ast.Attribute) and node.attr == "strategy"


def _aliases(tree: ast.AST) -> set[str]:
    """Return the names that a strategy is given to by a plain assignment."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            pairs = [(node.target, node.value)]
        else:
            continue
        for target, value in pairs:
            given = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                given = list(zip(target.elts, value.elts, strict=False))
            for name, one in given:
                if isinstance(name, ast.Name) and _is_strategy(one, {"strategy"}):
                    found.add(name.id)
    return found


def _sets_by_name(node: ast.Call, names: set[str]) -> bool:
    return (
        isinstance(node.func, ast.Name)
        and node.func.id in ("setattr", "delattr")
        and bool(node.args)
        and _is_strategy(node.args[0], names)
    )


def sources(root: Path) -> Iterator[Path]:
    """Yield the Python files of the workspace outside of gridcore."""
    for folder in ("apps", "packages", "shared/db", "tests", "benchmarks", "tools"):
        for path in sorted((root / folder).rglob("*.py")):
            if "gridcore" not in path.relative_to(root).parts[:2]:
                yield path
