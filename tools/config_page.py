"""docs/configuration.md, made from the configuration models; see config_reference.py."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from backtest.settings.config import BacktestConfig
from gridbot.settings.config import GridbotConfig
from gridbot.settings.paper_section import ReadBy
from paper_exchange.config import PaperConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
MODELS: dict[str, type[BaseModel]] = {
    "Backtest (conf/backtest.yaml)": BacktestConfig,
    "Bot (conf/gridbot.yaml)": GridbotConfig,
    "Paper exchange (conf/paper.yaml)": PaperConfig,
}
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
    if origin is Literal:
        return " / ".join(f"`{value}`" for value in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " / ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    names = {
        int: "whole number", float: "number", Decimal: "number", str: "text", bool: "yes/no",
        SecretStr: "secret text", AwareDatetime: "time with zone",
    }  # fmt: skip
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """Return the models inside a field's type; several where a section has kinds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_of(part)]


def annotation_of(field: FieldInfo) -> Any:
    """Return the type of a field; where another model reads it, that."""
    for part in field.metadata:
        if isinstance(part, ReadBy):
            return part.model()
    return field.annotation


def limits_of(field: FieldInfo) -> str:
    """Return the bounds of a field in words."""
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}
    found = [
        f"{words[name]} {getattr(part, name)}"
        for part in [*field.metadata, *_inner_metadata(field.annotation)]
        for name in words
        if getattr(part, name, None) is not None
    ]
    return ", ".join(found)


def _inner_metadata(annotation: Any) -> list[Any]:
    """Return what is said about the type of a field that may also be left out."""
    found: list[Any] = []
    for part in get_args(annotation):
        for extra in getattr(part, "__metadata__", ()):
            found += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return found


def default_of(field: FieldInfo) -> str:
    """Return the default as YAML would show it."""
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, BaseModel) or value == ():
        return ""
    if isinstance(value, tuple):
        return "one of its own"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()  # a default is in the code for everybody to read
    if isinstance(value, Enum):
        value = value.value
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rows_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return a table row for every setting, those of sections under their names."""
    rows = []
    for name, field in model.model_fields.items():
        annotation = annotation_of(field)
        meaning = "; ".join(part for part in (field.description, limits_of(field)) if part)
        meaning = meaning.replace("<", "&lt;").replace("|", "\\|")
        rows.append(
            f"| `{prefix}{name}` | {kind_of(annotation)} | {default_of(field)} | {meaning} |"
        )
        mark = "[]." if "list of" in kind_of(annotation) else "."
        for inner in models_of(annotation):
            rows += inner_rows(inner, f"{prefix}{name}{mark}")
    return rows


def inner_rows(model: type[BaseModel], prefix: str) -> list[str]:
    """Return the rows of a section, or one that says where a whole file's settings are."""
    for title, whole in MODELS.items():
        if model is whole:
            return [f"| `{prefix}…` | | | the settings of {title}, below |"]
    kind = model.model_fields.get("kind")
    if kind is not None and get_origin(kind.annotation) is Literal:
        # every kind of a section has settings of its own
        prefix = f"{prefix.rstrip('.')}({get_args(kind.annotation)[0]})."
    return rows_of(model, prefix)


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for title, model in MODELS.items():
        table = ["| setting | kind | default | meaning |", "|---|---|---|---|", *rows_of(model)]
        parts.append(f"\n## {title}\n\n{(model.__doc__ or '').strip()}\n\n" + "\n".join(table))
    return "\n".join(parts) + "\n"
