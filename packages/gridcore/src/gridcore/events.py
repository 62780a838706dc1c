"""Facts that a strategy learns, in one ordered stream.

Events are frozen and complete: a value that is missing or impossible fails in the constructor, so
nothing behind it has to ask. Times are aware UTC datetimes; an aware time of another zone is
converted, a naive one refused. Prices are USDT, sizes base coin, all Decimal.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from gridcore.errors import InvalidEventError
from gridcore.event_checks import (
    check_above_zero,
    check_not_negative,
    check_number,
    check_text,
    check_utc,
    set_member,
)
from gridcore.quick_init import with_quick_init
from gridcore.sides import DirectionType, SideType, direction_of

if TYPE_CHECKING:
    from gridcore.order_records import LimitOrder


class EventType(StrEnum):
    """Kinds of events."""

    TICKER = "ticker"
    PUBLIC_TRADE = "public_trade"
    EXECUTION = "execution"
    ORDER_UPDATE = "order_update"
    PLACE_RESULT = "place_result"
    CANCEL_RESULT = "cancel_result"
    ACCOUNT = "account"
    OPEN_ORDERS = "open_orders"


# Python 3.11 calls a function at every `EventType.TICKER`; a name of a module costs nothing
_TICKER: Final = EventType.TICKER
_PUBLIC_TRADE: Final = EventType.PUBLIC_TRADE
_EXECUTION: Final = EventType.EXECUTION
_ORDER_UPDATE: Final = EventType.ORDER_UPDATE
_PLACE_RESULT: Final = EventType.PLACE_RESULT
_CANCEL_RESULT: Final = EventType.CANCEL_RESULT
_ACCOUNT: Final = EventType.ACCOUNT
_OPEN_ORDERS: Final = EventType.OPEN_ORDERS


class ExchangeOrderStatus(StrEnum):
    """Order status on the wire, Bybit V5."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    UNTRIGGERED = "Untriggered"
    TRIGGERED = "Triggered"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
    REJECTED = "Rejected"
    DEACTIVATED = "Deactivated"

    @property
    def is_live(self) -> bool:
        """Tell whether an order of this status can still fill."""
        return self in _LIVE


