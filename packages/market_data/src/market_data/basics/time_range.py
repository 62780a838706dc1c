"""Time ranges as people write them, in microseconds UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from market_data.basics.data_errors import WrongRangeError
from market_data.basics.quality import utc_text

TimeLike = str | date | datetime | int | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
FIRST_US = 0
LAST_US = 253_402_300_799_000_000  # 9999-12-31 23:59:59


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`start_us` <= t < `end_us`, microseconds since 1970 UTC."""

    start_us: int
    end_us: int

    @classmethod
    def parse(cls, start: TimeLike, end: TimeLike) -> "TimeRange":
        """Return the range from `start` to `end`.

        A date (or text without a time) as `end` means the whole of that day; a moment as `end` is
        exclusive. Text and datetimes without an offset are refused in objects and read as UTC in
        text; an int is microseconds; None is without limit.
        Raises WrongRangeError if `start` is not before `end`, or for text that is no time.
        """
        start_us = FIRST_US if start is None else _moment_us(start, whole_day=False)
        end_us = LAST_US if end is None else _moment_us(end, whole_day=True)
        if start_us >= end_us:
            raise WrongRangeError(
                f"start {utc_text(start_us)} is not before end {utc_text(end_us)};"
                " exchange them or widen the range"
            )
        return cls(start_us, end_us)

    def __str__(self) -> str:
        start = "the beginning" if self.start_us == FIRST_US else utc_text(self.start_us)
        end = "the end" if self.end_us == LAST_US else utc_text(self.end_us)
        return f"{start} to {end}"


def to_us(moment: datetime) -> int:
    """Return an aware datetime in whole microseconds. Raises WrongRangeError if naive."""
    if moment.tzinfo is None:
        raise WrongRangeError(
            f"{moment!r} has no time zone; use UTC, as in datetime(..., tzinfo=UTC)"
        )
    return (moment - EPOCH) // _US


def _moment_us(value: str | date | datetime | int, *, whole_day: bool) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = _parse_text(value)
    if isinstance(value, datetime):
        return to_us(value)
    day = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return to_us(day + timedelta(days=1) if whole_day else day)


def _parse_text(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongRangeError(
            f"{text!r} is no date or time; write 2025-01-31 or 2025-01-31T12:00:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
