"""Which rows of which streams a batch has: what is lost where it cannot be kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from event_saver.basics.owner import Owner
from event_saver.spool.rows import GAPS, Batch
from grid_db import ALL_SYMBOLS, CaptureStream

_STREAMS = {stream.value: stream for stream in CaptureStream}


@dataclass(frozen=True, slots=True)
class StreamOf:
    """One stream of one symbol or account; user_id is None for market data."""

    stream: CaptureStream
    symbol: str = ALL_SYMBOLS
    account_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of one stream from `start` until `end`, both included, by the exchange's clock."""

    of: StreamOf
    start: datetime
    end: datetime


def account_streams(owner: Owner) -> list[StreamOf]:
    """Return the streams of an account; an owner without a run has no executions and orders."""
    private = [CaptureStream.POSITIONS, CaptureStream.WALLET]
    if owner.run_id is not None:
        private = [CaptureStream.EXECUTIONS, CaptureStream.ORDERS, *private]
    return [
        StreamOf(stream, account_id=owner.account_id, user_id=owner.user_id) for stream in private
    ]


def spans_of(batch: Batch) -> list[Span]:
    """Return what a batch has: one span for each symbol and account.

    Rows of the gap ledger stand for what they tell of.
    """
    if batch.kind.name == GAPS.name:
        return [
            Span(
                StreamOf(gap.stream, gap.symbol, gap.account_id, batch.user_id),
                gap.gap_start,
                gap.gap_end,
            )
            for gap in batch.records
        ]
    stream = _STREAMS[batch.kind.name]
    first: dict[tuple[str, str | None], datetime] = {}
    last: dict[tuple[str, str | None], datetime] = {}
    for record in batch.records:
        # a wallet has no symbol, market data no account
        key = (getattr(record, "symbol", ALL_SYMBOLS), getattr(record, "account_id", None))
        moment = record.exchange_ts
        if key not in first:
            first[key] = last[key] = moment
        elif moment > last[key]:
            last[key] = moment
        elif moment < first[key]:
            first[key] = moment
    return [
        Span(StreamOf(stream, symbol, account, batch.user_id), first[key], last[key])
        for key in first
        for symbol, account in (key,)
    ]


def span_as_list(span: Span) -> list[Any]:
    """Return a span as JSON has it."""
    of = span.of
    return [
        of.stream.value, of.symbol, of.account_id, of.user_id, span.start.isoformat(),
        span.end.isoformat(),
    ]  # fmt: skip


def span_of_list(values: Any) -> Span:
    """Return the span of its JSON. Raises ValueError, TypeError or KeyError for anything else."""
    stream, symbol, account, user, start, end = values
    return Span(
        StreamOf(_STREAMS[stream], symbol, account, user),
        datetime.fromisoformat(start),
        datetime.fromisoformat(end),
    )
