"""Numbers as the wire writes them: strings, no exponent, a fixed number of places where the
exchange has one.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

Row = dict[str, Any]

MONEY_PLACES = 18
MONEY_STEP = Decimal("1E-18")


def plain(value: Decimal) -> str:
    """Return a number without exponent and without trailing zeros: `0.0002`, `65000`, `0`."""
    if not value:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Decimal) -> str:
    """Return an amount in USDT, exact to eighteen places."""
    if not value:
        return "0"
    text = f"{value:f}"
    whole, point, places = text.partition(".")
    if not point:
        return text
    if len(places) > MONEY_PLACES:
        return plain(value.quantize(MONEY_STEP, ROUND_HALF_EVEN))
    places = places.rstrip("0")
    return f"{whole}.{places}" if places else whole


def stepped(value: Decimal, step: Decimal) -> str:
    """Return a value with as many places as its step has: 65114.2 by 0.10 is `65114.20`."""
    return f"{value.quantize(step, ROUND_HALF_EVEN):f}"
