"""Batches as lines of text: checksum, then JSON. A broken line costs that line only.

    1f2e3d4c {"kind":"trades","v":1,"user":null,"rows":[[...],...]}

`v` is the number of the format of the rows, see formats. Decimals and times are text, so nothing
loses a digit.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from event_saver.spool.formats import FORMATS, check_formats, rows_name
from event_saver.spool.rows import KINDS, Batch, RowKind

_CHECKSUM_LENGTH = 8
_Reader = tuple[str, Callable[[Any], Any]]


class CorruptLineError(ValueError):
    """A line of the spool is not what was written."""


class NewerFormatError(CorruptLineError):
    """A line is whole, and of a format that this version does not know."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a kind is written, and how each of its formats is read."""

    version: int
    rows: str
    columns: Callable[[Any], Any]
    readers: tuple[tuple[_Reader, ...], ...]


def encode(batch: Batch) -> bytes:
    """Return the line of a batch, its line feed included."""
    layout = _LAYOUTS[batch.kind.name]
    body = orjson.dumps(
        {
            "kind": batch.kind.name,
            "v": layout.version,
            "user": batch.user_id,
            layout.rows: [layout.columns(record) for record in batch.records],
        },
        default=_text,
    )
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> Batch:
    """Return the batch of a line. Raises CorruptLineError, NewerFormatError for what is whole."""
    body = line[_CHECKSUM_LENGTH + 1 :].rstrip(b"\n")
    try:
        checksum = int(line[:_CHECKSUM_LENGTH], 16)
    except ValueError:
        raise CorruptLineError("the line has no checksum") from None
    if not line.endswith(b"\n") or zlib.crc32(body) != checksum:
        raise CorruptLineError("the line does not fit its checksum")
    try:
        content = orjson.loads(body)
        name, version = content["kind"], content.get("v", 1)
        kind = KINDS.get(name)
        known = 0 if kind is None else _LAYOUTS[name].version
        if "v" in content and type(version) is int and version > known:
            raise NewerFormatError(
                f"it has {name} in format {version}, and this version of event_saver reads up to"
                f" {known}; a newer version wrote it and can read it"
            )
        if kind is None:
            raise KeyError(name)
        records = _records(kind, version, content[rows_name(version)])
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        if isinstance(error, NewerFormatError):
            raise
        raise CorruptLineError(f"the line holds no batch ({type(error).__name__})") from None
    return Batch(kind, content["user"], records, on_disk=True)


def _records(kind: RowKind, version: int, rows: Sequence[Sequence[Any]]) -> list[Any]:
    readers = _LAYOUTS[kind.name].readers[version - 1]
    fewest = 0 if version == 1 else len(readers)
    if version < 1 or any(not fewest <= len(row) <= len(readers) for row in rows):
        raise ValueError("rows of another length than the format has")
    return [
        kind.record_type(
            **{
                name: None if value is None else read(value)
                for (name, read), value in zip(readers, row, strict=False)
            }
        )
        for row in rows
    ]


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in the spool")


def _layout_of(kind: RowKind) -> _Layout:
    formats = FORMATS[kind.name]
    check_formats(kind.name, kind.record_type, formats)
    hints = get_type_hints(kind.record_type)
    return _Layout(
        version=len(formats),
        rows=rows_name(len(formats)),
        columns=attrgetter(*formats[-1]),
        readers=tuple(tuple((name, _reader(hints[name])) for name in names) for names in formats),
    )


def _reader(hint: Any) -> Callable[[Any], Any]:
    if get_origin(hint) in (UnionType, Union):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint is Decimal:
        return Decimal
    if hint is datetime:
        return datetime.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return lambda value: value


_LAYOUTS = {name: _layout_of(kind) for name, kind in KINDS.items()}
