"""What a person, or the program around a strategy, asks of it: the messages that are no facts.

A command is a frozen value like an event, and takes its turn among the events: what a strategy did
follows from the list of its messages. Commands need no time of their own; what happens by time
happens at the next event.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from gridcore.errors import ConfigError
from gridcore.event_checks import check_text, check_utc, set_member
from gridcore.instrument import InstrumentInfo
from gridcore.intents import CancelReason
from gridcore.order_records import LimitOrder
from gridcore.sides import DirectionType


@dataclass(frozen=True, slots=True)
class Command:
    """What every command is. Raises InvalidEventError for a value that says nothing."""


@dataclass(frozen=True, slots=True)
class Hold(Command):
    """Place nothing until a `Release` of the same name; cancels go on.

    `keep` puts the hold into the snapshot, so that a later process goes on with it.
    """

    name: str
    _: KW_ONLY
    keep: bool = False

    def __post_init__(self) -> None:
        check_text(self, "name", self.name)


@dataclass(frozen=True, slots=True)
class Release(Command):
    """End one hold; others stay."""

    name: str

    def __post_init__(self) -> None:
        check_text(self, "name", self.name)


@dataclass(frozen=True, slots=True)
class Reconfirm(Command):
    """Decide nothing until orders, legs and wallet are confirmed again."""


@dataclass(frozen=True, slots=True)
class ResetSameOrder(Command):
    """End the same-order error by hand."""


@dataclass(frozen=True, slots=True)
class ResetLossBreaker(Command):
    """Begin a new loss session by hand, from the next ticker on."""


@dataclass(frozen=True, slots=True)
class ResetReduceOnly(Command):
    """Let closing orders through again after repeated refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptOrders(Command):
    """Compare the exchange's open orders of the symbol, as of a moment, with the tracked ones.

    Ours that are not tracked are adopted, tracked ones that are missing end, others are foreign.
    A list may lag: where `absent` is given, the orders that it names were looked up one by one
    and are nowhere, and no other one counts as gone. `OpenOrdersEvent` is the same as an event.
    """

    orders: tuple[LimitOrder, ...]
    as_of: datetime
    absent: frozenset[str] | None = None

    def __post_init__(self) -> None:
        check_utc(self, "as_of", self.as_of)
        object.__setattr__(self, "orders", tuple(self.orders))
        if self.absent is not None:
            object.__setattr__(self, "absent", frozenset(self.absent))


@dataclass(frozen=True, slots=True)
class AdoptRules(Command):
    """Go on with other rules of the contract.

    On another tick size the grid is built anew, and legs, wallet and open orders have to be
    confirmed again; what was seen, what stops trading and what is on its way stays. Orders
    between two of the new ticks are cancelled.
    """

    instrument: InstrumentInfo

    def __post_init__(self) -> None:
        if not isinstance(self.instrument, InstrumentInfo):
            raise ConfigError(f"AdoptRules: {self.instrument!r} is no InstrumentInfo")


@dataclass(frozen=True, slots=True)
class AcceptSize(Command):
    """Stop waiting for executions that would explain the last reported size of a leg."""

    direction: DirectionType

    def __post_init__(self) -> None:
        set_member(self, "direction", DirectionType)


@dataclass(frozen=True, slots=True)
class IgnoreExecution(Command):
    """Remember an execution that changes nothing here, so that it is no news when told again."""

    exec_id: str

    def __post_init__(self) -> None:
        check_text(self, "exec_id", self.exec_id)


@dataclass(frozen=True, slots=True)
class CancelAll(Command):
    """Cancel every live order that has no cancel on its way; the decision has the intents."""

    reason: CancelReason = CancelReason.SHUTDOWN

    def __post_init__(self) -> None:
        set_member(self, "reason", CancelReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown(Command):
    """Place nothing more in this process: the hold `shutdown`, which no snapshot keeps.

    `cancel_orders` cancels as `CancelAll` does. An order whose placement is not answered yet
    cannot be cancelled, so whoever waits for answers asks for `CancelAll` after them.
    """

    cancel_orders: bool = False


SHUTDOWN_HOLD = "shutdown"
# every command of this file, by name
COMMANDS: tuple[type[Command], ...] = tuple(
    kind
    for _, kind in sorted(globals().items())
    if isinstance(kind, type) and issubclass(kind, Command) and kind is not Command
)
