"""When funding is due, and at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple, Protocol

US_PER_MIN = 60_000_000


class Settlement(NamedTuple):
    """Funding due at a time (us UTC): a long pays position value x rate."""

    ts_us: int
    rate: Decimal


class FundingHistory(Protocol):
    """Rates that were settled, in time order."""

    def __len__(self) -> int:
        """Return how many there are."""

    def settlements(self, start_us: int, end_us: int) -> Iterator[tuple[int, Decimal]]:
        """Yield (us UTC, rate) with start_us <= time < end_us."""


class FundingSimulator:
    """Settlements of one symbol: its real history, or one constant rate.

    With a history, settlements outside of it do not happen; `describe` says what was used.
    Intervals are whole minutes from midnight UTC: 480 for 00, 08 and 16, 240 for every four hours.
    """

    def __init__(
        self,
        history: FundingHistory | None = None,
        constant_rate: Decimal | None = None,
        interval_min: int = 480,
    ) -> None:
        if interval_min <= 0 or 1440 % interval_min:
            raise ValueError(f"a funding interval of {interval_min} minutes does not divide a day")
        self.history = history if history is not None and len(history) else None
        self.constant_rate = constant_rate
        self.interval_us = interval_min * US_PER_MIN

    def settlements(self, start_us: int, end_us: int) -> Iterator[Settlement]:
        """Yield what falls due with start_us <= time <= end_us, in time order."""
        if self.history is not None:
            for ts_us, rate in self.history.settlements(start_us, end_us + 1):
                yield Settlement(ts_us, rate)
        elif self.constant_rate:
            due = -(-start_us // self.interval_us) * self.interval_us
            while due <= end_us:
                yield Settlement(due, self.constant_rate)
                due += self.interval_us

    def describe(self) -> str:
        """Return in words which rates were used."""
        if self.history is not None:
            return f"{len(self.history)} settled rates from data"
        if self.constant_rate:
            hours = self.interval_us / (60 * US_PER_MIN)
            return f"constant rate {self.constant_rate} every {hours:g} h (an assumption)"
        return "none"
