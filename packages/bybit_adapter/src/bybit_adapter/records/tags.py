"""Whose events they are."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tags:
    """Whose events they are; copied into every event."""

    user_id: UUID | None = None
    account_id: UUID | None = None
    run_id: UUID | None = None


NO_TAGS = Tags()
