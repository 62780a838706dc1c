"""One order from its acceptance to its end, and one execution, as the exchange keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from pydantic import SkipValidation

from exchange_model.orders.order_manager import SimulatedOrder
from gridcore import DirectionType, SideType

ZERO = Decimal(0)


class OrderType(StrEnum):
    """Limit or Market."""

    LIMIT = "Limit"
    MARKET = "Market"


class TimeInForce(StrEnum):
    """How long an order waits."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class Status(StrEnum):
    """Order status. ACCEPTED is not on the wire: acknowledged, not yet on the book."""

    ACCEPTED = "Accepted"
    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"

    @property
    def is_open(self) -> bool:
        """Whether the order can still fill."""
        return self in (Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED)


class ExecType(StrEnum):
    """What an execution is."""

    TRADE = "Trade"
    FUNDING = "Funding"
    ADL = "AdlTrade"
    BUST = "BustTrade"
    SETTLE = "Settle"
    DELIVERY = "Delivery"


NO_ERROR = "EC_NoError"


@dataclass(slots=True, kw_only=True)
class PaperOrder:
    """An order with everything the wire says of it. Prices in USDT, quantities in base coin."""

    number: int  # grows with every order of the exchange; the order of lists and cursors
    order_id: str
    link_id: str
    symbol: str
    side: SideType
    direction: DirectionType
    order_type: OrderType
    time_in_force: TimeInForce
    price: Decimal
    qty: Decimal
    reduce_only: bool
    close_on_trigger: bool
    created_ms: int
    updated_ms: int
    last_price_on_created: Decimal | None
    create_type: str = "CreateByUser"
    status: Status = Status.ACCEPTED
    cancel_type: str = "UNKNOWN"
    reject_reason: str = NO_ERROR
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO  # USDT
    fee: Decimal = ZERO  # USDT
    fee_mnt: Decimal = ZERO  # MNT, beside it
    closed_pnl: Decimal = ZERO  # USDT, net of fees
    margin: Decimal = ZERO  # USDT held until it is on the book
    resting: SkipValidation[SimulatedOrder | None] = field(default=None, repr=False)

    @property
    def leaves_qty(self) -> Decimal:
        """What can still fill, in base coin."""
        return self.qty - self.filled_qty if self.status.is_open else ZERO

    @property
    def position_idx(self) -> int:
        """1 for the long leg, 2 for the short one."""
        return 1 if self.direction is DirectionType.LONG else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperExecution:
    """One fill, one funding payment, one forced closing. `fee` is in `fee_coin`."""

    number: int
    exec_id: str
    exec_type: ExecType
    ts_ms: int
    symbol: str
    side: SideType
    direction: DirectionType
    price: Decimal  # USDT
    qty: Decimal  # base coin
    fee: Decimal  # paid is positive
    fee_rate: Decimal
    is_maker: bool
    closed_size: Decimal
    pnl: Decimal  # USDT before fees
    mark_price: Decimal
    seq: int
    order_id: str
    link_id: str
    order_type: str
    order_price: Decimal
    order_qty: Decimal
    leaves_qty: Decimal
    create_type: str
    fee_coin: str = "USDT"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One change of the wallet: change = cash_flow + funding - fee, all in `currency`."""

    number: int
    entry_id: str
    kind: str  # TRADE, SETTLEMENT, DELIVERY, LIQUIDATION, ADL, TRANSFER_IN, TRANSFER_OUT, BONUS
    ts_ms: int
    symbol: str
    side: str
    qty: Decimal
    size: Decimal  # position left, signed
    price: Decimal | None
    cash_flow: Decimal
    funding: Decimal | None
    fee: Decimal
    fee_rate: Decimal | None
    balance: Decimal  # wallet after it
    trade_id: str = ""
    order_id: str = ""
    link_id: str = ""
    currency: str = "USDT"

    @property
    def change(self) -> Decimal:
        """What the wallet gained of the currency."""
        return self.cash_flow + (self.funding or ZERO) - self.fee


@dataclass(slots=True, kw_only=True)
class ClosedPnl:
    """What one closing order realised so far."""

    number: int
    order_id: str
    symbol: str
    side: SideType
    order_type: OrderType
    order_qty: Decimal
    order_price: Decimal
    leverage: Decimal
    exec_type: ExecType
    created_ms: int
    updated_ms: int
    closed_size: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO
    pnl: Decimal = ZERO  # before fees
    fills: int = 0

    @property
    def net_pnl(self) -> Decimal:
        """Profit in USDT after the fees of opening and closing."""
        return self.pnl - self.open_fee - self.close_fee
