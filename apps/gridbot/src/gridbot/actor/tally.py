"""What a strategy brought since the start of its run, whichever channel told it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from gridcore import BookedFill, ExecutionEvent, ExecutionKind

ZERO = Decimal(0)


@dataclass(slots=True)
class Tally:
    """What a strategy brought since the start of the run, USDT.

    other_fees are those that were paid in other coins and have no known price in USDT: coin to
    amount of that coin. They are in no other figure. funding is paid when positive. last_at is when
    the newest execution was.
    """

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    fills: int = 0
    forced: int = 0
    rejected: int = 0
    last_at: datetime | None = None
    other_fees: dict[str, Decimal] = field(default_factory=dict)

    def add(self, fill: BookedFill) -> None:
        """Count one execution that the strategy has booked."""
        event = fill.execution
        if self.last_at is None or fill.at > self.last_at:
            self.last_at = fill.at
        if event.kind is ExecutionKind.FUNDING:
            self.funding += event.fee or ZERO
            return
        self.fills += event.kind is ExecutionKind.TRADE
        self.forced += event.kind is ExecutionKind.FORCED
        self.add_fee(event)
        self.realised += fill.realised

    def add_fee(self, event: ExecutionEvent) -> None:
        """Count the fee of one fill in the coin that it was paid in."""
        if event.fee is not None:
            self.fees += event.fee
            return
        coin, paid = event.fee_currency, event.fee_amount or ZERO
        self.other_fees[coin] = self.other_fees.get(coin, ZERO) + paid
