"""Configuration files: YAML into a model, with errors that say file, line and what is right."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ConfigFileError(ValueError):
    """A configuration that cannot be used. The text names the file and the line."""


class _Lines:
    """Line numbers of the values of a document, by their path."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._lines: dict[tuple[str | int, ...], int] = {}
        if root is not None:
            self._walk(root, ())

    def _walk(self, node: yaml.Node, path: tuple[str | int, ...]) -> None:
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                self._walk(value, here)
                self._lines[here] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._walk(value, (*path, number))

    def of(self, path: tuple[str | int, ...]) -> int:
        """Return the line of a value, or of the nearest thing around it that is there."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which plain YAML silently keeps the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key.value} is given twice", key.start_mark
            )
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_yaml_config(
    path: str | Path, model: type[Model], environment: Mapping[str, str] | None = None
) -> Model:
    """Return the model that a YAML file describes.

    `${NAME}` in a text is replaced from the environment. Raises ConfigFileError with one line per
    fault: file, line, what is wrong and what would be right.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigFileError(f"{path}: there is no such file; pass one with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigFileError(f"{path}: cannot be read: {error}") from error
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that is stricter
        lines = _Lines(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigFileError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigFileError(f"{path}: not YAML: {error}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigFileError(f"{path}:1: the file holds no settings of the form 'name: value'")
    faults: list[str] = []
    values = _replace(values, os.environ if environment is None else environment, (), faults, lines)
    if faults:
        raise ConfigFileError("\n".join(f"{path}:{fault}" for fault in faults))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigFileError(
            "\n".join(f"{path}:{text}" for text in _faults(error, lines))
        ) from None


def _replace(
    value: Any,
    environment: Mapping[str, str],
    path: tuple[str | int, ...],
    faults: list[str],
    lines: _Lines,
) -> Any:
    if isinstance(value, dict):
        return {
            key: _replace(item, environment, (*path, str(key)), faults, lines)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _replace(item, environment, (*path, number), faults, lines)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    faults.extend(
        f"{lines.of(path)}: {_name(path)}: the environment variable {name} is not set"
        for name in _REFERENCE.findall(value)
        if name not in environment
    )
    return _REFERENCE.sub(lambda match: environment.get(match.group(1), ""), value)


def _faults(error: ValidationError, lines: _Lines) -> list[str]:
    found = []
    faults = error.errors(include_url=False, include_input=False)
    for fault in faults:
        path = fault["loc"]
        if fault["type"] == "too_short" and any(
            len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in faults
        ):
            continue  # the list is not short: what stands in it is wrong, and said so
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "is no setting; look for a typing error"
        elif fault["type"] == "missing":
            message = "is missing; it has to be given"
        where = f"{_name(path)}: " if path else ""
        found.append(f"{lines.of(path)}: {where}{message}")
    return found


def _name(path: tuple[str | int, ...]) -> str:
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name
