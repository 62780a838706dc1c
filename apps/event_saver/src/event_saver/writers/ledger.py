"""The gap ledger: what could not be captured, from when until when, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from grid_db import (
    CaptureGapRecord,
    CaptureStream,
    DatabaseFactory,
    GapStatus,
    MarketGapRepository,
    TenantScope,
)

FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=6)

# Streams of states: what is missed cannot be asked for afterwards.
STATES = frozenset({CaptureStream.TICKERS, CaptureStream.POSITIONS, CaptureStream.WALLET})
# What the reason of a gap begins with, up to the first "; ", where rows were here and are not kept.
LOST = "lost while the database was away"
DAMAGED = "damaged on disk"
REFUSED = "refused by the database"
WHY_LOST = {
    CaptureStream.TICKERS: "the exchange keeps no history of tickers",
    CaptureStream.POSITIONS: "the exchange keeps no history of positions; they were read anew",
    CaptureStream.WALLET: "the exchange keeps no history of wallets; it was read anew",
}


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that may still be filled, with its user; None for market data."""

    gap: CaptureGapRecord
    user_id: str | None

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to try again: after 1, 2, 4 ... minutes, at most 6 hours.

        Of what was here and is lost nobody has asked for yet, so that is due at once.
        """
        if not self.gap.attempts and self.gap.reason.startswith((LOST, DAMAGED)):
            return True
        last = self.gap.last_attempt_at or self.gap.detected_at
        wait: timedelta = min(FIRST_RETRY * (1 << min(self.gap.attempts, 20)), LONGEST_RETRY)
        return now >= last + wait


def gap_record(
    stream: CaptureStream,
    symbol: str,
    account_id: str | None,
    start: datetime,
    end: datetime,
    reason: str,
    *,
    is_final: bool,
) -> CaptureGapRecord:
    """Return an entry; `is_final` where no source will have it any more."""
    return CaptureGapRecord(
        account_id=account_id,
        stream=stream,
        symbol=symbol,
        gap_start=start,
        gap_end=max(start, end),
        status=GapStatus.MISSING if is_final else GapStatus.OPEN,
        reason=reason,
        detected_at=datetime.now(UTC),
    )


def find_open(database: DatabaseFactory, user_ids: Iterable[str]) -> list[OpenGap]:
    """Return all open gaps of market data and of these users, oldest first. Blocking."""
    found: list[OpenGap] = []
    with database.get_session() as session:
        market = MarketGapRepository(session).find(status=GapStatus.OPEN)
        found += [OpenGap(gap, None) for gap in market]
    for user_id in sorted(set(user_ids)):
        with database.get_session() as session:
            private = TenantScope(session, user_id).capture_gaps.find(status=GapStatus.OPEN)
            found += [OpenGap(gap, user_id) for gap in private]
    return found


def note_attempt(
    database: DatabaseFactory, gap: OpenGap, status: GapStatus, reason: str, at: datetime
) -> None:
    """Write down what came of an attempt to fill a gap. Blocking."""
    gap_id = gap.gap.id
    assert gap_id is not None  # noqa: S101 - it came from the database
    with database.get_session() as session:
        repository: Any = (
            MarketGapRepository(session)
            if gap.user_id is None
            else TenantScope(session, gap.user_id).capture_gaps
        )
        repository.attempted(gap_id, status, reason, at)


def count_open(gaps: Sequence[OpenGap]) -> dict[str, int]:
    """Return how many gaps are open of each stream."""
    counts: dict[str, int] = {}
    for one in gaps:
        counts[one.gap.stream] = counts.get(one.gap.stream, 0) + 1
    return counts
