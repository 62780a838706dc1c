"""The exchange that the bot brings along for `environment: paper`.

Nothing else of the bot knows it, and a bot that trades on Bybit never loads this module.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gridbot.orchestrator import StartError
from market_data.basics.data_errors import DataError
from paper_exchange.config import PaperConfig
from paper_exchange.feeds.live_market import NoLiveMarketError
from paper_exchange.host.server import PortInUseError
from paper_exchange.host.state_file import StateFileError
from paper_exchange.runtime import PaperRuntime

log = logging.getLogger(__name__)


@asynccontextmanager
async def embedded_exchange(
    config: PaperConfig, *, keep_state: bool = True
) -> AsyncIterator[PaperRuntime]:
    """Run an exchange. Raises StartError where it cannot start."""
    if not keep_state:
        config = config.model_copy(update={"state_path": None})
    try:
        made = PaperRuntime(config)
        await made.__aenter__()
    except (PortInUseError, StateFileError, DataError, NoLiveMarketError) as error:
        raise StartError(str(error)) from error
    try:
        log.info("embedded exchange at %s", made.server.base_url)
        yield made
    finally:
        await made.__aexit__()
