"""Typed reading of one JSON object of Bybit's, where every number is text and "" means absent.

Each method names the field it reads; whatever does not fit raises MalformedFrame with the topic
and that field. Nothing here turns an absent value into a zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from bybit_adapter.basics.errors import MalformedFrame
from gridcore import DirectionType, SideType

T = TypeVar("T")

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = 253_402_300_799_000  # the end of the year 9999, where datetime ends
_LARGEST = Decimal("1E15")  # gridcore refuses prices and sizes beyond it
_LEGS = {0: None, 1: DirectionType.LONG, 2: DirectionType.SHORT}
_LONGEST_TEXT = 300  # characters; ids and words of the exchange are far shorter


def time_of_ms(ms: int) -> datetime:
    """Return the UTC time of a number of milliseconds since 1970, exact."""
    return _EPOCH + timedelta(milliseconds=ms)


def ms_of_time(moment: datetime) -> int:
    """Return whole milliseconds since 1970 of an aware time, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class Row:
    """One JSON object with the topic (or endpoint) that it came from.

    It has many methods because it has two for each kind of field: one where it must be there, and
    one where it may be absent.
    """

    __slots__ = ("_fields", "_path", "topic")

    def __init__(self, topic: str, fields: object, path: str = "") -> None:
        self.topic = topic
        self._path = path
        # asking an abstract class costs more than reading a field, and JSON gives dicts
        if type(fields) is not dict and not isinstance(fields, Mapping):
            raise MalformedFrame(
                topic, path.rstrip(".") or "frame", f"{_show(fields)} is no object"
            )
        self._fields: Mapping[str, Any] = fields

    @classmethod
    def of_frame(cls, frame: object) -> Row:
        """Return a frame of a stream, which names its topic."""
        return cls(cls("frame", frame).text("topic"), frame)

    def read(self, fields: Readings) -> dict[str, Any]:
        """Return fields by our names; `fields` has ours and the reading by the exchange's name."""
        return {ours: reading(self, name) for name, (ours, reading) in fields.items()}

    def update(self, known: dict[str, Any], fields: Readings) -> MalformedFrame | None:
        """Bring into `known`, by our names, those of `fields` that are there; others stay.

        One that does not fit becomes None. Returns the first error.
        """
        first: MalformedFrame | None = None
        for name in self._fields:
            found = fields.get(name)
            if found is None:
                continue
            ours, reading = found
            try:
                known[ours] = reading(self, name)
            except MalformedFrame as error:
                known[ours] = None
                first = first or error
            except ArithmeticError as error:
                known[ours] = None
                first = first or self.bad(name, str(error))
        return first

    def bad(self, name: str, problem: str) -> MalformedFrame:
        """Return the error that a field is wrong."""
        return MalformedFrame(self.topic, (self._path + name).rstrip(".") or "frame", problem)

    def raw_json(self) -> str:
        """Return the object as compact JSON text."""
        try:
            return json.dumps(self._fields, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise self.bad("", f"it is no JSON: {error}") from None

    def has(self, name: str) -> bool:
        """Tell whether the field is there, even if empty."""
        return self._fields.get(name) is not None

    def fields(self) -> Mapping[str, Any]:
        """Return the fields as they came."""
        return self._fields

    def child(self, name: str) -> Row:
        """Return the object in a field."""
        return Row(self.topic, self._fields.get(name), f"{self._path}{name}.")

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the objects of a list; its length is checked before the first."""
        for index, item in enumerate(self.items(name)):
            yield Row(self.topic, item, f"{self._path}{name}[{index}].")

    def items(self, name: str) -> list[Any]:
        """Return the list in a field."""
        found = self._fields.get(name)
        if not isinstance(found, list):
            raise self.bad(name, f"{_show(found)} is no list")
        return found

    def opt_text(self, name: str, *absent: str) -> str | None:
        """Return a text; None when it is missing, empty or one of the words in `absent`."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if (
            not isinstance(value, str)
            or len(value) > _LONGEST_TEXT
            or not value.isascii()
            or not value.isprintable()
        ):
            raise self.bad(name, f"{_show(value)} is no plain text")
        return None if value in absent else value

    def opt_word(self, name: str) -> str | None:
        """Return a word of the exchange's; None when it is missing, empty or UNKNOWN."""
        return self.opt_text(name, "UNKNOWN")

    def text(self, name: str) -> str:
        """Return a text that has to be there."""
        return self._need(name, self.opt_text(name))

    def opt_number(self, name: str) -> Decimal | None:
        """Return a number of any sign; None when it is missing or empty."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if type(value) is int and abs(value) < 10**18:
            return Decimal(value)
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            raise self.bad(name, f"{_show(value)} is no number")
        return Decimal(value)

    def number(self, name: str) -> Decimal:
        """Return a number that has to be there, of any sign."""
        return self._need(name, self.opt_number(name))

    def opt_size(self, name: str) -> Decimal | None:
        """Return a number that is 0 or more; None when it is missing or empty."""
        value = self.opt_number(name)
        if value is not None and not 0 <= value < _LARGEST:
            raise self.bad(name, f"{value} is no size; it is 0 or more")
        return value

    def told_size(self, name: str) -> Decimal | None:
        """Return a number of 0 or more; its field has to be there, and may be empty."""
        if not self.has(name):
            raise self.bad(name, "it is missing")
        return self.opt_size(name)

    def size(self, name: str) -> Decimal:
        """Return a number of 0 or more that has to be there."""
        return self._need(name, self.opt_size(name))

    def opt_price(self, name: str) -> Decimal | None:
        """Return a number above zero; None when it is missing, empty or 0, which is no price."""
        return self.opt_size(name) or None

    def price(self, name: str) -> Decimal:
        """Return a number above zero that has to be there."""
        return self._need(name, self.opt_price(name))

    def opt_integer(self, name: str) -> int | None:
        """Return a whole number, written as number or as text; None when missing or empty."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if type(value) is int and abs(value) < 10**18:
            return value
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            return int(value)
        raise self.bad(name, f"{_show(value)} is no whole number")

    def integer(self, name: str) -> int:
        """Return a whole number that has to be there."""
        return self._need(name, self.opt_integer(name))

    def opt_time(self, name: str) -> datetime | None:
        """Return a time given in ms since 1970; None when it is missing, empty or 0."""
        ms = self.opt_integer(name)
        if not ms:
            return None
        if not 0 < ms <= _LATEST_MS:
            raise self.bad(name, f"{ms} is no time in ms since 1970")
        return time_of_ms(ms)

    def time(self, name: str) -> datetime:
        """Return a time that has to be there."""
        return self._need(name, self.opt_time(name))

    def opt_flag(self, name: str) -> bool | None:
        """Return a truth value; None when it is missing or empty."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, bool):
            raise self.bad(name, f"{_show(value)} is neither true nor false")
        return value

    def flag(self, name: str) -> bool:
        """Return a truth value that has to be there."""
        return self._need(name, self.opt_flag(name))

    def opt_side(self, name: str) -> SideType | None:
        """Return Buy or Sell; None when it is missing, empty or None, as for an empty leg."""
        word = self.opt_text(name, "None")
        if word is None:
            return None
        try:
            return SideType(word)
        except ValueError:
            raise self.bad(name, f"{_show(word)} is neither Buy nor Sell") from None

    def side(self, name: str) -> SideType:
        """Return Buy or Sell, which has to be there."""
        return self._need(name, self.opt_side(name))

    def leg(self, name: str) -> DirectionType | None:
        """Return the leg of a position index; None for that of one-way mode."""
        index = self.integer(name)
        if index not in _LEGS:
            raise self.bad(name, f"{index} is none of 0, 1 and 2")
        return _LEGS[index]

    def _need(self, name: str, value: T | None) -> T:
        if value is None:
            raise self.bad(name, "it is missing or empty")
        return value


Reading = Callable[[Row, str], Any]  # a method of Row that takes the name of a field
Readings = Mapping[str, tuple[str, Reading]]  # by the exchange's name: ours, and how it is read


def _show(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
