"""Whose rows they are."""

from __future__ import annotations

from dataclasses import dataclass

from grid_db import SnapshotSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One account of one user. run_id is None where only positions and wallet are kept."""

    user_id: str
    account_id: str
    run_id: str | None
    source: SnapshotSource = SnapshotSource.LIVE
