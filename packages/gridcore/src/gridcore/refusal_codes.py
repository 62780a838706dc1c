"""What a strategy hears of an order that the exchange refuses: its retCode in a strategy's words.

The one table of it. What calls the real exchange makes its classes of errors from it, what
simulates one its answers. Meanings of the codes: docs/exchange.md, "Codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gridcore.events import RejectReason

_CODES: Final[Mapping[RejectReason, tuple[int, ...]]] = {
    RejectReason.REDUCE_ONLY: (110017,),
    RejectReason.INSUFFICIENT_BALANCE: (
        *(110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053),
    ),
}
_REASONS: Final = {code: reason for reason, codes in _CODES.items() for code in codes}


def codes_of(reason: RejectReason) -> tuple[int, ...]:
    """Return the codes that mean a reason to a strategy; none for OTHER, which is all the rest."""
    return _CODES.get(reason, ())


def reason_of(code: int) -> RejectReason:
    """Return what a strategy hears when an order is refused with a code."""
    return _REASONS.get(code, RejectReason.OTHER)