_LIVE = frozenset(
    {
        ExchangeOrderStatus.NEW,
        ExchangeOrderStatus.PARTIALLY_FILLED,
        ExchangeOrderStatus.UNTRIGGERED,
        ExchangeOrderStatus.TRIGGERED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has. Ordered by (exchange_ts, local_ts).

    exchange_ts is when the exchange says it happened, local_ts when this process learned it.
    """

    symbol: str
    exchange_ts: datetime
    local_ts: datetime
    user_id: UUID | None = None
    account_id: UUID | None = None
    run_id: UUID | None = None

    def __lt__(self, other: Event) -> bool:
        return self._moment < other._moment

    def __le__(self, other: Event) -> bool:
        return self._moment <= other._moment

    def __gt__(self, other: Event) -> bool:
        return self._moment > other._moment

    def __ge__(self, other: Event) -> bool:
        return self._moment >= other._moment

    @property
    def _moment(self) -> tuple[datetime, datetime]:
        return self.exchange_ts, self.local_ts


def _check_base(event: Event, given: EventType, own: EventType) -> None:
    if (
        given is own
        and type(event.symbol) is str
        and event.symbol
        and type(event.exchange_ts) is datetime
        and event.exchange_ts.tzinfo is UTC
        and type(event.local_ts) is datetime
        and event.local_ts.tzinfo is UTC
    ):
        return
    if given is not own and given != own:
        raise InvalidEventError(
            f"{type(event).__name__}: event_type is {given!r}; this kind is always {own.value!r}"
        )
    check_text(event, "symbol", event.symbol)
    check_utc(event, "exchange_ts", event.exchange_ts)
    check_utc(event, "local_ts", event.local_ts)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class TickerEvent(Event):
    """State of the market. Fields that the exchange did not give are None."""

    event_type: InitVar[EventType] = _TICKER
    last_price: Decimal
    mark_price: Decimal | None = None
    bid1_price: Decimal | None = None
    ask1_price: Decimal | None = None
    funding_rate: Decimal | None = None  # per funding interval, positive: long pays short

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _TICKER)
        check_above_zero(self, "last_price", self.last_price)
        if self.mark_price is not None:
            check_above_zero(self, "mark_price", self.mark_price)
        if self.bid1_price is not None:
            check_above_zero(self, "bid1_price", self.bid1_price)
        if self.ask1_price is not None:
            check_above_zero(self, "ask1_price", self.ask1_price)
        if self.funding_rate is not None:
            check_number(self, "funding_rate", self.funding_rate)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTradeEvent(Event):
    """One trade of the market; `side` is the taker's."""

    event_type: InitVar[EventType] = _PUBLIC_TRADE
    trade_id: str
    side: SideType
    price: Decimal
    size: Decimal

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _PUBLIC_TRADE)
        check_text(self, "trade_id", self.trade_id)
        if type(self.side) is not SideType:
            set_member(self, "side", SideType)
        check_above_zero(self, "price", self.price)
        check_above_zero(self, "size", self.size)


class ExecutionKind(StrEnum):
    """What an execution means to a strategy."""

    TRADE = "trade"  # a fill of an order of the account
    FORCED = "forced"  # the exchange changed the leg: liquidation, ADL, delivery, a moved position
    FUNDING = "funding"  # money for a leg that stays as it is


_TRADE: Final = ExecutionKind.TRADE


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEvent(Event):
    """One fill of one of the account's orders, or what the exchange did to a leg by itself.

    fee is USDT, paid when positive, a rebate when negative; of funding it is the funding itself.
    It is None when it is not known in USDT, as for one that was paid in another coin: then
    fee_currency and fee_amount say what was paid. closed_size is what the execution took off its
    leg, 0 for an opening fill. closed_pnl is the realised profit before fees, None when the
    exchange did not say. leaves_qty is what stays open of the order. seq orders the executions and
    positions of a symbol where the exchange tells it.
    """

    event_type: InitVar[EventType] = _EXECUTION
    exec_id: str
    order_id: str
    order_link_id: str
    side: SideType
    price: Decimal
    qty: Decimal
    fee: Decimal | None
    closed_pnl: Decimal | None
    closed_size: Decimal
    leaves_qty: Decimal
    kind: ExecutionKind = _TRADE
    seq: int | None = None
    fee_currency: str = "USDT"
    fee_amount: Decimal | None = None  # in fee_currency; None when it is USDT, or not told

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _EXECUTION)
        if type(self.kind) is not ExecutionKind:
            set_member(self, "kind", ExecutionKind)
        check_text(self, "exec_id", self.exec_id)
        check_text(self, "order_id", self.order_id)
        if type(self.side) is not SideType:
            set_member(self, "side", SideType)
        check_above_zero(self, "price", self.price)
        check_above_zero(self, "qty", self.qty)
        if self.fee is not None:
            check_number(self, "fee", self.fee)
        check_text(self, "fee_currency", self.fee_currency)
        if self.fee_amount is not None:
            check_number(self, "fee_amount", self.fee_amount)
        if self.closed_pnl is not None:
            check_number(self, "closed_pnl", self.closed_pnl)
        check_not_negative(self, "closed_size", self.closed_size)
        check_not_negative(self, "leaves_qty", self.leaves_qty)

    @property
    def direction(self) -> DirectionType:
        """The leg: Buy opens long or closes short, told apart by closed_size.

        The side of funding is that of its leg.
        """
        return direction_of(self.side, closing=self.closed_size > 0)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdateEvent(Event):
    """New state of one of the account's orders."""

    event_type: InitVar[EventType] = _ORDER_UPDATE
    order_id: str
    order_link_id: str
    status: ExchangeOrderStatus
    side: SideType
    price: Decimal
    qty: Decimal
    leaves_qty: Decimal
    reduce_only: bool

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _ORDER_UPDATE)
        check_text(self, "order_id", self.order_id)
        if type(self.status) is not ExchangeOrderStatus:
            set_member(self, "status", ExchangeOrderStatus)
        if type(self.side) is not SideType:
            set_member(self, "side", SideType)
        # a market order has no price of its own, so 0 is a fact here
        check_not_negative(self, "price", self.price)
        check_not_negative(self, "leaves_qty", self.leaves_qty)
        check_above_zero(self, "qty", self.qty)

    @property
    def direction(self) -> DirectionType:
        """The leg: a reduce-only order closes, any other opens."""
        return direction_of(self.side, closing=self.reduce_only)


