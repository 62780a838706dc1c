"""Pages of a list: the cursor names the last row that was shown.

Cursors carry percent-escapes, as on the real exchange; clients pass them back as they are, some
escape them once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import quote, unquote

from exchange_model.rules.codes import parameter_error

Item = TypeVar("Item")


def make_cursor(number: int) -> str:
    """Return the cursor after a row."""
    return quote(f"page_args={number}&", safe="")


def parse_cursor(text: str) -> int | None:
    """Return the number in a cursor, None without one. Raises RefusalError."""
    if not text:
        return None
    plain = unquote(unquote(text)).removeprefix("page_args=").removesuffix("&")
    if not plain.isdecimal() or len(plain) > 20:
        raise parameter_error("cursor invalid; pass nextPageCursor back as it was given")
    return int(plain)


def page(
    numbered: Iterable[tuple[int, Item]], limit: int, after: int | None
) -> tuple[list[Item], str]:
    """Return up to `limit` items after the one numbered `after`, and the cursor to go on with.

    A cursor whose row is gone gives an empty page.
    """
    items: list[Item] = []
    last = 0
    waiting = after is not None
    for number, item in numbered:
        if waiting:
            waiting = number != after
            continue
        if len(items) == limit:
            return items, make_cursor(last)
        items.append(item)
        last = number
    return items, ""
