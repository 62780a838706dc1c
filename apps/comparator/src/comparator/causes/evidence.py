"""What was recorded about a run beside its executions: orders, ticks, gaps, prices, legs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from comparator.causes.market import Hole, RecordedMarket, silent_holes
from comparator.columns.exact import Exact, Rows, exact_sum, negated
from comparator.columns.order_lives import OrderLife, order_lives
from comparator.columns.recorded_columns import read_orders
from comparator.columns.trades import TradeTable
from comparator.money.split import Leg
from comparator.sides.loader import FILLS
from grid_db import (
    ALL_SYMBOLS,
    CaptureGapRecord,
    CaptureStream,
    DecimalColumn,
    GapStatus,
    MarketGapRepository,
    PublicTradeRepository,
    RunRecord,
    TenantScope,
    TickerSnapshotRepository,
)
from gridcore import DirectionType
from gridcore.moments import moment, to_us
from market_data.basics.time_range import TimeRange

ZERO: Final = Decimal(0)
_SPANS: Final = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=2))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Records that explain differences.

    `orders` are those of the asked client order ids; `has_orders` tells whether the run recorded
    any at all. `private_holes` are capture gaps of the account's own streams.
    """

    has_orders: bool
    orders: Mapping[str, list[OrderLife]]
    markets: Mapping[str, RecordedMarket]
    private_holes: tuple[Hole, ...]
    by_order_id: Mapping[str, OrderLife] = field(default_factory=dict)

    def private_hole(self, ts_us: int, stream: CaptureStream) -> Hole | None:
        """Return the gap of a private stream that a moment lies in."""
        for hole in self.private_holes:
            if hole.stream == stream.value and hole.covers(ts_us):
                return hole
        return None


def no_evidence() -> Evidence:
    """Return evidence of nothing, for a comparison without a database."""
    return Evidence(has_orders=False, orders={}, markets={}, private_holes=())


