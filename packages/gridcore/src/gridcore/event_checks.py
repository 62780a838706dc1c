"""What constructors of events refuse: a naive time, a price of zero, a text that says nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from gridcore.errors import InvalidEventError

ZERO = Decimal(0)
LARGEST = Decimal("1E15")  # no price and no quantity is larger; beyond it ticks are not exact


def check_utc(event: object, name: str, value: datetime) -> None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidEventError(
            f"{type(event).__name__}: {name} is {value!r}; it needs a time zone,"
            " for example datetime.now(UTC)"
        )
    if value.tzinfo is not UTC:
        object.__setattr__(event, name, value.astimezone(UTC))


def check_above_zero(event: object, name: str, value: Decimal | None) -> None:
    if type(value) is Decimal and value.is_finite() and ZERO < value < LARGEST:
        return
    raise InvalidEventError(
        f"{type(event).__name__}: {name} is {value!r}; it is a Decimal above zero"
    )


def check_not_negative(event: object, name: str, value: Decimal) -> None:
    if type(value) is Decimal and value.is_finite() and value >= ZERO:
        return
    raise InvalidEventError(
        f"{type(event).__name__}: {name} is {value!r}; it is a Decimal, 0 or more"
    )


def check_number(event: object, name: str, value: Decimal) -> None:
    if type(value) is not Decimal or not value.is_finite():
        raise InvalidEventError(f"{type(event).__name__}: {name} is {value!r}; it is a Decimal")


def check_text(event: object, name: str, value: str | None) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidEventError(
            f"{type(event).__name__}: {name} is {value!r}; it is a non-empty text"
        )


def set_member(event: object, name: str, kind: type[StrEnum]) -> None:
    """Turn wire text into the member of `kind`; refuse what the exchange does not know."""
    value = getattr(event, name)
    try:
        object.__setattr__(event, name, kind(value))
    except ValueError as error:
        allowed = ", ".join(kind)
        raise InvalidEventError(
            f"{type(event).__name__}: {name} is {value!r}; it is one of {allowed}"
        ) from error
