"""Text that nobody sees by accident."""

from __future__ import annotations

from typing import Any, NoReturn, Self

SHOWN = "***"


class Hidden(str):
    """A secret that signs, compares and goes over the wire as text, and shows itself as `***`.

    It is hidden where a value is printed without being asked for: in a repr, a format, the locals
    of a traceback. It is not copied by value and not pickled.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take a text, hidden or not."""
        return super().__new__(cls, text[:])  # a slice is the text itself, `str` of it is not

    def __repr__(self) -> str:
        return repr(SHOWN)

    def __str__(self) -> str:
        return SHOWN

    def __format__(self, spec: str) -> str:
        return format(SHOWN, spec)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied; hand the keys over by themselves")
