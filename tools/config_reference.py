"""Writes docs/configuration.md from the configuration models; `check` tells whether it is current.

python tools/config_reference.py write
python tools/config_reference.py check
"""

from __future__ import annotations

import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from backtest.config import BacktestConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
MODELS: dict[str, type[BaseModel]] = {"Backtest (conf/backtest.yaml)": BacktestConfig}
HEAD = (
    "# Configuration\n\nWritten from the models by `python tools/config_reference.py write`;"
    " `make lint` checks that it is current.\nA key that is not listed here is refused.\n"
)


def kind_of(annotation: Any) -> str:
    """Return a type in the words of a reader."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kind_of(get_args(annotation)[0])
    if origin is UnionType or str(origin) == "typing.Union":
        parts = [kind_of(part) for part in get_args(annotation) if part is not NoneType]
        return " or ".join(dict.fromkeys(parts))
    if origin in (tuple, list):
        return f"list of {kind_of(get_args(annotation)[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " / ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {int: "whole number", float: "number", Decimal: "number", str: "text", bool: "yes/no"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside a field's type, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = model_of(part)
        if found is not None:
            return found
    return None


def limits_of(field: FieldInfo) -> str:
    """Return the bounds of a field in words."""
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    found = [
        f"{words[name]} {getattr(part, name)}"
        for part in field.metadata
        for name in words
        if getattr(part, name, None) is not None
    ]
    return ", ".join(found)


def default_of(field: FieldInfo) -> str:
    """Return the default as YAML would show it."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, BaseModel) or value == ():
        return ""
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rows_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return a table row for every setting, those of sections under their names."""
    rows = []
    for name, field in model.model_fields.items():
        meaning = "; ".join(part for part in (field.description, limits_of(field)) if part)
        rows.append(
            f"| `{prefix}{name}` | {kind_of(field.annotation)} | {default_of(field)} | {meaning} |"
        )
        inner = model_of(field.annotation)
        if inner is not None:
            mark = "[]." if "list of" in kind_of(field.annotation) else "."
            rows += rows_of(inner, f"{prefix}{name}{mark}")
    return rows


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, model in MODELS.items():
        table = ["| setting | kind | default | meaning |", "|---|---|---|---|", *rows_of(model)]
        parts.append(f"\n## {title}\n\n{(model.__doc__ or '').strip()}\n\n" + "\n".join(table))
    return "\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the page; exit code 0, 1 when it is not current, 2 for wrong arguments."""
    if arguments == ["write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if arguments == ["check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print("docs/configuration.md is not current: python tools/config_reference.py write")
        return 1
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
