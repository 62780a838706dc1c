"""Frames of Bybit's streams, turned into records and the strategy's events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.row import Row
from bybit_adapter.records.execution import ExecutionRecord, parse_execution
from bybit_adapter.records.market import Trade, parse_stream_trade
from bybit_adapter.records.order import Order, parse_order
from bybit_adapter.records.position import PositionRecord, parse_stream_position
from bybit_adapter.records.tags import NO_TAGS, Tags
from bybit_adapter.records.ticker import Ticker, TickerMerge
from bybit_adapter.records.wallet import Wallet, parse_wallet
from gridcore import (
    AccountEvent,
    Event,
    ExecutionEvent,
    GridcoreError,
    OrderUpdateEvent,
    PublicTradeEvent,
    TickerEvent,
)

CATEGORY = "linear"

_OF_TICKER = {
    "data": ("data", Row.child),
    "cs": ("sequence", Row.opt_integer),
    "ts": ("time", Row.time),
}

Record = Ticker | Trade | ExecutionRecord | Order | PositionRecord | Wallet


class StreamKind(StrEnum):
    """What a topic carries; the part of its name before the first dot."""

    TICKER = "tickers"
    PUBLIC_TRADE = "publicTrade"
    EXECUTION = "execution"
    ORDER = "order"
    POSITION = "position"
    WALLET = "wallet"

    @property
    def is_private(self) -> bool:
        """Whether it is about one account."""
        return self not in (StreamKind.TICKER, StreamKind.PUBLIC_TRADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUpdate:
    """One row of a frame: what the exchange said, and what of it is an event for a strategy.

    symbol is None for the wallet, which belongs to all. event is None where a strategy has
    nothing to do with it: funding, a liquidation or an ADL (see record.kind), the wallet (see
    account_event), a leg outside hedge mode, a ticker whose last price is unknown; and of a stream
    that was asked for records only.
    """

    kind: StreamKind
    symbol: str | None
    record: Record
    event: Event | None
    local_ts: datetime


class BybitNormalizer:
    """Turns frames of the linear category into updates. Keeps ticker state; not thread-safe.

    Without `tags` (None) updates have no event: for whoever keeps records only.
    """

    def __init__(self, tags: Tags | None = NO_TAGS) -> None:
        self._tags = tags
        self._tickers = TickerMerge()

    def reset(self) -> None:
        """Forget merged ticker state, after a reconnect."""
        self._tickers.reset()

    def normalize(self, frame: object, local_ts: datetime) -> list[StreamUpdate]:
        """Return the updates of one frame, in its order; local_ts (aware) is when it arrived.

        Raises MalformedFrame, and nothing else, for a frame that does not fit. Rows of it that do
        fit are in the error's `fitting`, so that one bad row does not take the others with it.
        """
        row = Row.of_frame(frame)
        kind = _kind_of(row.topic)
        try:
            return self._parse(kind, row, local_ts)
        except (GridcoreError, ArithmeticError) as error:
            raise MalformedFrame(row.topic, "data", str(error)) from error

    def public_trades(self, frame: object, local_ts: datetime) -> list[PublicTradeEvent]:
        """Return the trades of a publicTrade frame."""
        return [e for e in self._events(frame, local_ts) if isinstance(e, PublicTradeEvent)]

    def ticker(self, frame: object, local_ts: datetime) -> TickerEvent | None:
        """Return the merged state after a tickers frame; None while it waits for a snapshot."""
        return next((e for e in self._events(frame, local_ts) if isinstance(e, TickerEvent)), None)

    def executions(self, frame: object, local_ts: datetime) -> list[ExecutionEvent]:
        """Return the trades of an execution frame; other kinds are in `normalize` only."""
        return [e for e in self._events(frame, local_ts) if isinstance(e, ExecutionEvent)]

    def orders(self, frame: object, local_ts: datetime) -> list[OrderUpdateEvent]:
        """Return the updates of an order frame."""
        return [e for e in self._events(frame, local_ts) if isinstance(e, OrderUpdateEvent)]

    def positions(self, frame: object, local_ts: datetime) -> list[AccountEvent]:
        """Return the legs of a position frame, one event each."""
        return [e for e in self._events(frame, local_ts) if isinstance(e, AccountEvent)]

    def wallets(self, frame: object, local_ts: datetime) -> list[Wallet]:
        """Return the accounts of a wallet frame; account_event makes events of them."""
        updates = self.normalize(frame, local_ts)
        return [u.record for u in updates if isinstance(u.record, Wallet)]

    def _events(self, frame: object, local_ts: datetime) -> Iterable[Event | None]:
        return (update.event for update in self.normalize(frame, local_ts))

    def _parse(self, kind: StreamKind, frame: Row, local_ts: datetime) -> list[StreamUpdate]:
        if kind is StreamKind.TICKER:
            return self._parse_ticker(frame, local_ts)
        parse = self._row_parser(kind, frame)
        has_category = kind.is_private
        updates: list[StreamUpdate] = []
        first: MalformedFrame | None = None
        for row in frame.rows("data"):
            try:
                if has_category and row.opt_text("category") not in (None, CATEGORY):
                    continue
                updates.append(self._update(kind, parse(row), local_ts))
            except MalformedFrame as error:
                first = first or error
            except (GridcoreError, ArithmeticError) as error:
                first = first or row.bad("", str(error))
        if first is not None:
            first.fitting = tuple(updates)
            raise first
        return updates

    def _row_parser(self, kind: StreamKind, frame: Row) -> Callable[[Row], Record]:
        match kind:
            case StreamKind.PUBLIC_TRADE:
                return parse_stream_trade
            case StreamKind.EXECUTION:
                return parse_execution
            case StreamKind.ORDER:
                return parse_order
            case StreamKind.POSITION:
                sent = frame.time("creationTime")
                return lambda row: parse_stream_position(row, sent)
            case StreamKind.WALLET:
                sent = frame.time("creationTime")
                return lambda row: parse_wallet(row, sent)
        raise frame.bad("topic", f"{kind} has no rows")

    def _parse_ticker(self, frame: Row, local_ts: datetime) -> list[StreamUpdate]:
        shape = frame.text("type")
        if shape not in ("snapshot", "delta"):
            raise frame.bad("type", f"{shape!r} is neither snapshot nor delta")
        told = frame.read(_OF_TICKER)
        try:
            ticker = self._tickers.apply(
                told["data"],
                is_snapshot=shape == "snapshot",
                sequence=told["sequence"] or 0,
                time=told["time"],
            )
        except MalformedFrame as error:
            kind = StreamKind.TICKER
            error.fitting = tuple(self._update(kind, item, local_ts) for item in error.fitting)
            raise
        return [] if ticker is None else [self._update(StreamKind.TICKER, ticker, local_ts)]

    def _update(self, kind: StreamKind, record: Record, local_ts: datetime) -> StreamUpdate:
        symbol, event = None, None
        if not isinstance(record, Wallet):
            symbol = record.symbol
            if self._tags is not None:
                event = record.to_event(local_ts, self._tags)
        return StreamUpdate(kind=kind, symbol=symbol, record=record, event=event, local_ts=local_ts)


def _kind_of(topic: str) -> StreamKind:
    name, _, rest = topic.partition(".")
    try:
        kind = StreamKind(name)
    except ValueError:
        raise MalformedFrame("frame", "topic", f"{topic!r} is none that is known") from None
    if kind.is_private and rest not in ("", CATEGORY):
        raise MalformedFrame("frame", "topic", f"{topic!r} is none that is known")
    return kind
