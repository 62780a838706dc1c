"""One execution of an account.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Row
from bybit_adapter.records.execution_type import ExecutionType, kind_of
from bybit_adapter.records.tags import NO_TAGS, Tags
from gridcore import DirectionType, ExecutionEvent, SideType, direction_of

USDT = "USDT"
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """One execution: a fill, a funding payment, or something that the exchange did to a leg.

    fee is in fee_currency, paid when positive, a rebate (or funding received) when negative.
    closed_size is what it took off its leg. closed_pnl is realised profit before fees, which only
    the stream tells.
    """

    symbol: str
    time: datetime
    exec_id: str
    kind: ExecutionType
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
        is_forced_trade = self.kind is ExecutionType.FORCED_TRADE
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
        if self.kind is ExecutionType.FUNDING:  # its side is the leg's
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


def parse_execution(row: Row) -> ExecutionRecord:
    """Parse one execution. A trade without its order or closed size does not fit."""
    exec_type, create_type = row.text("execType"), row.opt_text("createType", "UNKNOWN")
    kind = kind_of(exec_type, create_type)
    is_trade = kind.is_fill
    if is_trade and not row.has("closedSize"):
        # Without it an opening fill cannot be told from one that closes the other leg.
        raise row.bad("closedSize", "it is missing")
    return ExecutionRecord(
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
