"""Updates of the adapter turned into records of the database, one function per stream.

Each takes the updates of one frame (or of one REST answer, see `as_update`) and gives the records
to be stored, in the same order. What has no place in a table is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bybit_adapter import (
    CoinBalance,
    ExecutionRecord,
    Order,
    PositionRecord,
    StreamKind,
    StreamUpdate,
    Ticker,
    Trade,
    Wallet,
)
from bybit_adapter.records.normalizer import Record
from event_saver.basics.owner import Owner
from grid_db import (
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    TickerSnapshotRecord,
    WalletSnapshotRecord,
)
from gridcore import PublicTradeEvent

Updates = Iterable[StreamUpdate]


def as_update(kind: StreamKind, record: Record, local_ts: datetime) -> StreamUpdate:
    """Return a record that REST gave in the form in which the streams give theirs."""
    event = record.to_event(local_ts) if isinstance(record, Trade) else None
    symbol = None if isinstance(record, Wallet) else record.symbol
    return StreamUpdate(kind=kind, symbol=symbol, record=record, event=event, local_ts=local_ts)


def trade_records(updates: Updates, owner: Owner | None = None) -> list[PublicTradeEvent]:
    """Return the trades; the table takes the events as they are."""
    return [u.event for u in updates if isinstance(u.event, PublicTradeEvent)]


def ticker_records(updates: Updates, owner: Owner | None = None) -> list[TickerSnapshotRecord]:
    """Return the states of markets whose last price is known."""
    return [
        TickerSnapshotRecord(
            symbol=ticker.symbol,
            exchange_ts=ticker.time,
            local_ts=update.local_ts,
            last_price=ticker.last_price,
            mark_price=ticker.mark_price,
            index_price=ticker.index_price,
            bid1_price=ticker.bid1_price,
            bid1_size=ticker.bid1_size,
            ask1_price=ticker.ask1_price,
            ask1_size=ticker.ask1_size,
            funding_rate=ticker.funding_rate,
            next_funding_ts=ticker.next_funding_time,
        )
        for update in updates
        if isinstance(ticker := update.record, Ticker) and ticker.last_price is not None
    ]


def execution_records(updates: Updates, owner: Owner) -> list[PrivateExecutionRecord]:
    """Return the executions of every kind, funding and liquidations included.

    An execution belongs to a run; an owner without one has none.
    """
    if owner.run_id is None:
        return []
    return [
        execution_record(update.record, owner, owner.run_id, update.local_ts)
        for update in updates
        if isinstance(update.record, ExecutionRecord)
    ]


def execution_record(
    execution: ExecutionRecord, owner: Owner, run_id: str, local_ts: datetime
) -> PrivateExecutionRecord:
    """Return one execution as it is stored."""
    return PrivateExecutionRecord(
        account_id=owner.account_id,
        run_id=run_id,
        symbol=execution.symbol,
        exec_id=execution.exec_id,
        # a payment of funding may have no order
        order_id=execution.order_id or "",
        order_link_id=execution.order_link_id,
        exec_type=execution.exec_type,
        side=execution.side,  # type: ignore[arg-type]  # the database refuses None
        direction=execution.direction,
        exec_price=execution.price,
        exec_qty=execution.qty,
        exec_fee=execution.fee,
        fee_rate=execution.fee_rate,
        closed_pnl=execution.closed_pnl,
        closed_size=execution.closed_size,
        leaves_qty=execution.leaves_qty,
        is_maker=execution.is_maker,
        seq=execution.seq,
        exchange_ts=execution.time,
        local_ts=local_ts,
        raw_json=execution.raw_json,
        fee_currency=execution.fee_currency,
    )


def order_records(updates: Updates, owner: Owner) -> list[OrderRecord]:
    """Return the states of orders. They belong to a run; an owner without one has none."""
    if owner.run_id is None:
        return []
    return [
        order_record(update.record, owner, owner.run_id, update.local_ts)
        for update in updates
        if isinstance(update.record, Order)
    ]


def order_record(order: Order, owner: Owner, run_id: str, local_ts: datetime) -> OrderRecord:
    """Return one state of an order as it is stored."""
    return OrderRecord(
        account_id=owner.account_id,
        run_id=run_id,
        symbol=order.symbol,
        order_id=order.order_id,
        order_link_id=order.order_link_id,
        side=order.side,
        direction=order.direction,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        status=order.status,
        price=order.price,
        qty=order.qty,
        leaves_qty=order.leaves_qty,
        cum_exec_qty=order.cum_exec_qty,
        avg_price=order.avg_price,
        reduce_only=order.reduce_only,
        reject_reason=order.reject_reason,
        cancel_type=order.cancel_type,
        created_ts=order.created,
        exchange_ts=order.updated,
        local_ts=local_ts,
        raw_json=order.raw_json,
    )


def position_records(updates: Updates, owner: Owner) -> list[PositionSnapshotRecord]:
    """Return the legs; a position outside hedge mode is no leg and is left out."""
    records = (
        position_record(update.record, owner, owner.run_id, update.local_ts)
        for update in updates
        if isinstance(update.record, PositionRecord)
    )
    return [record for record in records if record is not None]


def position_record(
    position: PositionRecord, owner: Owner, run_id: str | None, local_ts: datetime
) -> PositionSnapshotRecord | None:
    """Return one leg as it is stored, None outside hedge mode."""
    if position.direction is None:
        return None
    return PositionSnapshotRecord(
        account_id=owner.account_id,
        run_id=run_id,
        symbol=position.symbol,
        direction=position.direction,
        source=owner.source,
        size=position.size,
        entry_price=position.entry_price,
        mark_price=position.mark_price,
        liq_price=position.liq_price,
        unrealised_pnl=position.unrealised_pnl,
        realised_pnl=position.realised_pnl,
        cum_realised_pnl=position.cum_realised_pnl,
        position_value=position.position_value,
        initial_margin=position.initial_margin,
        maintenance_margin=position.maintenance_margin,
        leverage=position.leverage,
        seq=position.seq,
        exchange_ts=position.as_of,
        local_ts=local_ts,
        raw_json=position.raw_json,
    )


def wallet_records(updates: Updates, owner: Owner) -> list[WalletSnapshotRecord]:
    """Return a record for each coin that the wallet lists."""
    return [
        wallet_record(update.record, coin, owner, owner.run_id, update.local_ts)
        for update in updates
        if isinstance(update.record, Wallet)
        for coin in update.record.coins
    ]


def wallet_record(
    wallet: Wallet, coin: CoinBalance, owner: Owner, run_id: str | None, local_ts: datetime
) -> WalletSnapshotRecord:
    """Return one coin of a wallet, with the account's own figures, as it is stored."""
    return WalletSnapshotRecord(
        account_id=owner.account_id,
        run_id=run_id,
        coin=coin.coin,
        wallet_balance=coin.wallet_balance,
        equity=coin.equity,
        unrealised_pnl=coin.unrealised_pnl,
        cum_realised_pnl=coin.cum_realised_pnl,
        locked=coin.locked,
        total_order_im=coin.order_initial_margin,
        total_position_im=coin.position_initial_margin,
        total_position_mm=coin.position_maintenance_margin,
        account_equity_usd=wallet.total_equity_usd,
        account_wallet_balance_usd=wallet.total_wallet_balance_usd,
        account_margin_balance_usd=wallet.total_margin_balance_usd,
        account_available_balance_usd=wallet.total_available_balance_usd,
        account_initial_margin_usd=wallet.total_initial_margin_usd,
        account_maintenance_margin_usd=wallet.total_maintenance_margin_usd,
        account_im_ratio=wallet.initial_margin_ratio,
        account_mm_ratio=wallet.maintenance_margin_ratio,
        exchange_ts=wallet.as_of,
        local_ts=local_ts,
        raw_json=wallet.raw_json,
    )
