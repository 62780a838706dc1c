"""One execution of an account.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from bybit_adapter.basics.row import Readings, Row
from bybit_adapter.records.execution_type import ExecutionType, kind_of
from bybit_adapter.records.tags import NO_TAGS, Tags
from gridcore import DirectionType, ExecutionEvent, SideType, direction_of

USDT = "USDT"
ZERO = Decimal(0)
_LEGS = {
    (side, closing): direction_of(side, closing=closing)
    for side in SideType
    for closing in (False, True)
}


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
            return _LEGS[self.side, False]
        return _LEGS[self.side, bool(self._closed)]

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


_WORDS: Readings = {
    "execType": ("exec_type", Row.text),
    "createType": ("create_type", Row.opt_word),
}
_OF_ALL: Readings = {
    "symbol": ("symbol", Row.text),
    "execTime": ("time", Row.time),
    "execId": ("exec_id", Row.text),
    "orderLinkId": ("order_link_id", Row.opt_text),
    "feeCurrency": ("fee_currency", Row.opt_text),
    "feeRate": ("fee_rate", Row.opt_number),
    "execPnl": ("closed_pnl", Row.opt_number),
    "orderPrice": ("order_price", Row.opt_price),
    "orderQty": ("order_qty", Row.opt_price),
    "orderType": ("order_type", Row.opt_word),
    "isMaker": ("is_maker", Row.opt_flag),
    "markPrice": ("mark_price", Row.opt_price),
    "seq": ("seq", Row.opt_integer),
}
_OF_TRADE: Readings = {
    # without it an opening fill cannot be told from one that closes the other leg
    "closedSize": ("closed_size", Row.told_size),
    "orderId": ("order_id", Row.text),
    "side": ("side", Row.side),
    "execPrice": ("price", Row.price),
    "execQty": ("qty", Row.price),
    "execFee": ("fee", Row.number),
    "leavesQty": ("leaves_qty", Row.size),
    **_OF_ALL,
}
_OF_OTHERS: Readings = {
    "closedSize": ("closed_size", Row.opt_size),
    "orderId": ("order_id", Row.opt_text),
    "side": ("side", Row.opt_side),
    "execPrice": ("price", Row.size),
    "execQty": ("qty", Row.size),
    "execFee": ("fee", Row.opt_number),
    "leavesQty": ("leaves_qty", Row.opt_size),
    **_OF_ALL,
}


def parse_execution(row: Row) -> ExecutionRecord:
    """Parse one execution. A trade without its order or closed size does not fit."""
    words = row.read(_WORDS)
    kind = kind_of(**words)
    told = row.read(_OF_TRADE if kind.is_fill else _OF_OTHERS)
    told["fee_currency"] = told["fee_currency"] or USDT  # "" is the coin of the contract
    return ExecutionRecord(kind=kind, raw_json=row.raw_json(), **words, **told)
