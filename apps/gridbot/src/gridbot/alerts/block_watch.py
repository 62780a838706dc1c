"""Tells people what blocks a strategy, once, and that it is over, once it really is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from gridbot.alerts.alerts import AlertKey, Alerts

log = logging.getLogger(__name__)

ALERTS = {
    "same_order_error": AlertKey.SAME_ORDER_ERROR,
    "loss_breaker": AlertKey.LOSS_BREAKER,
    "reduce_only_long": AlertKey.REDUCE_ONLY_BREAKER,
    "reduce_only_short": AlertKey.REDUCE_ONLY_BREAKER,
    "contract": AlertKey.CONTRACT_HALTED,
    "exchange_maintenance": AlertKey.EXCHANGE_MAINTENANCE,
    "no_market_data": AlertKey.NO_MARKET_DATA,
    "margin_mode": AlertKey.MARGIN_MODE_CHANGED,
}
# what comes back within this time was never over
OVER_AFTER_S = 60.0
# what every comparison ends in a moment; it is told only when it does not
PATIENCE_S = {"account_unknown": 150.0}


class BlockWatch:
    """Compares what blocks a strategy with what was told of it. `quiet` names are not told."""

    def __init__(
        self, strat_id: str, alerts: Alerts, monotonic: Callable[[], float], quiet: frozenset[str]
    ) -> None:
        self._strat_id = strat_id
        self._alerts = alerts
        self._monotonic = monotonic
        self._quiet = quiet
        self._told: dict[str, float | None] = {}  # when it went, None while it is there
        self._since: dict[str, float] = {}  # of what is waited for with patience

    def look(self, blocks: Mapping[str, str]) -> None:
        """Alert what is new; say what is over for a minute."""
        if not blocks and not self._told and not self._since:
            return
        blocks = self._without_short_ones(blocks)
        for name, reason in blocks.items():
            if name not in self._told and name not in self._quiet:
                key = ALERTS.get(name, AlertKey.STRATEGY_BLOCKED)
                self._alerts.alert(key, f"{self._strat_id}: {reason}", about=self._strat_id)
            self._told[name] = None
        now = self._monotonic()
        for name, gone_at in list(self._told.items()):
            if name in blocks:
                continue
            if gone_at is None:
                self._told[name] = now
                log.info("%s: no longer blocked by %s", self._strat_id, name)
            elif now - gone_at >= OVER_AFTER_S:
                del self._told[name]
                if name not in self._quiet:
                    self._alerts.alert(
                        AlertKey.STRATEGY_UNBLOCKED,
                        f"{self._strat_id}: no longer blocked by {name}",
                        about=f"{self._strat_id} {name}",
                    )

    def _without_short_ones(self, blocks: Mapping[str, str]) -> dict[str, str]:
        now = self._monotonic()
        found = dict(blocks)
        for name, patience in PATIENCE_S.items():
            if name not in blocks:
                self._since.pop(name, None)
            elif now - self._since.setdefault(name, now) < patience:
                del found[name]
        return found
