"""Buffered writers of captured rows, and the thread that stores them.

writers = WriterSet()
loop = WriteLoop(database, Spool(folder), writers.all)
loop.start()
writers.trades.add(updates)
loop.stop()
"""

from __future__ import annotations

from event_saver.writers.limits import WriteLimits
from event_saver.writers.loop import WriteLoop
from event_saver.writers.writer import (
    BatchWriter,
    ExecutionWriter,
    GapWriter,
    OrderWriter,
    PositionWriter,
    TickerWriter,
    TradeWriter,
    WalletWriter,
    WriterStats,
)
from event_saver.writers.writing import DatabaseState

__all__ = [
    "BatchWriter",
    "DatabaseState",
    "ExecutionWriter",
    "GapWriter",
    "OrderWriter",
    "PositionWriter",
    "TickerWriter",
    "TradeWriter",
    "WalletWriter",
    "WriteLimits",
    "WriteLoop",
    "WriterSet",
    "WriterStats",
]


class WriterSet:
    """One writer of each kind. `all` is in the order in which they are served."""

    def __init__(self) -> None:
        self.gaps = GapWriter()
        self.executions = ExecutionWriter()
        self.orders = OrderWriter()
        self.positions = PositionWriter()
        self.wallets = WalletWriter()
        self.trades = TradeWriter()
        self.tickers = TickerWriter()
        self.all: tuple[BatchWriter, ...] = (
            self.gaps,
            self.executions,
            self.orders,
            self.positions,
            self.wallets,
            self.trades,
            self.tickers,
        )

    def stats(self) -> dict[str, WriterStats]:
        """Return the counters of each kind by its name."""
        return {writer.kind.name: writer.stats() for writer in self.all}
