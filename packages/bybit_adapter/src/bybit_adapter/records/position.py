"""One leg of a symbol, and what a strategy is told of it.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row
from bybit_adapter.records.tags import NO_TAGS, Tags
from bybit_adapter.records.wallet import Wallet
from gridcore import AccountEvent, DirectionType, LegSnapshot, SideType


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRecord:
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


def account_event(
    symbol: str,
    *,
    as_of: datetime,
    local_ts: datetime,
    positions: Iterable[PositionRecord] = (),
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


def parse_stream_position(row: Row, sent: datetime) -> PositionRecord:
    """Parse one leg of a position frame, as of its last change; `sent` for one never changed."""
    return _parse_position(row, "entryPrice", row.opt_time("updatedTime") or sent)


def parse_rest_position(row: Row, as_of: datetime) -> PositionRecord:
    """Parse one row of position/list, as of the time of the answer."""
    return _parse_position(row, "avgPrice", as_of)


def _parse_position(row: Row, entry_name: str, as_of: datetime) -> PositionRecord:
    size = row.size("size")
    return PositionRecord(
        symbol=row.text("symbol"),
        direction=row.leg("positionIdx"),
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
