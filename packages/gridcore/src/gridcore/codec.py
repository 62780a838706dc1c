"""Messages as plain values for JSON and back: what a journal of a session consists of.

A message becomes a dict with the name of its class under `type` and its fields under their
names; a field that has its default is left out. Decimals are text, moments ISO text, so that what
is read is exactly what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from gridcore import events
from gridcore.commands import COMMANDS, Command
from gridcore.errors import GridcoreError, InvalidEventError
from gridcore.events import Event
from gridcore.order_records import LimitOrder

Message = Event | Command

EVENTS: tuple[type[Event], ...] = (
    events.AccountEvent,
    events.CancelResultEvent,
    events.ExecutionEvent,
    events.OpenOrdersEvent,
    events.OrderUpdateEvent,
    events.PlaceResultEvent,
    events.PublicTradeEvent,
    events.TickerEvent,
)
KIND = "type"
_KINDS: dict[str, type[Event] | type[Command]] = {one.__name__: one for one in EVENTS}
_KINDS |= {one.__name__: one for one in COMMANDS}
_HINTS: dict[type, dict[str, Any]] = {}
_UNIONS = (Union, type(int | None))


def to_dict(message: Message) -> dict[str, Any]:
    """Return a message as plain values, ready for JSON. Raises GridcoreError for another thing."""
    kind = type(message).__name__
    if _KINDS.get(kind) is not type(message):
        raise GridcoreError(f"{kind} is no message of a strategy; it is one of {_names()}")
    return {KIND: kind} | _fields_of(message)


def from_dict(content: Mapping[str, Any]) -> Message:
    """Return the message that `to_dict` made this of.

    Raises InvalidEventError, which says what is wrong, for anything else.
    """
    name = content.get(KIND)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidEventError(f"{KIND} is {name!r}; it is one of {_names()}")
    made: Message = _made(kind, {key: value for key, value in content.items() if key != KIND})
    return made


def _names() -> str:
    return ", ".join(sorted(_KINDS))


def _fields_of(value: Any) -> dict[str, Any]:
    found = {}
    for one in fields(value):
        content, default = getattr(value, one.name), one.default
        # 0 and 0.00 are equal, and two notations
        if default is MISSING or repr(content) != repr(default):
            found[one.name] = _plain(content)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(_plain(one) for one in value)
    if is_dataclass(value):
        return _fields_of(value)
    raise GridcoreError(f"{value!r} of {type(value).__name__} cannot be written as plain values")


def _made(kind: type, content: Mapping[str, Any]) -> Any:
    hints = _HINTS.get(kind)
    if hints is None:
        hints = _HINTS[kind] = get_type_hints(kind, localns={"LimitOrder": LimitOrder})
    known = {one.name for one in fields(kind)}
    if not content.keys() <= known:
        unknown = ", ".join(sorted(map(str, content.keys() - known)))
        raise InvalidEventError(f"{kind.__name__}: it has no {unknown}")
    try:
        return kind(**{name: _read(hints[name], value) for name, value in content.items()})
    except GridcoreError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidEventError(f"{kind.__name__}: {error}") from error


def _read(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in _UNIONS:
        if value is None:
            return None
        (hint,) = (one for one in get_args(hint) if one is not type(None))
        origin = get_origin(hint)
    if origin in (tuple, frozenset):
        inner = get_args(hint)[0]
        return origin(_read(inner, one) for one in value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _made(hint, value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if isinstance(hint, type) and issubclass(hint, Decimal | UUID | StrEnum):
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no text")
        return hint(value)
    if not isinstance(hint, type) or type(value) is not hint:
        raise TypeError(f"{value!r} is no {getattr(hint, '__name__', hint)}")
    return value
