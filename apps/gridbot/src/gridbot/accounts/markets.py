"""The public streams of a bot: one for each exchange that strategies trade on."""

from __future__ import annotations

from collections.abc import Sequence

from bybit_adapter import Environment as Place
from gridbot.accounts.served_account import ServedAccount
from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import Alerts
from gridbot.ports import MachineTime
from gridbot.records.recorder import Recorder
from gridbot.session.connections import open_public
from gridbot.session.market_hub import MarketHub
from gridbot.settings.config import GridbotConfig
from gridbot.settings.session_settings import SessionSettings


class Markets:
    """Opens the market of every exchange, and hands it to the strategies there."""

    def __init__(self, config: GridbotConfig, alerts: Alerts) -> None:
        self._config = config
        self._alerts = alerts
        self._hubs: dict[str, MarketHub] = {}  # by the exchange's address

    async def open(self, accounts: Sequence[ServedAccount], recorder: Recorder) -> None:
        """Begin to listen; each exchange's data goes to the record where it is to be kept."""
        by_place: dict[Place, list[ServedAccount]] = {}
        for account in accounts:
            by_place.setdefault(account.place, []).append(account)
        keeps = self._config.save_events
        for place, there in by_place.items():
            trades = keeps or any(
                one.shadow_mode
                for account in there
                for one in self._config.strategies_of(account.config.name)
            )
            hub = MarketHub(
                place.name,
                recorder.listen_market(place, open_public(place, trades=trades)),
                [runner for account in there for runner in account.runners],
                MachineTime(),
                self._alerts,
                SessionSettings.of(self._config),
                recorder.market_update if keeps else None,
            )
            self._hubs[place.rest_url] = hub
            await hub.start()

    async def add(self, account: ServedAccount, runner: StrategyRunner) -> None:
        """Serve one strategy more."""
        await self._hubs[account.place.rest_url].add(runner)

    def is_alive(self, account: ServedAccount) -> bool:
        """Tell whether the market of an account's exchange is connected."""
        hub = self._hubs.get(account.place.rest_url)
        return hub is not None and hub.is_connected

    async def stop(self) -> None:
        """End all."""
        for hub in self._hubs.values():
            await hub.stop()
