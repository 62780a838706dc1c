"""Private facts of one account. USDT, base coin, aware UTC times; unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from bybit_adapter.basics.row import ms_of_time
from bybit_adapter.records.execution_kind import ExecutionKind, is_created_by_exchange
from bybit_adapter.records.market import NO_TAGS, Tags
from gridcore import (
    AccountEvent,
    DirectionType,
    ExchangeOrderStatus,
    ExecutionEvent,
    LegSnapshot,
    LimitOrder,
    OpenOrdersEvent,
    OrderUpdateEvent,
    SideType,
    WalletSnapshot,
    direction_of,
)
from gridcore.instrument import floor_ceil_ticks

ZERO = Decimal(0)
USDT = "USDT"
_SMALLEST_UNIT = Decimal("1E-8")  # USDT; balances have no finer one


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution: a fill, a funding payment, or something that the exchange did to a leg.

    fee is in fee_currency, paid when positive, a rebate (or funding received) when negative.
    closed_size is what it took off its leg. closed_pnl is realised profit before fees, which only
    the stream tells.
    """

    symbol: str
    time: datetime
    exec_id: str
    kind: ExecutionKind
    exec_type: str  # the exchange's word
    order_id: str | None
    order_link_id: str | None
    side: SideType | None
    price: Decimal
    qty: Decimal
    fee: Decimal | None
    fee_currency: str
    fee_rate: Decimal | None
    closed_size: Decimal | None
    closed_pnl: Decimal | None
    leaves_qty: Decimal | None
    order_price: Decimal | None
    order_qty: Decimal | None
    order_type: str | None
    is_maker: bool | None
    mark_price: Decimal | None
    seq: int | None
    create_type: str | None  # who made the order, the exchange's word
    raw_json: str = field(repr=False)

    @property
    def cause(self) -> str:
        """The exchange's word that tells best why it happened."""
        is_forced_trade = self.kind is ExecutionKind.FORCED_TRADE
        return (self.create_type or self.exec_type) if is_forced_trade else self.exec_type

    @property
    def fee_usdt(self) -> Decimal | None:
        """The fee in USDT; None when it is not known, as for one paid in another coin."""
        return self.fee if self.fee_currency == USDT or self.fee == 0 else None

    @property
    def direction(self) -> DirectionType | None:
        """The leg. Bybit does not say it: Buy opens long or, with a closed size, closes short."""
        if self.side is None:
            return None
        if self.kind is ExecutionKind.FUNDING:  # its side is the leg's
            return direction_of(self.side, closing=False)
        return direction_of(self.side, closing=bool(self._closed))

    @property
    def _closed(self) -> Decimal | None:
        """What it took off its leg; all of it where the kind says so and the row does not."""
        if self.closed_size is None and self.kind.is_close:
            return self.qty
        return self.closed_size

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> ExecutionEvent | None:
        """Return the event of a fill on the book; None for anything else.

        Raises InvalidEventError for a trade without order, side or leaves quantity.
        """
        return self.to_change(local_ts, tags) if self.kind.is_fill else None

    def to_change(self, local_ts: datetime, tags: Tags = NO_TAGS) -> ExecutionEvent | None:
        """Return what a strategy has to know, whatever kind it is: fill, forced close, funding.

        None for what changes neither a leg nor the money. Raises InvalidEventError for a trade
        without order, side or leaves quantity.
        """
        if not self.kind.is_fill and (self.side is None or not self.qty or not self.price):
            return None
        return ExecutionEvent(
            symbol=self.symbol,
            exchange_ts=self.time,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            exec_id=self.exec_id,
            # what the exchange does by itself may have no order
            order_id=self.order_id or ("" if self.kind.is_fill else self.exec_id),
            order_link_id=self.order_link_id or "",
            side=self.side,  # type: ignore[arg-type]  # the event refuses None
            price=self.price,
            qty=self.qty,
            fee=self.fee_usdt,
            fee_currency=self.fee_currency,
            fee_amount=None if self.fee_currency == USDT else self.fee,
            closed_pnl=self.closed_pnl,
            # Bybit leaves closedSize empty for a fill that opens.
            closed_size=ZERO if self._closed is None else self._closed,
            leaves_qty=ZERO
            if self.leaves_qty is None and not self.kind.is_fill
            else self.leaves_qty,  # type: ignore[arg-type]  # the event refuses None
            kind=self.kind.meaning,
            seq=self.seq,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order at `updated`, its last change.

    status is the exchange's word. price is None for a market order. direction is None outside
    hedge mode. Fills are in cum_exec_qty: of a cancelled order leaves_qty says 0.
    """

    symbol: str
    order_id: str
    order_link_id: str | None
    side: SideType
    direction: DirectionType | None
    order_type: str
    time_in_force: str | None
    status: str
    price: Decimal | None
    qty: Decimal
    leaves_qty: Decimal | None
    cum_exec_qty: Decimal | None
    cum_exec_value: Decimal | None
    avg_price: Decimal | None
    cum_fees: Mapping[str, Decimal]  # coin -> what was paid in it; empty before the first fill
    reduce_only: bool
    trigger_price: Decimal | None
    stop_order_type: str | None
    create_type: str | None
    cancel_type: str | None
    reject_reason: str | None
    closed_pnl: Decimal | None
    created: datetime | None
    updated: datetime
    raw_json: str = field(repr=False)

    @property
    def is_forced(self) -> bool:
        """Whether the exchange made it: a liquidation, an ADL, a settlement."""
        return is_created_by_exchange(self.create_type)

    @property
    def is_open(self) -> bool:
        """Whether it can still fill. A status that is new to us counts as open."""
        try:
            return ExchangeOrderStatus(self.status).is_live
        except ValueError:
            return True

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> OrderUpdateEvent | None:
        """Return the strategy's event; None for an order without a quantity of its own.

        Such an order closes what a leg holds when it triggers. Raises InvalidEventError for an
        unknown status.
        """
        if not self.qty:
            return None
        leaves = self.leaves_qty
        return OrderUpdateEvent(
            symbol=self.symbol,
            exchange_ts=self.updated,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            order_id=self.order_id,
            order_link_id=self.order_link_id or "",
            status=self.status,  # type: ignore[arg-type]  # the event turns it into its enum
            side=self.side,
            price=ZERO if self.price is None else self.price,
            qty=self.qty,
            # An order that has ended has nothing left, also where the exchange leaves it empty.
            leaves_qty=ZERO if leaves is None and not self.is_open else leaves,  # type: ignore[arg-type]  # the event refuses None
            reduce_only=self.reduce_only,
        )

    def to_limit_order(self, tick_size: Decimal) -> LimitOrder:
        """Return the order as the strategy's book knows it; tick_size in USDT.

        Raises ValueError for an order that is no plain limit order of a hedge-mode leg.
        """
        if self.price is None or self.direction is None or self.leaves_qty is None:
            raise ValueError(
                f"order {self.order_id}: type {self.order_type}, price {self.price}, leg"
                f" {self.direction}, leaves {self.leaves_qty}; a resting limit order has all"
            )
        below, above = floor_ceil_ticks(self.price, tick_size)
        return LimitOrder(
            order_id=self.order_id,
            order_link_id=self.order_link_id or "",
            direction=self.direction,
            side=self.side,
            price_ticks=below,
            qty=self.qty,
            leaves_qty=self.leaves_qty,
            age_rank=0 if self.created is None else ms_of_time(self.created),
            created_ts=self.created,
            updated_ts=self.updated,
            # an order may rest between two ticks after the tick size changed
            price=None if below == above else self.price,
        )

    @property
    def is_resting_limit(self) -> bool:
        """Whether it is an open limit order on the book, neither conditional nor a market order."""
        return (
            self.order_type == "Limit"
            and self.price is not None
            and self.is_open
            and self.status != ExchangeOrderStatus.UNTRIGGERED
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One leg of a symbol, 0 or more base coin.

    as_of is the moment that the row describes: its last change on the stream, the time of the
    answer over REST. direction is None outside hedge mode. realised_pnl is that of the position
    now open, cum_realised_pnl that of the leg's whole life.
    """

    symbol: str
    direction: DirectionType | None
    side: SideType | None
    size: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    liq_price: Decimal | None
    leverage: Decimal | None
    position_value: Decimal | None
    initial_margin: Decimal | None
    maintenance_margin: Decimal | None
    unrealised_pnl: Decimal | None
    realised_pnl: Decimal | None
    cum_realised_pnl: Decimal | None
    status: str | None  # Normal, Liq, Adl
    seq: int | None
    updated: datetime | None
    as_of: datetime
    raw_json: str = field(repr=False)

    @property
    def leg(self) -> LegSnapshot:
        """The part of an AccountEvent. Raises InvalidEventError for a size without an entry."""
        return LegSnapshot(
            size=self.size,
            entry_price=self.entry_price if self.size else None,
            liquidation_price=self.liq_price,
            unrealized_pnl=self.unrealised_pnl,
            leverage=self.leverage,
            updated_ts=self.updated,
            seq=self.seq,
        )

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> AccountEvent | None:
        """Return what this row alone tells; None outside hedge mode."""
        if self.direction is None:
            return None
        return account_event(
            self.symbol, as_of=self.as_of, local_ts=local_ts, positions=(self,), tags=tags
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinBalance:
    """What a wallet holds of one coin, in that coin."""

    coin: str
    wallet_balance: Decimal | None
    equity: Decimal | None
    usd_value: Decimal | None
    unrealised_pnl: Decimal | None
    cum_realised_pnl: Decimal | None
    locked: Decimal | None
    order_initial_margin: Decimal | None
    position_initial_margin: Decimal | None
    position_maintenance_margin: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """The unified account at as_of. Totals are USD, not USDT; ratios are fractions.

    A wallet frame of the stream may list the coins that changed only.
    """

    as_of: datetime
    account_type: str | None
    total_equity_usd: Decimal | None
    total_wallet_balance_usd: Decimal | None
    total_margin_balance_usd: Decimal | None
    total_available_balance_usd: Decimal | None
    total_initial_margin_usd: Decimal | None
    total_maintenance_margin_usd: Decimal | None
    initial_margin_ratio: Decimal | None
    maintenance_margin_ratio: Decimal | None
    coins: tuple[CoinBalance, ...]
    raw_json: str = field(repr=False)

    def coin(self, name: str = USDT) -> CoinBalance | None:
        """Return the balance of one coin, None when the frame does not list it."""
        return next((coin for coin in self.coins if coin.coin == name), None)

    @property
    def snapshot(self) -> WalletSnapshot | None:
        """The part of an AccountEvent; None when USDT is not listed, which means unchanged."""
        usdt = self.coin()
        if usdt is None or usdt.wallet_balance is None:
            return None
        return WalletSnapshot(
            wallet_balance=usdt.wallet_balance, available_balance=self._available_usdt(usdt)
        )

    def _available_usdt(self, usdt: CoinBalance) -> Decimal | None:
        """Return what new orders may bind, in USDT, rounded down; None when it is not told.

        The account tells it in USD; equity and USD value of the USDT balance give the rate. An
        answer without USD value still has the margins of USDT itself.
        """
        if self.total_available_balance_usd is None or usdt.equity is None:
            return None
        if usdt.usd_value is not None:
            if usdt.equity <= 0 or usdt.usd_value <= 0:
                return None
            available = self.total_available_balance_usd * usdt.equity / usdt.usd_value
            return available.quantize(_SMALLEST_UNIT, ROUND_DOWN)
        if usdt.order_initial_margin is None or usdt.position_initial_margin is None:
            return None
        return usdt.equity - usdt.order_initial_margin - usdt.position_initial_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """How the account is set up."""

    unified_margin_status: int  # 5 and 6: unified account 2.0, 3 and 4: 1.0, 1: classic
    margin_mode: str  # REGULAR_MARGIN is cross
    updated: datetime | None

    @property
    def is_unified(self) -> bool:
        """Whether it is a unified account, of which all formulas here speak."""
        return self.unified_margin_status >= 3

    @property
    def is_cross_margin(self) -> bool:
        """Whether all positions share the wallet."""
        return self.margin_mode == "REGULAR_MARGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """What the account pays on one symbol, as a share of the notional; negative is a rebate."""

    symbol: str
    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionLogEntry:
    """One change of the wallet. funding is received when positive, fee paid when positive.

    All amounts are in `currency`. change = cash_flow + funding - fee; size is what the leg held
    afterwards, negative for short.
    """

    entry_id: str
    time: datetime
    entry_type: str  # TRADE, SETTLEMENT (funding), LIQUIDATION, ADL, TRANSFER_IN ...
    symbol: str | None
    category: str | None
    side: SideType | None
    currency: str
    qty: Decimal | None
    size: Decimal | None
    trade_price: Decimal | None
    funding: Decimal | None
    fee: Decimal | None
    fee_rate: Decimal | None
    cash_flow: Decimal | None
    change: Decimal | None
    cash_balance: Decimal | None
    trade_id: str | None
    order_id: str | None
    order_link_id: str | None
    raw_json: str = field(repr=False)


def account_event(
    symbol: str,
    *,
    as_of: datetime,
    local_ts: datetime,
    positions: Iterable[Position] = (),
    wallet: Wallet | None = None,
    tags: Tags = NO_TAGS,
) -> AccountEvent:
    """Put the legs of `symbol` and the wallet together. Raises InvalidEventError without any."""
    legs = {p.direction: p.leg for p in positions if p.symbol == symbol}
    return AccountEvent(
        symbol=symbol,
        exchange_ts=as_of,
        local_ts=local_ts,
        user_id=tags.user_id,
        account_id=tags.account_id,
        run_id=tags.run_id,
        long=legs.get(DirectionType.LONG),
        short=legs.get(DirectionType.SHORT),
        wallet=None if wallet is None else wallet.snapshot,
    )


def open_orders_event(
    symbol: str,
    orders: Iterable[Order],
    *,
    tick_size: Decimal,
    as_of: datetime,
    local_ts: datetime,
    tags: Tags = NO_TAGS,
) -> OpenOrdersEvent:
    """Return the resting limit orders of `symbol` as one event; conditional ones are left out."""
    return OpenOrdersEvent(
        symbol=symbol,
        exchange_ts=as_of,
        local_ts=local_ts,
        user_id=tags.user_id,
        account_id=tags.account_id,
        run_id=tags.run_id,
        orders=tuple(
            order.to_limit_order(tick_size)
            for order in orders
            if order.symbol == symbol and order.is_resting_limit
        ),
    )
