"""Full ticker state per symbol, put together from one snapshot and the deltas after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bybit_adapter.basics.errors import MalformedFrame
from bybit_adapter.basics.row import Row
from bybit_adapter.records.market import Ticker
from bybit_adapter.records.market_rows import parse_ticker


class TickerMerge:
    """The last known state of every subscribed market.

    A field that is missing from a delta is unchanged. A delta before the first snapshot waits: it
    is kept, and what the snapshot does not contain yet is applied on top of it.
    """

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}

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
        if is_snapshot:
            state = dict(row.fields())
            for waited, delta in self._waiting.pop(symbol, []):
                if waited > sequence:
                    state.update(delta)
            self._states[symbol] = state
        elif symbol in self._states:
            state = self._states[symbol]
            state.update(row.fields())
        else:
            waiting = self._waiting.setdefault(symbol, [])
            waiting.append((sequence, dict(row.fields())))
            del waiting[:-_LONGEST_WAIT]
            return None
        first: MalformedFrame | None = None
        while True:
            try:
                ticker = parse_ticker(Row(row.topic, state, "data."), time)
            except MalformedFrame as error:
                first = first or error
                # The symbol was read above, so this takes one field out at every turn.
                del state[error.field.removeprefix("data.")]
                continue
            if first is not None:
                first.fitting = (ticker,)
                raise first
            return ticker


_LONGEST_WAIT = 100  # deltas, ten seconds of them; a snapshot comes first or never
