"""Alerts in the database: what was raised, and when somebody was told."""

from __future__ import annotations

from datetime import datetime

from grid_db import (
    AlertRecord,
    DatabaseFactory,
    TenantScope,
    account_id_for,
    strategy_id_for,
    user_id_for,
)
from gridbot.alerts.alert_throttle import Alert
from gridbot.settings.config import GridbotConfig


class DatabaseAlerts:
    """The alerts of one user. Blocking; raises GridDbError.

    The user has to be there, and so do accounts and strategies of which an alert tells.
    """

    def __init__(self, config: GridbotConfig, database: DatabaseFactory) -> None:
        self._database = database
        self._user_id = user_id_for(config.user)
        self._accounts = {
            account.name: account_id_for(self._user_id, account.name) for account in config.accounts
        }
        self._strategies = {one.strat_id: one.account for one in config.strategies}

    def add(self, alert: Alert) -> int | None:
        """Store an alert; return its number."""
        account = self._strategies.get(alert.about, alert.about)
        account_id = self._accounts.get(account)
        is_strategy = account_id is not None and alert.about in self._strategies
        record = AlertRecord(
            account_id=account_id,
            strategy_id=strategy_id_for(account_id, alert.about)
            if account_id is not None and is_strategy
            else None,
            severity=alert.severity,
            alert_key=alert.key.value,
            message=alert.message,
            raised_at=alert.raised_at,
        )
        with self._database.get_session() as session:
            return TenantScope(session, self._user_id).alerts.add(record).id

    def mark_delivered(self, number: int, at: datetime) -> None:
        """Note that somebody was told."""
        with self._database.get_session() as session:
            TenantScope(session, self._user_id).alerts.mark_delivered(number, at)
