"""Batches as lines of text: checksum, then JSON. A broken line costs that line only.

    1f2e3d4c {"kind":"trades","user":null,"rows":[[...],...]}

Decimals and times are text, so nothing loses a digit. The values of a row stand in the order of the
record's fields, which is the format: a new field goes to the end and has a default, so that what an
older version left behind is read with that default.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from event_saver.spool.rows import KINDS, Batch

_CHECKSUM_LENGTH = 8
_Layout = tuple[Callable[[Any], Any], tuple[Sequence[str], Sequence[Callable[[Any], Any]]]]


class CorruptLineError(ValueError):
    """A line of the spool is not what was written."""


def encode(batch: Batch) -> bytes:
    """Return the line of a batch, its line feed included."""
    columns, _ = _LAYOUTS[batch.kind.name]
    body = orjson.dumps(
        {
            "kind": batch.kind.name,
            "user": batch.user_id,
            "rows": [columns(record) for record in batch.records],
        },
        default=_text,
    )
    return b"%08x %b\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> Batch:
    """Return the batch of a line. Raises CorruptLineError."""
    body = line[_CHECKSUM_LENGTH + 1 :].rstrip(b"\n")
    try:
        checksum = int(line[:_CHECKSUM_LENGTH], 16)
    except ValueError:
        raise CorruptLineError("the line has no checksum") from None
    if not line.endswith(b"\n") or zlib.crc32(body) != checksum:
        raise CorruptLineError("the line does not fit its checksum")
    try:
        content = orjson.loads(body)
        kind = KINDS[content["kind"]]
        record_type = kind.record_type
        _, (names, readers) = _LAYOUTS[kind.name]
        if any(len(row) > len(names) for row in content["rows"]):
            raise ValueError("a newer version wrote more than this one knows")
        records = [
            record_type(
                **{
                    name: None if value is None else read(value)
                    for name, read, value in zip(names, readers, row, strict=False)
                }
            )
            for row in content["rows"]
        ]
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        # another version of this program may have written it
        raise CorruptLineError(f"the line holds no batch ({type(error).__name__})") from None
    return Batch(kind, content["user"], records, on_disk=True)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in the spool")


def _layout_of(record_type: type[Any]) -> _Layout:
    """Return how the fields of a record are taken out, and how they are read back."""
    names = tuple(field.name for field in fields(record_type) if field.name != "id")
    hints = get_type_hints(record_type)
    return attrgetter(*names), (names, tuple(_reader(hints[name]) for name in names))


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


_LAYOUTS = {name: _layout_of(kind.record_type) for name, kind in KINDS.items()}
