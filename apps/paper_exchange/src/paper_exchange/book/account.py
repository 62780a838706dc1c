"""One account of the exchange: money, legs, orders, and its records.

The money and the legs are the backtest's `SimulatedAccount`; this adds what only an exchange keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from enum import StrEnum

from exchange_model.account.simulated_account import FeeRates, SimulatedAccount, SimulatedPair
from exchange_model.orders.order_manager import BacktestOrderManager
from gridcore import DirectionType
from paper_exchange.book.orders import ClosedPnl, LedgerEntry, PaperExecution, PaperOrder
from paper_exchange.market.listing import Listing

ZERO = Decimal(0)
MNT_STEP = Decimal("1E-8")
KEPT_RECORDS = 100_000
LEGS = (DirectionType.LONG, DirectionType.SHORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key with what it may do. The secret is in no repr."""

    key: str
    secret: str = field(repr=False)
    read_only: bool = False
    ips: tuple[str, ...] = ()  # none: from anywhere
    expires_ms: int | None = None
    revoked: bool = False


class MarginMode(StrEnum):
    """`marginMode` of account/info. Isolated changes what is told, not how margin is computed."""

    CROSS = "REGULAR_MARGIN"
    ISOLATED = "ISOLATED_MARGIN"


@dataclass(slots=True, kw_only=True)
class MntWallet:
    """MNT of an account, of which fees of fills are paid when `pays_fees`. `price` is in USDT.

    balance = deposits - fees_paid.
    """

    deposits: Decimal = ZERO
    fees_paid: Decimal = ZERO
    price: Decimal = Decimal(1)
    pays_fees: bool = False

    @property
    def balance(self) -> Decimal:
        """How much there is."""
        return self.deposits - self.fees_paid

    @property
    def is_shown(self) -> bool:
        """Whether the wallet has the coin at all."""
        return self.pays_fees or bool(self.balance)

    def pay(self, fee_usdt: Decimal) -> Decimal | None:
        """Pay a fee; return how much MNT it was, None when it is a matter of USDT.

        That is a rebate, and a fee for which there is not enough MNT.
        """
        if not self.pays_fees or fee_usdt <= 0:
            return None
        fee = (fee_usdt / self.price).quantize(MNT_STEP, ROUND_UP)
        if fee > self.balance:
            return None
        self.fees_paid += fee
        return fee


@dataclass(slots=True, kw_only=True)
class LegRecord:
    """What an exchange remembers of a leg beside its size and cost."""

    created_ms: int = 0
    updated_ms: int = 0
    opened_ms: int = 0
    realised: Decimal = ZERO  # USDT since the leg was opened, net of fees and funding
    realised_ever: Decimal = ZERO
    open_fees: Decimal = ZERO  # fees of opening what is held
    seq: int = -1
    status: str = "Normal"


class SymbolBook:
    """Legs, resting orders and settings of one account in one symbol."""

    def __init__(self, pair: SimulatedPair, hedge_mode: bool) -> None:
        self.pair = pair
        self.orders = BacktestOrderManager(pair)
        self.hedge_mode = hedge_mode
        self.legs = {direction: LegRecord() for direction in LEGS}
        # accepted, not yet on the book: they use up the same margin and the same leg
        self.arriving_closing = dict.fromkeys(LEGS, ZERO)
        self.arriving = 0
        self.arriving_value = ZERO  # USDT of opening orders

    def closing_budget(self, direction: DirectionType) -> Decimal:
        """Return what of a leg no closing order covers yet, in base coin."""
        return self.orders.closing_budget(direction) - self.arriving_closing[direction]

    def opening_value(self) -> Decimal:
        """Return what orders that open are worth at their limits, USDT."""
        return self.orders.opening_value() + self.arriving_value

    def order_count(self) -> int:
        """Return how many orders are open."""
        return len(self.orders) + self.arriving


class PaperAccount:
    """One account. Only the exchange changes it."""

    def __init__(
        self,
        name: str,
        uid: int,
        deposit: Decimal,
        fees: FeeRates,
        leverage: Decimal,
        keys: tuple[ApiKey, ...] = (),
        *,
        hedge_mode: bool = True,
        mnt: MntWallet | None = None,
    ) -> None:
        self.name = name
        self.uid = uid
        self.money = SimulatedAccount(deposit, fees)
        self.leverage = leverage
        self.hedge_mode = hedge_mode
        self.keys = {key.key: key for key in keys}
        self.books: dict[str, SymbolBook] = {}
        self.open_orders: dict[str, PaperOrder] = {}
        self.by_link: dict[str, PaperOrder] = {}
        self.closed_orders: deque[PaperOrder] = deque(maxlen=KEPT_RECORDS)
        self.closed_by_id: dict[str, PaperOrder] = {}
        self.executions: deque[PaperExecution] = deque(maxlen=KEPT_RECORDS)
        self.ledger: deque[LedgerEntry] = deque(maxlen=KEPT_RECORDS)
        self.closed_pnl: dict[str, ClosedPnl] = {}
        self.insured = ZERO  # USDT of loss that the insurance fund took over
        self.moves_price = True  # a limit price beyond the price limit is moved to it
        self.dcp_window_s: int | None = None
        self.margin_mode = MarginMode.CROSS
        self.margin_mode_ms = 1_697_078_946_000  # when it was chosen
        self.mnt = mnt or MntWallet()

    def __repr__(self) -> str:
        return f"PaperAccount({self.name!r}, uid={self.uid})"

    def book(self, listing: Listing) -> SymbolBook:
        """Return the account's side of a symbol; it begins with the first look at it."""
        book = self.books.get(listing.symbol)
        if book is None:
            leverage = min(self.leverage, listing.max_leverage)
            pair = self.money.add_pair(listing.symbol, listing.symbol, leverage, listing.tiers)
            book = self.books[listing.symbol] = SymbolBook(pair, self.hedge_mode)
        return book

    def find_order(self, order_id: str, link_id: str) -> PaperOrder | None:
        """Return an order, open or ended, by id (which wins) or link id."""
        if order_id:
            return self.open_orders.get(order_id) or self.closed_by_id.get(order_id)
        return self.by_link.get(link_id)

    def orders_of(self, symbol: str) -> Iterator[PaperOrder]:
        """Yield the open orders of a symbol, oldest first."""
        return (order for order in tuple(self.open_orders.values()) if order.symbol == symbol)

    def add_order(self, order: PaperOrder) -> None:
        """Take an accepted order into the account's lists."""
        self.open_orders[order.order_id] = order
        if order.link_id:
            self.by_link[order.link_id] = order

    def end_order(self, order: PaperOrder) -> None:
        """Move an ended order to the history; the oldest record goes when there are too many."""
        self.open_orders.pop(order.order_id, None)
        if len(self.closed_orders) == KEPT_RECORDS:
            oldest = self.closed_orders[0]
            self.closed_by_id.pop(oldest.order_id, None)
            if self.by_link.get(oldest.link_id) is oldest:
                del self.by_link[oldest.link_id]
        self.closed_orders.append(order)
        self.closed_by_id[order.order_id] = order