class PlaceOutcome(StrEnum):
    """What became of a place command."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"  # certain not to be on the exchange: never sent, or looked up and absent


_ACCEPTED: Final = PlaceOutcome.ACCEPTED
_REJECTED: Final = PlaceOutcome.REJECTED


class RejectReason(StrEnum):
    """Why the exchange refused, as far as the strategy reacts to it."""

    # by which codes of the exchange: refusal_codes.py
    REDUCE_ONLY = "reduce_only"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    OTHER = "other"


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceResultEvent(Event):
    """Answer to one PlaceLimitIntent. ACCEPTED means accepted, not yet on the book."""

    event_type: InitVar[EventType] = _PLACE_RESULT
    client_order_id: str
    outcome: PlaceOutcome
    order_id: str | None = None
    order_link_id: str | None = None
    reject_reason: RejectReason | None = None
    message: str = ""

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _PLACE_RESULT)
        check_text(self, "client_order_id", self.client_order_id)
        if type(self.outcome) is not PlaceOutcome:
            set_member(self, "outcome", PlaceOutcome)
        if self.outcome is _ACCEPTED:
            check_text(self, "order_id", self.order_id)
        elif self.outcome is _REJECTED and type(self.reject_reason) is not RejectReason:
            set_member(self, "reject_reason", RejectReason)


class CancelOutcome(StrEnum):
    """What became of a cancel command."""

    ACCEPTED = "accepted"
    GONE = "gone"  # the exchange does not know the order any more
    FAILED = "failed"


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResultEvent(Event):
    """Answer to one CancelIntent. ACCEPTED means accepted; the order's update tells the rest."""

    event_type: InitVar[EventType] = _CANCEL_RESULT
    order_id: str
    outcome: CancelOutcome
    client_order_id: str = ""
    message: str = ""

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _CANCEL_RESULT)
        check_text(self, "order_id", self.order_id)
        if type(self.outcome) is not CancelOutcome:
            set_member(self, "outcome", CancelOutcome)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class LegSnapshot:
    """One leg as the exchange reports it. entry_price is None for an empty leg only.

    updated_ts is when the leg changed last, seq the exchange's number of that change. They say
    which fills the size contains; an answer may be newer than the row that it carries. Without
    them the time of the event counts.
    """

    size: Decimal
    entry_price: Decimal | None
    liquidation_price: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    leverage: Decimal | None = None
    updated_ts: datetime | None = None
    seq: int | None = None

    def __post_init__(self) -> None:
        check_not_negative(self, "size", self.size)
        if self.size:
            check_above_zero(self, "entry_price", self.entry_price)
        if self.liquidation_price is not None:
            check_above_zero(self, "liquidation_price", self.liquidation_price)
        if self.leverage is not None:
            check_above_zero(self, "leverage", self.leverage)
        if self.unrealized_pnl is not None:
            check_number(self, "unrealized_pnl", self.unrealized_pnl)
        if self.updated_ts is not None and self.updated_ts.tzinfo is not UTC:
            check_utc(self, "updated_ts", self.updated_ts)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSnapshot:
    """Money of the account in USDT; available_balance is None when the exchange does not say."""

    wallet_balance: Decimal
    available_balance: Decimal | None

    def __post_init__(self) -> None:
        check_number(self, "wallet_balance", self.wallet_balance)
        if self.available_balance is not None:
            check_number(self, "available_balance", self.available_balance)


@with_quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEvent(Event):
    """What the account holds, as far as this event tells: a part that is None is unchanged.

    exchange_ts is the time that the parts describe; where a leg does not say when it changed, it
    decides whether a fill is already contained in the leg's size.
    """

    event_type: InitVar[EventType] = _ACCOUNT
    long: LegSnapshot | None = None
    short: LegSnapshot | None = None
    wallet: WalletSnapshot | None = None

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _ACCOUNT)
        if self.long is None and self.short is None and self.wallet is None:
            raise InvalidEventError("AccountEvent: none of long, short and wallet is given")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrdersEvent(Event):
    """All open orders of the symbol, confirmed by the exchange as of exchange_ts.

    A list may lag. `absent` names orders that were looked up one by one and are nowhere; where it
    is given, no other order counts as gone because the list lacks it.
    """

    event_type: InitVar[EventType] = _OPEN_ORDERS
    orders: tuple[LimitOrder, ...]
    absent: frozenset[str] | None = None

    def __post_init__(self, event_type: EventType) -> None:
        _check_base(self, event_type, _OPEN_ORDERS)


def tags_of(event: Event) -> dict[str, Any]:
    """Return the optional tags of an event, to pass on to one that follows from it."""
    return {"user_id": event.user_id, "account_id": event.account_id, "run_id": event.run_id}
