"""When rows are written, and how many may wait in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLimits:
    """Rows are written once `batch_size` of a kind wait, or one has waited `flush_interval_s`.

    Under load a batch grows up to `max_batch_rows`, because larger ones cost less a row.
    `memory_rows` is what all buffers may hold together; beyond it rows go to disk.
    """

    batch_size: int = 100
    flush_interval_s: float = 5.0
    max_batch_rows: int = 5_000
    memory_rows: int = 50_000
    first_retry_s: float = 0.5
    longest_retry_s: float = 15.0
