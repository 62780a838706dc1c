"""Rows of private facts, as REST and the private stream give them, parsed into records."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row
from bybit_adapter.records.account import (
    USDT,
    AccountInfo,
    CoinBalance,
    Execution,
    FeeRates,
    Order,
    Position,
    TransactionLogEntry,
    Wallet,
)
from bybit_adapter.records.execution_kind import kind_of
from gridcore import DirectionType

_LEGS = {0: None, 1: DirectionType.LONG, 2: DirectionType.SHORT}


def parse_execution(row: Row) -> Execution:
    """Parse one execution. A trade without its order or closed size does not fit."""
    exec_type, create_type = row.text("execType"), row.opt_text("createType", "UNKNOWN")
    kind = kind_of(exec_type, create_type)
    is_trade = kind.is_fill
    if is_trade and not row.has("closedSize"):
        # Without it an opening fill cannot be told from one that closes the other leg.
        raise row.bad("closedSize", "it is missing")
    return Execution(
        symbol=row.text("symbol"),
        time=row.time("execTime"),
        exec_id=row.text("execId"),
        kind=kind,
        exec_type=exec_type,
        order_id=row.text("orderId") if is_trade else row.opt_text("orderId"),
        order_link_id=row.opt_text("orderLinkId"),
        side=row.side("side") if is_trade else row.opt_side("side"),
        price=row.price("execPrice") if is_trade else row.size("execPrice"),
        qty=row.price("execQty") if is_trade else row.size("execQty"),
        fee=row.number("execFee") if is_trade else row.opt_number("execFee"),
        fee_currency=row.opt_text("feeCurrency") or USDT,  # "" is the coin of the contract
        fee_rate=row.opt_number("feeRate"),
        closed_size=row.opt_size("closedSize"),
        closed_pnl=row.opt_number("execPnl"),
        leaves_qty=row.size("leavesQty") if is_trade else row.opt_size("leavesQty"),
        order_price=row.opt_price("orderPrice"),
        order_qty=row.opt_price("orderQty"),
        order_type=row.opt_text("orderType", "UNKNOWN"),
        is_maker=row.opt_flag("isMaker"),
        mark_price=row.opt_price("markPrice"),
        seq=row.opt_integer("seq"),
        create_type=create_type,
        raw_json=row.raw_json(),
    )


def parse_order(row: Row) -> Order:
    """Parse one order of the stream, of the open orders or of the history."""
    order_type = row.text("orderType")
    return Order(
        symbol=row.text("symbol"),
        order_id=row.text("orderId"),
        order_link_id=row.opt_text("orderLinkId"),
        side=row.side("side"),
        direction=_leg(row),
        order_type=order_type,
        time_in_force=row.opt_text("timeInForce"),
        status=row.text("orderStatus"),
        # A market order has no price of its own; Bybit shows 0 or its internal limit.
        price=row.price("price") if order_type == "Limit" else row.opt_price("price"),
        qty=row.size("qty"),
        leaves_qty=row.opt_size("leavesQty"),
        cum_exec_qty=row.opt_size("cumExecQty"),
        cum_exec_value=row.opt_size("cumExecValue"),
        avg_price=row.opt_price("avgPrice"),
        cum_fees=_fees_by_coin(row),
        reduce_only=row.flag("reduceOnly"),
        trigger_price=row.opt_price("triggerPrice"),
        stop_order_type=row.opt_text("stopOrderType", "UNKNOWN"),
        create_type=row.opt_text("createType", "UNKNOWN"),
        cancel_type=row.opt_text("cancelType", "UNKNOWN"),
        reject_reason=row.opt_text("rejectReason", "EC_NoError"),
        closed_pnl=row.opt_number("closedPnl"),
        created=row.opt_time("createdTime"),
        updated=row.time("updatedTime"),
        raw_json=row.raw_json(),
    )


def _fees_by_coin(row: Row) -> dict[str, Decimal]:
    if not row.has("cumFeeDetail"):
        return {}
    detail = row.child("cumFeeDetail")
    paid = {coin: detail.opt_number(coin) for coin in detail.fields()}
    return {coin: fee for coin, fee in paid.items() if fee is not None}


def _leg(row: Row) -> DirectionType | None:
    index = row.integer("positionIdx")
    if index not in _LEGS:
        raise row.bad("positionIdx", f"{index} is none of 0, 1 and 2")
    return _LEGS[index]


def parse_stream_position(row: Row, sent: datetime) -> Position:
    """Parse one leg of a position frame, as of its last change; `sent` for one never changed."""
    return _parse_position(row, "entryPrice", row.opt_time("updatedTime") or sent)


def parse_rest_position(row: Row, as_of: datetime) -> Position:
    """Parse one row of position/list, as of the time of the answer."""
    return _parse_position(row, "avgPrice", as_of)


def _parse_position(row: Row, entry_name: str, as_of: datetime) -> Position:
    size = row.size("size")
    return Position(
        symbol=row.text("symbol"),
        direction=_leg(row),
        side=row.opt_side("side"),
        size=size,
        entry_price=row.price(entry_name) if size else row.opt_price(entry_name),
        mark_price=row.opt_price("markPrice"),
        liq_price=row.opt_price("liqPrice"),
        leverage=row.opt_price("leverage"),
        position_value=row.opt_number("positionValue"),
        initial_margin=row.opt_number("positionIM"),
        maintenance_margin=row.opt_number("positionMM"),
        unrealised_pnl=row.opt_number("unrealisedPnl"),
        realised_pnl=row.opt_number("curRealisedPnl"),
        cum_realised_pnl=row.opt_number("cumRealisedPnl"),
        status=row.opt_text("positionStatus"),
        seq=row.opt_integer("seq"),
        updated=row.opt_time("updatedTime"),
        as_of=as_of,
        raw_json=row.raw_json(),
    )


def parse_wallet(row: Row, as_of: datetime) -> Wallet:
    """Parse one account with its coins. The row has no time: `as_of` is the frame's."""
    return Wallet(
        as_of=as_of,
        account_type=row.opt_text("accountType"),
        total_equity_usd=row.opt_number("totalEquity"),
        total_wallet_balance_usd=row.opt_number("totalWalletBalance"),
        total_margin_balance_usd=row.opt_number("totalMarginBalance"),
        total_available_balance_usd=row.opt_number("totalAvailableBalance"),
        total_initial_margin_usd=row.opt_number("totalInitialMargin"),
        total_maintenance_margin_usd=row.opt_number("totalMaintenanceMargin"),
        initial_margin_ratio=row.opt_number("accountIMRate"),
        maintenance_margin_ratio=row.opt_number("accountMMRate"),
        coins=tuple(_parse_coin(coin) for coin in row.rows("coin")),
        raw_json=row.raw_json(),
    )


def _parse_coin(row: Row) -> CoinBalance:
    return CoinBalance(
        coin=row.text("coin"),
        wallet_balance=row.opt_number("walletBalance"),
        equity=row.opt_number("equity"),
        usd_value=row.opt_number("usdValue"),
        unrealised_pnl=row.opt_number("unrealisedPnl"),
        cum_realised_pnl=row.opt_number("cumRealisedPnl"),
        locked=row.opt_number("locked"),
        order_initial_margin=row.opt_number("totalOrderIM"),
        position_initial_margin=row.opt_number("totalPositionIM"),
        position_maintenance_margin=row.opt_number("totalPositionMM"),
    )


def parse_account_info(row: Row) -> AccountInfo:
    """Parse the result of account/info."""
    return AccountInfo(
        unified_margin_status=row.integer("unifiedMarginStatus"),
        margin_mode=row.text("marginMode"),
        updated=row.opt_time("updatedTime"),
    )


def parse_fee_rates(row: Row) -> FeeRates:
    """Parse one row of account/fee-rate."""
    return FeeRates(
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
