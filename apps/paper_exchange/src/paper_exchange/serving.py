"""A local exchange served until a signal, from configuration to exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from grid_config.yaml_config import ConfigFileError, load_yaml_config
from grid_db import GridDbError
from grid_service.command import ExitCodes
from gridcore.errors import GridcoreError
from market_data.basics.data_errors import DataError
from paper_exchange.config import PaperConfig
from paper_exchange.console import StatusLine, print_start
from paper_exchange.feeds.live_market import NoLiveMarketError
from paper_exchange.host.server import PortInUseError
from paper_exchange.host.state_file import StateFileError
from paper_exchange.runtime import PaperRuntime

LINE_EVERY_S = 60.0  # where the output is no terminal

EXIT_CODES: ExitCodes = dict.fromkeys(
    (
        ConfigFileError, DataError, GridcoreError, GridDbError, StateFileError,
        PortInUseError, NoLiveMarketError, ValueError, OSError,
    ),
    1,
)  # fmt: skip

console = Console(emoji=False, highlight=False, soft_wrap=True)


def serve(
    config: str | Path,
    *,
    port: int | None,
    speed: float | None,
    seed: int | None,
    control: bool,
    duration: float | None,
    debug: bool,
) -> None:
    """Serve what the configuration says; what is not None here counts instead of it.

    `duration` is in seconds. Raises the errors of EXIT_CODES.
    """
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )  # fmt: skip
    changes: dict[str, Any] = {
        name: value
        for name, value in (("port", port), ("speed", speed), ("seed", seed))
        if value is not None
    }
    if control:
        changes["control"] = True
    settings = load_yaml_config(config, PaperConfig).model_copy(update=changes)
    asyncio.run(_run(settings, duration))


async def _run(config: PaperConfig, duration: float | None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with PaperRuntime(config) as runtime:
        print_start(console, runtime.server, config)
        watch = asyncio.create_task(_watch(StatusLine(runtime.server)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), duration)
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    console.print("stopped")


async def _watch(line: StatusLine) -> None:
    if not console.is_terminal:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            console.print(line.text())
    with Live(line.text(), console=console, auto_refresh=False, transient=True) as live:
        while True:
            await asyncio.sleep(1)
            live.update(line.text(), refresh=True)
