"""Order link ids: what goes on the wire for one placement of one order identity.

Bybit refuses an orderLinkId that it has seen (code 110072), also hours after the order ended, so
the deterministic client order id of the strategy gets a suffix that no other placement has. Source:
docs/exchange.md, "Order link ids".
"""

from __future__ import annotations

import itertools
import re
import secrets
from datetime import UTC, datetime, timedelta

from gridcore import extract_client_order_prefix

MAX_LENGTH = 36  # characters, Bybit's limit

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_CLIENT_ORDER_ID = re.compile(r"[0-9a-f]{16}")
_SUFFIX = re.compile(r"[0-9a-f]{16}-([0-9a-z]{11})[0-9a-z]{8}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Two processes of one account may place in the same microsecond, as may two calls of one process.
_PROCESS = "".join(secrets.choice(_DIGITS) for _ in range(4))
_counter = itertools.count()  # next() is one step of the interpreter, so threads may share it


def make_order_link_id(client_order_id: str, now: datetime) -> str:
    """Return `<client_order_id>-<suffix>`, 36 characters, different at every call.

    The suffix holds the microsecond of `now` (aware), four characters of this process and a
    counter. Raises ValueError unless the client order id is 16 lower-case hex characters.
    """
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise ValueError(
            f"client order id {client_order_id!r} is not 16 lower-case hex characters;"
            " take it from PlaceLimitIntent.client_order_id"
        )
    if now.tzinfo is None:
        raise ValueError(f"now is {now!r}; it needs a time zone, for example datetime.now(UTC)")
    moment = _base36((now - _EPOCH) // _MICROSECOND, 11)
    return f"{client_order_id}-{moment}{_PROCESS}{_base36(next(_counter), 4)}"


def client_order_id_of(order_link_id: str | None) -> str | None:
    """Return the client order id that a link id starts with, None for an order that is not ours."""
    return extract_client_order_prefix(order_link_id)


def placed_at(order_link_id: str) -> datetime | None:
    """Return the `now` that a link id was made with, None if make_order_link_id did not make it."""
    match = _SUFFIX.fullmatch(order_link_id)
    if match is None:
        return None
    return _EPOCH + int(match.group(1), 36) * _MICROSECOND


def _base36(number: int, width: int) -> str:
    """Return the lowest `width` base-36 digits of a number, most significant first."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
