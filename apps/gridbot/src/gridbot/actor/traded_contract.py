"""A strategy follows its contract: held while that is not traded, moved onto other rules."""

from __future__ import annotations

from bybit_adapter import Instrument
from gridbot.actor.strategy_health import CONTRACT, StrategyHealth
from gridbot.alerts.alerts import Alerts
from gridbot.alerts.contract_watch import ContractWatch
from gridbot.ports import ExchangeClock
from gridcore import AdoptRules, GridStrategy, InstrumentInfo


class TradedContract:
    """The contract of one strategy, from look to look."""

    def __init__(
        self, strategy: GridStrategy, health: StrategyHealth, clock: ExchangeClock, alerts: Alerts
    ) -> None:
        config = strategy.config
        self._strategy = strategy
        self._health = health
        self._clock = clock
        self._watch = ContractWatch(config.strat_id, config.symbol, alerts)

    def look(self, found: Instrument) -> bool:
        """Take in what the exchange says; tell whether the grid is built anew on another tick."""
        before = self._strategy.config.instrument
        self._watch.look(found, before, self._use_rules)
        self._health.doubt(CONTRACT, self._watch.announced)
        reason = self._watch.block
        if reason is not None:
            self._health.hold_now(CONTRACT, reason)
        elif CONTRACT in self._strategy.trips:
            self._health.release_now(CONTRACT)
            self._health.ticker_at = self._clock.monotonic()
        return self._strategy.config.instrument.tick_size != before.tick_size

    def _use_rules(self, rules: InstrumentInfo) -> None:
        self._strategy.handle(AdoptRules(rules))
