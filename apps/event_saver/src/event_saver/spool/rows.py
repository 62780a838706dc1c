"""The kinds of rows that are captured, and how a batch of each is stored.

The functions here are the only place where captured rows meet the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from grid_db import (
    EXECUTION_TABLE,
    ORDER_TABLE,
    POSITION_TABLE,
    TICKER_TABLE,
    TRADE_TABLE,
    WALLET_TABLE,
    CaptureGapRecord,
    MarketGapRepository,
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    PublicTradeRecord,
    TenantScope,
    TickerSnapshotRecord,
    WalletSnapshotRecord,
)

Store = Callable[[Session, str | None, Sequence[Any]], int]


@dataclass(frozen=True, slots=True)
class RowKind:
    """One kind of rows.

    `store` writes records of one user (None for what belongs to nobody) and returns how many were
    not there before. `is_public` rows are given up first when there is no room left for all.
    """

    name: str
    record_type: type[Any]
    store: Store
    is_public: bool = False


@dataclass(slots=True, eq=False)
class Batch:
    """Rows of one kind and one user on their way.

    `on_disk` tells that the spool has them, `is_lost` that it had no room for them.
    """

    kind: RowKind
    user_id: str | None
    records: Sequence[Any]
    on_disk: bool = False
    is_lost: bool = False


def _store_trades(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    return TRADE_TABLE.insert(session, records)


def _store_tickers(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    return TICKER_TABLE.insert(session, records)


def _store_executions(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    # a spool of a version that did not know the coin of a fee has it in the raw form only
    known = [one if one.fee_currency else with_fee_currency(one) for one in records]
    return EXECUTION_TABLE.insert(session, str(user_id), known)


def with_fee_currency(record: PrivateExecutionRecord) -> PrivateExecutionRecord:
    """Return an execution with the coin of its fee as its raw JSON tells it; "" there is USDT."""
    try:
        raw = json.loads(record.raw_json or "")
    except ValueError:
        return record
    told = raw.get("feeCurrency") if isinstance(raw, dict) else None
    return replace(record, fee_currency=told) if told and isinstance(told, str) else record


def _store_orders(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    return ORDER_TABLE.upsert(session, str(user_id), records)


def _store_positions(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    # of several states told for one moment the last is the one that holds
    latest = {(r.account_id, r.symbol, r.direction, r.exchange_ts): r for r in records}
    return POSITION_TABLE.upsert(session, str(user_id), latest.values())


def _store_wallets(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    # as above: several fills of one millisecond change a wallet several times
    latest = {(r.account_id, r.coin, r.exchange_ts): r for r in records}
    return WALLET_TABLE.upsert(session, str(user_id), latest.values())


def _store_gaps(session: Session, user_id: str | None, records: Sequence[Any]) -> int:
    save = (
        MarketGapRepository(session).save
        if user_id is None
        else TenantScope(session, user_id).capture_gaps.save
    )
    for record in records:
        save(record)
    return len(records)


TRADES = RowKind("trades", PublicTradeRecord, _store_trades, is_public=True)
TICKERS = RowKind("tickers", TickerSnapshotRecord, _store_tickers, is_public=True)
EXECUTIONS = RowKind("executions", PrivateExecutionRecord, _store_executions)
ORDERS = RowKind("orders", OrderRecord, _store_orders)
POSITIONS = RowKind("positions", PositionSnapshotRecord, _store_positions)
WALLET = RowKind("wallet", WalletSnapshotRecord, _store_wallets)
GAPS = RowKind("gaps", CaptureGapRecord, _store_gaps)

KINDS = MappingProxyType(
    {kind.name: kind for kind in (GAPS, EXECUTIONS, ORDERS, POSITIONS, WALLET, TRADES, TICKERS)}
)
