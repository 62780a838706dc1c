"""What became of one message: `GridStrategy.handle` answers with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from gridcore.admission import Refusal
from gridcore.events import ExecutionEvent, ExecutionKind, PlaceOutcome, RejectReason
from gridcore.intents import Intent, extract_client_order_prefix
from gridcore.quick_init import with_quick_init
from gridcore.sides import DirectionType, SideType

ZERO = Decimal(0)


class BookedFill(NamedTuple):
    """One execution that was counted, with the realised profit that it brought.

    Every execution is booked once, however often it is told. `realised` is USDT before fees; it
    is what the exchange told, or follows from what the leg had cost where it told nothing.
    """

    execution: ExecutionEvent
    realised: Decimal

    @property
    def kind(self) -> ExecutionKind:
        """A fill, what the exchange did by itself, or funding (then fee is what was paid)."""
        return self.execution.kind

    @property
    def direction(self) -> DirectionType:
        """The leg."""
        return self.execution.direction

    @property
    def side(self) -> SideType:
        """The side of the order."""
        return self.execution.side

    @property
    def price(self) -> Decimal:
        """USDT."""
        return self.execution.price

    @property
    def qty(self) -> Decimal:
        """Base coin."""
        return self.execution.qty

    @property
    def fee(self) -> Decimal | None:
        """What was paid, USDT; a rebate is negative; None when it is not known in USDT."""
        return self.execution.fee

    @property
    def order_id(self) -> str:
        """The exchange's id of the order."""
        return self.execution.order_id

    @property
    def client_order_id(self) -> str:
        """Our 16-hex id, or "" for an order that carries none."""
        return extract_client_order_prefix(self.execution.order_link_id) or ""

    @property
    def at(self) -> datetime:
        """When the exchange says it happened."""
        return self.execution.exchange_ts


class Refused(NamedTuple):
    """Why orders are not placed: a guard that keeps back wanted ones, or the exchange's no.

    `orders` is how many; 0 where a guard has begun with this message to stop what will be
    wanted. `text` is what the exchange said.
    """

    reason: Refusal | RejectReason | PlaceOutcome
    orders: int
    text: str = ""


@with_quick_init
@dataclass(frozen=True, slots=True)
class Decision:
    """What one message led to.

    `intents` are final and in the order of submission. `fills` are the executions that this
    message booked, `corrected` the realised profit (USDT) that a report of the account adds to
    that of earlier ones. `refusals` tell what is not placed. `adopted` and `ended` name, by the
    exchange's id, orders that turned out to be ours and tracked ones that are no more, fills apart.

    `changed` is False when nothing but the last price is different: then there is nothing to keep,
    to record or to show. What comes of time alone (a side that starves, a margin report that grows
    old) is no change of any message.
    """

    intents: tuple[Intent, ...] = ()
    fills: tuple[BookedFill, ...] = ()
    refusals: tuple[Refused, ...] = ()
    changed: bool = False
    corrected: Decimal = ZERO
    adopted: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()

    @property
    def realised(self) -> Decimal:
        """The realised profit of this message in USDT before fees."""
        return sum((fill.realised for fill in self.fills), self.corrected)


NOTHING = Decision()
CHANGED = Decision(changed=True)
