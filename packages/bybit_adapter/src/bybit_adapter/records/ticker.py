"""The state of a market: what it is, how it is read, how deltas make it.

Amounts are USDT or base coin, times aware UTC; what is unknown is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bybit_adapter.basics.row import Row
from bybit_adapter.records.tags import NO_TAGS, Tags
from gridcore import TickerEvent

_LONGEST_WAIT = 100  # deltas, ten seconds of them; a snapshot comes first or never


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """State of one market at `time`. A price that the exchange gives as 0 or "" is None."""

    symbol: str
    time: datetime
    last_price: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    bid1_price: Decimal | None
    bid1_size: Decimal | None  # base coin
    ask1_price: Decimal | None
    ask1_size: Decimal | None  # base coin
    funding_rate: Decimal | None  # predicted, per funding interval; positive: long pays short
    next_funding_time: datetime | None
    open_interest: Decimal | None  # base coin, both sides
    volume_24h: Decimal | None  # base coin
    turnover_24h: Decimal | None  # USDT

    def to_event(self, local_ts: datetime, tags: Tags = NO_TAGS) -> TickerEvent | None:
        """Return the strategy's event; None while the last price is unknown."""
        if self.last_price is None:
            return None
        return TickerEvent(
            symbol=self.symbol,
            exchange_ts=self.time,
            local_ts=local_ts,
            user_id=tags.user_id,
            account_id=tags.account_id,
            run_id=tags.run_id,
            last_price=self.last_price,
            mark_price=self.mark_price,
            bid1_price=self.bid1_price,
            ask1_price=self.ask1_price,
            funding_rate=self.funding_rate,
        )


_FIELDS = {
    "lastPrice": ("last_price", Row.opt_price),
    "markPrice": ("mark_price", Row.opt_price),
    "indexPrice": ("index_price", Row.opt_price),
    "bid1Price": ("bid1_price", Row.opt_price),
    "bid1Size": ("bid1_size", Row.opt_size),
    "ask1Price": ("ask1_price", Row.opt_price),
    "ask1Size": ("ask1_size", Row.opt_size),
    "fundingRate": ("funding_rate", Row.opt_number),
    "nextFundingTime": ("next_funding_time", Row.opt_time),
    "openInterest": ("open_interest", Row.opt_size),
    "volume24h": ("volume_24h", Row.opt_size),
    "turnover24h": ("turnover_24h", Row.opt_size),
}
_NOTHING_KNOWN = {ours: None for ours, _ in _FIELDS.values()}


def parse_ticker(row: Row, time: datetime) -> Ticker:
    """Parse the full state of one market at `time`; REST and stream use the same names."""
    return Ticker(symbol=row.text("symbol"), time=time, **row.read(_FIELDS))


class TickerMerge:
    """The last known state of every subscribed market.

    A field that is missing from a delta is unchanged. A delta before the first snapshot waits: it
    is kept, and what the snapshot does not contain yet is applied on top of it.
    """

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}  # by symbol, the fields of a Ticker
        self._waiting: dict[str, list[tuple[int, Row]]] = {}

    def reset(self) -> None:
        """Forget everything: after a reconnect only a new snapshot starts a state."""
        self._states.clear()
        self._waiting.clear()

    def apply(self, row: Row, *, is_snapshot: bool, sequence: int, time: datetime) -> Ticker | None:
        """Merge one frame and return the state at `time`; None while there is no snapshot.

        sequence is the frame's cross sequence, which orders a snapshot among waiting deltas.
        Raises MalformedFrame for a wrong field; that field then counts as unknown until the next
        frame that carries it, so that an old value never passes for the present one.
        """
        symbol = row.text("symbol")
        state = self._states.get(symbol)
        if is_snapshot:
            state = self._states[symbol] = dict(_NOTHING_KNOWN)
        elif state is None:
            waiting = self._waiting.setdefault(symbol, [])
            waiting.append((sequence, row))
            del waiting[:-_LONGEST_WAIT]
            return None
        first = row.update(state, _FIELDS)
        if is_snapshot:
            for waited, delta in self._waiting.pop(symbol, []):
                if waited > sequence:
                    first = delta.update(state, _FIELDS) or first
        ticker = Ticker(symbol=symbol, time=time, **state)
        if first is not None:
            first.fitting = (ticker,)
            raise first
        return ticker
