"""Exact forms of decimals and instants outside Python, and the refusal of what has none."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from grid_db.errors import InvalidValueError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US_PER_DAY = 86_400_000_000
US_PER_SECOND = 1_000_000

# Far above any price and far below what PostgreSQL's numeric holds, so that a typing error such as
# 1E+99999 does not become a text of 100,000 digits.
MAX_EXPONENT = 1_000


def utc_now() -> datetime:
    """Return the present moment as an aware UTC datetime."""
    return datetime.now(UTC)


def checked_decimal(value: object, what: str) -> Decimal:
    """Return `value` if it is a finite Decimal. Raises InvalidValueError, naming `what`."""
    if not isinstance(value, Decimal):
        raise InvalidValueError(
            f"{what} is {value!r} ({type(value).__name__}), which is not exact;"
            " give a Decimal made from text, for example Decimal('0.1')"
        )
    if not value.is_finite():
        raise InvalidValueError(f"{what} is {value}; give a finite Decimal, or None if unknown")
    if value and abs(value.adjusted()) > MAX_EXPONENT:
        raise InvalidValueError(f"{what} is {value!r}; exponents end at {MAX_EXPONENT}")
    return value


def decimal_text(value: object, what: str = "the value") -> str:
    """Return the digits of a Decimal without an exponent: `Decimal('1E-8')` is '0.00000001'."""
    return format(checked_decimal(value, what), "f")


def checked_utc(value: object, what: str) -> datetime:
    """Return `value` in UTC. Raises InvalidValueError for a naive datetime or another type."""
    if not isinstance(value, datetime):
        raise InvalidValueError(
            f"{what} is {value!r} ({type(value).__name__}); give an aware datetime"
        )
    if value.utcoffset() is None:
        raise InvalidValueError(
            f"{what} is {value.isoformat()} without a time zone;"
            " give an aware one, for example datetime.now(UTC)"
        )
    return value.astimezone(UTC)


def timestamp_us(value: object, what: str = "the time") -> int:
    """Return an aware datetime as whole microseconds since 1970-01-01 UTC."""
    since = checked_utc(value, what) - EPOCH
    return since.days * US_PER_DAY + since.seconds * US_PER_SECOND + since.microseconds


def from_timestamp_us(value: int) -> datetime:
    """Return the aware UTC datetime of `value` microseconds since 1970-01-01 UTC."""
    return EPOCH + timedelta(microseconds=value)


def id_text(value: object, what: str) -> str:
    """Return a tenant's id as canonical UUID text. Raises InvalidValueError if it is none."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        try:
            return str(UUID(value))
        except ValueError:
            pass
    raise InvalidValueError(f"{what} is {value!r}; give a UUID")
