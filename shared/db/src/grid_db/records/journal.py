"""What a running system notes about itself: gaps, grid states, alerts.

The order of the fields is the format in which event_saver's spool keeps gaps on disk:
whoever adds, removes or moves one adds a format in event_saver/spool/formats.py, by which what is
on disk already is still read; its test fails without. A new field needs a default.
"""

from dataclasses import dataclass
from datetime import datetime

from grid_db.enums import AlertSeverity, CaptureStream, GapStatus

ALL_SYMBOLS = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureGapRecord:
    """A stretch [gap_start, gap_end] of a stream that was not received.

    account_id is None for a gap of market data, which belongs to nobody. symbol is ALL_SYMBOLS
    where the whole stream was silent. id is None until the database gave one.
    """

    id: int | None = None
    account_id: str | None = None
    stream: CaptureStream
    symbol: str = ALL_SYMBOLS
    gap_start: datetime
    gap_end: datetime
    status: GapStatus = GapStatus.OPEN
    reason: str
    attempts: int = 0
    last_attempt_at: datetime | None = None
    detected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSnapshotRecord:
    """State of one strategy's grid at exchange_ts, as the strategy's own JSON."""

    strategy_id: str
    run_id: str | None = None
    exchange_ts: datetime
    snapshot_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecord:
    """Something that somebody was told (delivered_at set) or has to be told."""

    id: int | None = None
    account_id: str | None = None
    strategy_id: str | None = None
    run_id: str | None = None
    severity: AlertSeverity
    alert_key: str
    message: str
    raised_at: datetime
    delivered_at: datetime | None = None
