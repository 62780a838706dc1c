"""What becomes of a strategy's contract: its status, its end, its rules."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields, replace

from bybit_adapter import Instrument
from gridbot.alerts.alerts import AlertKey, Alerts
from gridcore import InstrumentInfo

log = logging.getLogger(__name__)


class ContractWatch:
    """Follows one contract from look to look; says what is to be done about it.

    `announced` is when it is to be delisted, in words, "" while it goes on.
    """

    def __init__(self, strat_id: str, symbol: str, alerts: Alerts) -> None:
        self._strat_id = strat_id
        self._symbol = symbol
        self._alerts = alerts
        self.announced = ""
        self.status = "Trading"

    def look(
        self,
        found: Instrument,
        rules: InstrumentInfo,
        use_rules: Callable[[InstrumentInfo], None],
    ) -> None:
        """Take in what the exchange says; hand on rules that are others than `rules`."""
        self.status = found.status
        self._announce(found)
        if found.rules != rules and not found.has_ended:
            self._tell_rules(rules, found.rules)
            use_rules(found.rules)

    def _announce(self, found: Instrument) -> None:
        moment = found.delivery_time
        if found.has_ended:
            return
        text = (
            "" if moment is None else f"{self._symbol} is delisted at {moment:%Y-%m-%d %H:%M} UTC"
        )
        if text and text != self.announced:
            self._alerts.alert(
                AlertKey.CONTRACT_ENDS,
                f"{self._strat_id}: {text}: open positions are settled then at the exchange's"
                " price; close them before, and take the strategy out of the configuration",
                about=self._strat_id,
            )
        self.announced = text

    def _tell_rules(self, before: InstrumentInfo, now: InstrumentInfo) -> None:
        changed = [
            f"{field.name} {getattr(before, field.name)} is {getattr(now, field.name)} now"
            for field in fields(InstrumentInfo)
            if getattr(before, field.name) != getattr(now, field.name)
        ]
        is_tick = before.tick_size != now.tick_size
        if before == replace(now, max_qty=before.max_qty):
            # the exchange sets it anew twice a month
            log.info("%s: %s", self._strat_id, changed[0])
            return
        ending = "; the grid is built anew on it" if is_tick else "; orders follow it from here on"
        self._alerts.alert(
            AlertKey.TICK_SIZE_CHANGED if is_tick else AlertKey.RULES_CHANGED,
            f"{self._strat_id}: rules of {self._symbol} changed: {', '.join(changed)}{ending}",
            about=self._strat_id,
        )

    @property
    def block(self) -> str | None:
        """Why nothing can be placed, None while the contract is traded."""
        if self.status == "Trading":
            return None
        return f"{self._symbol} is not traded, the exchange says {self.status}; it ends by itself"
