"""An exchange of a configuration, from its start to its end; embedded, or behind the command."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from pydantic import SecretStr

from grid_db import DatabaseFactory, DatabaseSettings
from paper_exchange.builder import build, live_symbols
from paper_exchange.config import PaperConfig
from paper_exchange.exchange.driver import wall_ms
from paper_exchange.feeds.live_market import LiveMarket
from paper_exchange.host.actions import read_scenario
from paper_exchange.host.assembly import serve
from paper_exchange.host.control import Control
from paper_exchange.host.server import PaperServer
from paper_exchange.host.state_file import read_state, write_state
from paper_exchange.market.market import FeedEvent

log = logging.getLogger(__name__)


class PaperRuntime:
    """Use as an async context: inside of it the exchange listens and its market runs."""

    def __init__(
        self,
        config: PaperConfig,
        open_database: Callable[[str], DatabaseFactory] | None = None,
    ) -> None:
        """Raises DataError, ValueError, GridcoreError, StateFileError, ConfigFileError."""
        self.config = config
        state = None if config.state_path is None else read_state(config.state_path)
        self._epoch = 0 if state is None else state.epoch + 1
        # whole seconds, so that sessions begin alike
        start_ms = wall_ms() // 1000 * 1000
        parts, events = build(
            config, open_database or _open_database, start_ms=start_ms, state=state
        )
        self.exchange = parts.exchange
        self.server: PaperServer = serve(
            parts, events, speed=config.speed, host=config.host, port=config.port
        )
        self.control = Control(parts.exchange, parts.faults, self.server)
        if config.control:
            self.server.control = self.control.handle
        self._scenario = None if config.scenario is None else read_scenario(config.scenario)
        self._live: list[LiveMarket] = []
        self._saver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> PaperRuntime:
        """Listen. Raises PortInUseError, NoLiveMarketError."""
        await self.server.start()
        loop = asyncio.get_running_loop()
        for environment, symbols in live_symbols(self.config).items():
            self._live.append(LiveMarket(symbols, environment, partial(self._hand_on, loop)))
        if self._scenario is not None:
            self.control.plan(self._scenario)
        if self.config.state_path is not None:
            self._saver = asyncio.create_task(self._save_now_and_then())
        return self

    async def __aexit__(self, *_: object) -> None:
        for live in self._live:
            await asyncio.to_thread(live.close)
        if self._saver is not None:
            self._saver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._saver
        await self.server.stop()
        self.save()

    def _hand_on(self, loop: asyncio.AbstractEventLoop, event: FeedEvent) -> None:
        loop.call_soon_threadsafe(self.server.driver.push, event)

    def save(self) -> None:
        """Write the state file, where one is configured."""
        if self.config.state_path is not None:
            write_state(self.config.state_path, self.exchange, self._epoch)

    async def _save_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self.config.state_interval_s)
            try:
                self.save()
            except OSError:
                log.exception("the state file cannot be written; trying again")


def _open_database(url: str) -> DatabaseFactory:
    return DatabaseFactory(DatabaseSettings(database_url=SecretStr(url)))
