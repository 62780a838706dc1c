"""Orders, executions, positions and money as rows of the wire.

Field names and types: recorded answers and docs/exchange.md, "Fields of an order", "Executions",
"Positions and hedge mode", "Wallet" and "Account". REST and WebSocket rows differ in a few names;
the differences are arguments here.
"""

from __future__ import annotations

from decimal import Decimal

from gridcore import DirectionType, LegMargin
from paper_exchange.basics.wire import Row, money, plain
from paper_exchange.book.account import LEGS, MarginMode, PaperAccount
from paper_exchange.book.orders import ClosedPnl, ExecType, LedgerEntry, PaperExecution, PaperOrder
from paper_exchange.market.listing import Listing
from paper_exchange.market.market import Market

ZERO = Decimal(0)
COIN = "USDT"
CATEGORY = "linear"
PRICE_PLACES = Decimal("1E-8")
RATE_PLACES = Decimal("1E-4")


def order_row(order: PaperOrder, listing: Listing) -> Row:
    """Return an order as order/realtime and order/history show it."""
    leaves = order.leaves_qty
    average = order.filled_value / order.filled_qty if order.filled_qty else ZERO
    last = order.last_price_on_created
    price = listing.price_text(order.price)
    return {
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": price,
        "qty": listing.qty_text(order.qty),
        "side": order.side.value,
        "isLeverage": "",
        "positionIdx": order.position_idx,
        "orderStatus": order.status.value,
        "createType": order.create_type,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": plain(average.quantize(PRICE_PLACES)) if order.filled_qty else "",
        "leavesQty": listing.qty_text(leaves),
        "leavesValue": money(leaves * order.price),
        "cumExecQty": listing.qty_text(order.filled_qty),
        "cumExecValue": money(order.filled_value),
        "cumExecFee": money(order.fee),
        "cumFeeDetail": _fees(order),
        "timeInForce": order.time_in_force.value,
        "orderType": order.order_type.value,
        "stopOrderType": "",
        "orderIv": "",
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "ocoTriggerBy": "",
        "lastPriceOnCreated": "" if last is None else listing.price_text(last),
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "placeType": "",
        "marketUnit": "",
        "parentOrderLinkId": "",
        "slippageToleranceType": "UNKNOWN",
        "slippageTolerance": "",
        "extraFees": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def _fees(order: PaperOrder) -> dict[str, str]:
    """Return what was paid of each coin; nothing for an order without a fill."""
    if not order.filled_qty:
        return {}
    in_mnt = {"MNT": money(order.fee_mnt)} if order.fee_mnt else {}
    return {COIN: money(order.fee), **in_mnt} if order.fee or not in_mnt else in_mnt


def order_frame_row(order: PaperOrder, listing: Listing) -> Row:
    """Return an order as the `order` topic shows it."""
    row = order_row(order, listing)
    row["category"] = CATEGORY
    row["closedPnl"] = money(order.closed_pnl)
    row["feeCurrency"] = ""
    return row


def execution_row(execution: PaperExecution, listing: Listing) -> Row:
    """Return an execution as execution/list shows it."""
    price = listing.price_text
    return {
        "symbol": execution.symbol,
        "orderId": execution.order_id,
        "orderLinkId": execution.link_id,
        "side": execution.side.value,
        "orderPrice": price(execution.order_price),
        "orderQty": listing.qty_text(execution.order_qty),
        "leavesQty": listing.qty_text(execution.leaves_qty),
        "createType": execution.create_type,
        "orderType": execution.order_type,
        "stopOrderType": "UNKNOWN",
        "execId": execution.exec_id,
        "execPrice": plain(execution.price),
        "execQty": listing.qty_text(execution.qty),
        "execValue": money(execution.qty * execution.price),
        "execType": execution.exec_type.value,
        "execTime": str(execution.ts_ms),
        "execFee": money(execution.fee),
        "feeRate": plain(execution.fee_rate),
        "feeCurrency": execution.fee_coin if execution.exec_type is ExecType.TRADE else "",
        "isMaker": execution.is_maker,
        "markPrice": plain(execution.mark_price),
        "closedSize": listing.qty_text(execution.closed_size),
        "seq": execution.seq,
        "blockTradeId": "",
        "extraFees": "",
        "isLeverage": "0",
        "marketUnit": "",
        "tradeIv": "",
        "markIv": "",
        "indexPrice": "",
        "underlyingPrice": "",
    }


def execution_frame_row(execution: PaperExecution, listing: Listing) -> Row:
    """Return an execution as the `execution` topic shows it."""
    row = execution_row(execution, listing)
    row["category"] = CATEGORY
    row["execPnl"] = money(execution.pnl)
    return row


def fast_execution_row(execution: PaperExecution, listing: Listing) -> Row:
    """Return an execution as the `execution.fast` topic shows it."""
    return {
        "category": CATEGORY,
        "symbol": execution.symbol,
        "execId": execution.exec_id,
        "execPrice": plain(execution.price),
        "execQty": listing.qty_text(execution.qty),
        "orderId": execution.order_id,
        "isMaker": execution.is_maker,
        # the real exchange leaves it out of maker fills
        "orderLinkId": "" if execution.is_maker else execution.link_id,
        "side": execution.side.value,
        "execTime": str(execution.ts_ms),
        "seq": execution.seq,
    }


def position_rows(
    account: PaperAccount, market: Market, legs: tuple[DirectionType, ...] = LEGS
) -> list[Row]:
    """Return legs as position/list shows them."""
    book = account.book(market.listing)
    book.pair.mark_price = market.mark
    if not book.hedge_mode:
        return [_empty_row(account, market)]
    margins: tuple[LegMargin, LegMargin] = (LegMargin(ZERO, ZERO), LegMargin(ZERO, ZERO))
    if book.pair.is_open:
        margins = book.pair.margins()
    both = dict(zip(LEGS, margins, strict=True))
    return [_leg_row(account, market, direction, both[direction]) for direction in legs]


def _leg_row(
    account: PaperAccount, market: Market, direction: DirectionType, margin: LegMargin
) -> Row:
    listing = market.listing
    book = account.book(listing)
    leg, record = book.pair.leg(direction), book.legs[direction]
    mark = market.mark
    risk_id, limit = _tier(market, (book.pair.long.size + book.pair.short.size) * (mark or ZERO))
    initial, maintenance = money(margin.initial), money(margin.maintenance)
    return {
        "positionIdx": 1 if direction is DirectionType.LONG else 2,
        "tradeMode": 0,
        "riskId": risk_id,
        "riskLimitValue": limit,
        "symbol": market.symbol,
        "side": direction.opening_side.value if leg.size else "",
        "size": listing.qty_text(leg.size) if leg.size else "0",
        "avgPrice": plain(leg.entry_price.quantize(PRICE_PLACES)) if leg.size else "0",
        "sessionAvgPrice": "",
        "positionValue": money(leg.cost) if leg.size else "",
        "positionStatus": record.status,
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if leg.size else 0,
        "leverage": plain(leg.leverage),
        "positionBalance": "0",
        "markPrice": "" if mark is None else plain(mark),
        "liqPrice": _liquidation_text(account, market, direction),
        "bustPrice": "",
        "breakEvenPrice": _break_even(account, market, direction),
        "positionIM": initial,
        "positionIMByMp": initial,
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "tpslMode": "Full",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": money(leg.unrealised_pnl(mark)) if leg.size and mark else "",
        "curRealisedPnl": money(record.realised),
        "cumRealisedPnl": money(record.realised_ever),
        "seq": record.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(record.created_ms),
        "updatedTime": str(record.updated_ms),
        "openTime": record.opened_ms,
    }


def _empty_row(account: PaperAccount, market: Market) -> Row:
    row = _leg_row(account, market, DirectionType.LONG, LegMargin(ZERO, ZERO))
    row["positionIdx"] = 0
    return row


def _tier(market: Market, value: Decimal) -> tuple[int, str]:
    rows = market.listing.risk_rows
    place = market.listing.tiers.tiers.index(market.listing.tiers.for_value(value))
    row = rows[place]
    return int(row["id"]), str(row["riskLimitValue"])


def _liquidation_text(account: PaperAccount, market: Market, direction: DirectionType) -> str:
    book = account.book(market.listing)
    if not book.pair.leg(direction).size or market.mark is None:
        return ""
    price = account.money.liquidation_price(book.pair, direction)
    listing = market.listing
    if price is None or not listing.min_price < price < listing.max_price:
        return ""
    return plain(price.quantize(PRICE_PLACES))


def _break_even(account: PaperAccount, market: Market, direction: DirectionType) -> str:
    """Return (entry x qty - realised) / (qty - qty x taker rate); a short mirrors it."""
    book = account.book(market.listing)
    leg, record = book.pair.leg(direction), book.legs[direction]
    if not leg.size:
        return ""
    rate = max(account.money.fees.taker, Decimal("0.00055"))
    if direction is DirectionType.LONG:
        price = (leg.cost - record.realised) / (leg.size * (1 - rate))
    else:
        price = (leg.cost + record.realised) / (leg.size * (1 + rate))
    return plain(price.quantize(PRICE_PLACES))


def position_frame_rows(
    account: PaperAccount, market: Market, legs: tuple[DirectionType, ...]
) -> list[Row]:
    """Return legs as the `position` topic shows them."""
    rows = position_rows(account, market, legs)
    for row in rows:
        row["entryPrice"] = row.pop("avgPrice")
        row["category"] = CATEGORY
    return rows


def wallet_row(account: PaperAccount) -> Row:
    """Return the account as wallet-balance and the `wallet` topic show it. One USDT is one USD.

    MNT counts in what there is, and is no collateral. The account-wide margin figures do not apply
    to isolated margin and are empty there.
    """
    funds, mnt = account.money, account.mnt
    unrealised, position_margin, order_margin, maintenance = funds.totals()
    equity = funds.wallet + unrealised
    initial = order_margin + position_margin
    rates = [
        plain((part / equity).quantize(RATE_PLACES)) if equity > 0 else "0"
        for part in (initial, maintenance)
    ]
    total_maintenance, profit = money(maintenance), money(unrealised)
    beside = mnt.balance * mnt.price if mnt.is_shown else ZERO
    margins = {
        "accountIMRate": rates[0],
        "accountIMRateByMp": rates[0],
        "accountMMRate": rates[1],
        "accountMMRateByMp": rates[1],
        "totalMarginBalance": money(equity),
        "totalAvailableBalance": money(max(ZERO, equity - initial)),
        "totalInitialMargin": money(initial),
        "totalInitialMarginByMp": money(initial),
        "totalMaintenanceMargin": total_maintenance,
        "totalMaintenanceMarginByMp": total_maintenance,
    }
    if account.margin_mode is MarginMode.ISOLATED:
        margins = dict.fromkeys(margins, "")
    usdt = _coin_row(COIN, equity, funds.wallet, Decimal(1)) | {
        "totalOrderIM": money(order_margin),
        "totalPositionIM": money(position_margin),
        "totalPositionMM": total_maintenance,
        "unrealisedPnl": profit,
        "cumRealisedPnl": money(funds.realised_pnl - funds.fees_paid - funds.funding_paid),
        "marginCollateral": True,
        "collateralSwitch": True,
    }
    coins = [usdt]
    if mnt.is_shown:
        coins.append(_coin_row("MNT", mnt.balance, mnt.balance, mnt.price))
    return {
        "accountType": "UNIFIED",
        "accountLTV": "",
        "totalEquity": money(equity + beside),
        "totalWalletBalance": money(funds.wallet + beside),
        "totalPerpUPL": profit,
        **margins,
        "coin": coins,
    }


def _coin_row(coin: str, equity: Decimal, balance: Decimal, price: Decimal) -> Row:
    """Return one coin of the wallet, without positions in it and without use as collateral."""
    return {
        "coin": coin,
        "equity": money(equity),
        "usdValue": money(equity * price),
        "walletBalance": money(balance),
        "free": "",
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "availableToBorrow": "",
        "availableToWithdraw": "",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": "0",
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "marginCollateral": False,
        "collateralSwitch": False,
        "colRes": "0",
        "spotBorrow": "0",
    }


def ledger_row(entry: LedgerEntry, uid: int) -> Row:
    """Return a change of the wallet as transaction-log shows it."""
    return {
        "id": f"{uid}_{entry.symbol or entry.currency}_{entry.number}",
        "symbol": entry.symbol,
        "category": CATEGORY if entry.symbol else "",
        "side": entry.side,
        "transactionTime": str(entry.ts_ms),
        "type": entry.kind,
        "transSubType": "",
        "qty": plain(entry.qty),
        "size": plain(entry.size),
        "currency": entry.currency,
        "tradePrice": "" if entry.price is None else plain(entry.price),
        "funding": "" if entry.funding is None else money(entry.funding),
        "fee": money(entry.fee),
        "cashFlow": money(entry.cash_flow),
        "change": money(entry.change),
        "cashBalance": money(entry.balance),
        "feeRate": "" if entry.fee_rate is None else plain(entry.fee_rate),
        "bonusChange": "",
        "tradeId": entry.trade_id,
        "orderId": entry.order_id,
        "orderLinkId": entry.link_id,
        "extraFees": "",
    }


def closed_pnl_row(closed: ClosedPnl, listing: Listing) -> Row:
    """Return a closing order as closed-pnl shows it."""
    size = closed.closed_size
    return {
        "symbol": closed.symbol,
        "orderId": closed.order_id,
        "side": closed.side.value,
        "qty": listing.qty_text(closed.order_qty),
        "orderPrice": listing.price_text(closed.order_price),
        "orderType": closed.order_type.value,
        # closed-pnl has one word for both ways in which a contract ends
        "execType": (
            ExecType.SETTLE if closed.exec_type is ExecType.DELIVERY else closed.exec_type
        ).value,
        "closedSize": listing.qty_text(size),
        "cumEntryValue": money(closed.entry_value),
        "avgEntryPrice": plain((closed.entry_value / size).quantize(PRICE_PLACES)),
        "cumExitValue": money(closed.exit_value),
        "avgExitPrice": plain((closed.exit_value / size).quantize(PRICE_PLACES)),
        "closedPnl": money(closed.net_pnl),
        "fillCount": str(closed.fills),
        "leverage": plain(closed.leverage),
        "openFee": money(closed.open_fee),
        "closeFee": money(closed.close_fee),
        "createdTime": str(closed.created_ms),
        "updatedTime": str(closed.updated_ms),
    }