class EvidenceReader:
    """Reads the records of one run through the session of its user."""

    def __init__(self, session: Session, scope: TenantScope, run: RunRecord) -> None:
        self._session = session
        self._scope = scope
        self._run = run

    def read(self, wanted: TimeRange, symbols: Iterable[str], ids: Iterable[str]) -> Evidence:
        """Return what is there to explain trades of these client order ids within the range."""
        states = read_orders(
            self._session, self._scope.user_id, self._run.id, moment(wanted.end_us)
        )
        lives = order_lives(states, ids)
        by_id: dict[str, list[OrderLife]] = {}
        for life in lives:
            by_id.setdefault(life.client_order_id, []).append(life)
        return Evidence(
            has_orders=bool(len(states)),
            orders=by_id,
            by_order_id={life.order_id: life for life in lives},
            markets={symbol: self._market(symbol, wanted) for symbol in symbols},
            private_holes=self._private_holes(wanted),
        )

    def price_before(self, symbol: str, ts_us: int) -> Decimal | None:
        """Return the last recorded price before a moment; None without one in two days."""
        at = moment(ts_us)
        return self._nearest(symbol, [(at - span, at) for span in _SPANS], last=True)

    def price_after(self, symbol: str, ts_us: int) -> Decimal | None:
        """Return the first recorded price from a moment on; None without one in two days."""
        at = moment(ts_us)
        return self._nearest(symbol, [(at, at + span) for span in _SPANS], last=False)

    def _nearest(
        self, symbol: str, spans: list[tuple[datetime, datetime]], *, last: bool
    ) -> Decimal | None:
        for start, end in spans:
            trades = PublicTradeRepository(self._session).read_columns(symbol, start, end)
            if len(trades):
                return _at(trades.price, last=last)
            tickers = TickerSnapshotRepository(self._session).read_columns(symbol, start, end)
            if len(tickers):
                return _at(tickers.last_price, last=last)
        return None

    def starting_legs(self, trades: TradeTable, wanted: TimeRange) -> dict[Leg, Decimal] | None:
        """Return what the legs held at the start, base coin; None where no snapshot tells.

        From the last snapshot before the start and the executions since, else from the first one
        within the range and the trades before it.
        """
        if self._run.account_id is None:
            return None
        found: dict[Leg, Decimal] = {}
        for symbol in trades.symbols():
            for leg in DirectionType:
                size = self._leg_at_start(trades, symbol, leg, wanted)
                if size is None:
                    return None
                found[symbol, leg] = size
        return found

    def _leg_at_start(
        self, trades: TradeTable, symbol: str, leg: DirectionType, wanted: TimeRange
    ) -> Decimal | None:
        account = self._run.account_id
        assert account is not None  # noqa: S101 - asked by the caller
        start = moment(wanted.start_us)
        earlier = [
            snapshot
            for snapshot in self._scope.positions.get_by_account_range(
                account, symbol, start - timedelta(days=2), start
            )
            if snapshot.direction is leg
        ]
        if earlier:
            last = earlier[-1]
            # a snapshot is taken after the executions of its moment
            since = self._scope.executions.iterate_by_account(
                account, last.exchange_ts + timedelta(microseconds=1), start
            )
            changes = [
                fill.exec_qty if leg.opening_side is fill.side else negated(fill.exec_qty)
                for fill in since
                if fill.symbol == symbol and fill.direction is leg and fill.exec_type in FILLS
            ]
            return exact_sum([last.size, *changes])
        for snapshot in self._scope.positions.get_by_account_range(
            account, symbol, start, moment(wanted.end_us)
        ):
            if snapshot.direction is leg:
                until = trades.select(wanted.start_us, to_us(snapshot.exchange_ts) + 1, [symbol])
                return exact_sum([snapshot.size, negated(net_size(until, leg))])
        return None

    def _market(self, symbol: str, wanted: TimeRange) -> RecordedMarket:
        start, end = moment(wanted.start_us), moment(wanted.end_us)
        trades = PublicTradeRepository(self._session).read_columns(symbol, start, end)
        tickers = TickerSnapshotRepository(self._session).read_columns(symbol, start, end)
        gaps = MarketGapRepository(self._session)
        noted = [
            _hole(gap)
            for stream in (CaptureStream.TRADES, CaptureStream.TICKERS)
            for gap in gaps.find(start, end, stream=stream)
            if gap.symbol in (symbol, ALL_SYMBOLS) and gap.status is not GapStatus.FILLED
        ]
        silent = [
            hole
            for ts_us, name in (
                (trades.exchange_ts_us, CaptureStream.TRADES.value),
                (tickers.exchange_ts_us, CaptureStream.TICKERS.value),
            )
            for hole in silent_holes(ts_us, name, wanted.start_us, wanted.end_us, noted)
        ]
        ticks, prices = (
            (trades.exchange_ts_us, trades.price)
            if len(trades)
            else (tickers.exchange_ts_us, tickers.last_price)
        )
        return RecordedMarket(
            ticks, prices.unscaled, prices.scale, tuple(sorted([*noted, *silent]))
        )

    def _private_holes(self, wanted: TimeRange) -> tuple[Hole, ...]:
        if self._run.account_id is None:
            return ()
        gaps = self._scope.capture_gaps.find(
            self._run.account_id, moment(wanted.start_us), moment(wanted.end_us)
        )
        return tuple(sorted(_hole(gap) for gap in gaps if gap.status is not GapStatus.FILLED))


def net_size(trades: TradeTable, leg: DirectionType) -> Decimal:
    """Return by how much the trades enlarged a leg, base coin."""
    rows: Rows = np.flatnonzero((trades.frame["direction"] == leg.value).to_numpy())
    of_leg = trades.take(rows)
    opening = of_leg.frame["side"] == leg.opening_side.value
    qty: Exact = of_leg.exact("qty")
    return qty.signed(opening).total()


def _hole(gap: CaptureGapRecord) -> Hole:
    return Hole(
        to_us(gap.gap_start), to_us(gap.gap_end), gap.stream.value, noted=True, reason=gap.reason
    )


def _at(column: DecimalColumn, *, last: bool) -> Decimal | None:
    row = slice(-1, None) if last else slice(0, 1)
    return DecimalColumn(column.unscaled[row], column.scale).to_decimals()[0]
