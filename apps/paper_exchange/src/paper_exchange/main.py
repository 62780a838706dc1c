"""Command line: a local Bybit V5 exchange.

    python -m paper_exchange.main --config conf/paper.yaml

Exit codes: 0 stopped by a signal or after --duration; 1 the configuration, the options, the data
or the state file cannot be used, or the port is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from grid_config.yaml_config import ConfigFileError, load_yaml_config
from grid_db import GridDbError
from gridcore.errors import GridcoreError
from market_data.basics.data_errors import DataError
from paper_exchange.config import PaperConfig
from paper_exchange.console import StatusLine, print_start
from paper_exchange.feeds.live_market import NoLiveMarketError
from paper_exchange.host.server import PortInUseError
from paper_exchange.host.state_file import StateFileError
from paper_exchange.runtime import PaperRuntime

DONE, WRONG_START = 0, 1
LINE_EVERY_S = 60.0  # where the output is no terminal

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
console = Console(emoji=False, highlight=False, soft_wrap=True)
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


@app.command()
def paper(
    config: Annotated[
        Path, typer.Option("--config", help="YAML; see conf/paper.yaml and docs/paper_exchange.md.")
    ] = Path("conf/paper.yaml"),
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Instead of the configured one; 0: any.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0, help="Of the market; 0: as fast as clients keep up.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of feeds, ids and faults.")] = None,
    control: Annotated[
        bool, typer.Option("--control", help="Serve /control/... to loopback addresses.")
    ] = False,
    duration: Annotated[
        float | None, typer.Option(min=0, help="Stop after so many seconds.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log to stderr.")] = False,
) -> None:
    """Run a local exchange that speaks Bybit's V5 protocol, until Ctrl-C.

    Exit codes: 0 stopped; 1 the configuration, the options, the data or the state file cannot be
    used, or the port is taken.
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        app(args=None if argv is None else list(argv), prog_name="paper_exchange")
    except (
        ConfigFileError, DataError, GridcoreError, GridDbError, StateFileError,
        PortInUseError, NoLiveMarketError, ValueError,
    ) as error:  # fmt: skip
        for text in str(error).splitlines():
            errors.print(f"paper_exchange: {text}")
        return WRONG_START
    except SystemExit as stopped:
        return DONE if stopped.code in (None, DONE) else WRONG_START
    return DONE


if __name__ == "__main__":
    sys.exit(main())
