"""How an account is set up, what it pays, and what changed its wallet.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row
from gridcore import SideType


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
class SymbolFeeRates:
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


def parse_account_info(row: Row) -> AccountInfo:
    """Parse the result of account/info."""
    return AccountInfo(
        unified_margin_status=row.integer("unifiedMarginStatus"),
        margin_mode=row.text("marginMode"),
        updated=row.opt_time("updatedTime"),
    )


def parse_fee_rates(row: Row) -> SymbolFeeRates:
    """Parse one row of account/fee-rate."""
    return SymbolFeeRates(
        symbol=row.text("symbol"),
        maker=row.number("makerFeeRate"),
        taker=row.number("takerFeeRate"),
    )


def parse_transaction(row: Row) -> TransactionLogEntry:
    """Parse one row of account/transaction-log."""
    return TransactionLogEntry(
        entry_id=row.text("id"),
        time=row.time("transactionTime"),
        entry_type=row.text("type"),
        symbol=row.opt_text("symbol"),
        category=row.opt_text("category"),
        side=row.opt_side("side"),
        currency=row.text("currency"),
        qty=row.opt_number("qty"),
        size=row.opt_number("size"),
        trade_price=row.opt_price("tradePrice"),
        funding=row.opt_number("funding"),
        fee=row.opt_number("fee"),
        fee_rate=row.opt_number("feeRate"),
        cash_flow=row.opt_number("cashFlow"),
        change=row.opt_number("change"),
        cash_balance=row.opt_number("cashBalance"),
        trade_id=row.opt_text("tradeId"),
        order_id=row.opt_text("orderId"),
        order_link_id=row.opt_text("orderLinkId"),
        raw_json=row.raw_json(),
    )
