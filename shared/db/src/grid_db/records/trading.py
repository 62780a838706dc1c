"""Private facts of one account. Missing numbers are None, never 0.

The order of the fields is the format in which event_saver's spool keeps records on disk:
whoever adds, removes or moves one adds a format in event_saver/spool/formats.py, by which what is
on disk already is still read; its test fails without. A new field needs a default.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from grid_db.enums import SnapshotSource
from gridcore import DirectionType, SideType


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateExecutionRecord:
    """One execution (Bybit `execution` object).

    exec_fee is in fee_currency, paid when positive, a rebate when negative; closed_pnl is realised
    profit before fees. closed_size is what it took off its leg, 0 for an opening fill. direction
    is the leg, None where it is not known. fee_currency is None in rows stored before it was kept,
    whose raw form names no coin: that was USDT.
    """

    account_id: str
    run_id: str
    symbol: str
    exec_id: str
    order_id: str
    order_link_id: str | None = None
    exec_type: str
    side: SideType
    direction: DirectionType | None = None
    exec_price: Decimal
    exec_qty: Decimal
    exec_fee: Decimal | None = None
    fee_rate: Decimal | None = None
    closed_pnl: Decimal | None = None
    closed_size: Decimal | None = None
    leaves_qty: Decimal | None = None
    is_maker: bool | None = None
    seq: int | None = None
    exchange_ts: datetime
    local_ts: datetime
    raw_json: str | None = None
    fee_currency: str | None = None

    @property
    def fee_usdt(self) -> Decimal | None:
        """The fee in USDT; None when it is not known, as for one paid in another coin."""
        is_usdt = self.fee_currency in (None, "USDT") or self.exec_fee == 0
        return self.exec_fee if is_usdt else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """State of one order at exchange_ts, its updatedTime (Bybit `order` object).

    status is the exchange's word. price is None or 0 for a market order.
    """

    account_id: str
    run_id: str
    symbol: str
    order_id: str
    order_link_id: str | None = None
    side: SideType
    direction: DirectionType | None = None
    order_type: str
    time_in_force: str | None = None
    status: str
    price: Decimal | None = None
    qty: Decimal
    leaves_qty: Decimal | None = None
    cum_exec_qty: Decimal | None = None
    avg_price: Decimal | None = None
    reduce_only: bool
    reject_reason: str | None = None
    cancel_type: str | None = None
    created_ts: datetime | None = None
    exchange_ts: datetime
    local_ts: datetime
    raw_json: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSnapshotRecord:
    """One leg of a symbol (Bybit `position` object). Money is USDT, size base coin, 0 or more.

    realised_pnl is that of the position now open, cum_realised_pnl that of the leg's whole life.
    """

    account_id: str
    run_id: str | None = None
    symbol: str
    direction: DirectionType
    source: SnapshotSource
    size: Decimal
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liq_price: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    realised_pnl: Decimal | None = None
    cum_realised_pnl: Decimal | None = None
    position_value: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    leverage: Decimal | None = None
    seq: int | None = None
    exchange_ts: datetime
    local_ts: datetime
    raw_json: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSnapshotRecord:
    """One coin of a wallet (Bybit `wallet` object), in that coin.

    What is called account_… is the account's own figure, in USD; the two ratios are fractions.
    """

    account_id: str
    run_id: str | None = None
    coin: str
    wallet_balance: Decimal | None = None
    equity: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    cum_realised_pnl: Decimal | None = None
    locked: Decimal | None = None
    total_order_im: Decimal | None = None
    total_position_im: Decimal | None = None
    total_position_mm: Decimal | None = None
    account_equity_usd: Decimal | None = None
    account_wallet_balance_usd: Decimal | None = None
    account_margin_balance_usd: Decimal | None = None
    account_available_balance_usd: Decimal | None = None
    account_initial_margin_usd: Decimal | None = None
    account_maintenance_margin_usd: Decimal | None = None
    account_im_ratio: Decimal | None = None
    account_mm_ratio: Decimal | None = None
    exchange_ts: datetime
    local_ts: datetime
    raw_json: str | None = None
