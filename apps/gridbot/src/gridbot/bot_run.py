"""A run of the bot, or a check of what it would need, from configuration to exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from event_saver.spool.spool import SpoolError
from grid_config.yaml_config import ConfigFileError
from grid_db import GridDbError
from grid_service.command import ExitCodes
from grid_service.endpoint import PortTakenError
from grid_service.redaction import Redactor
from gridbot.alerts.telegram_api import TelegramRefusedError
from gridbot.check import check_accounts, print_check, print_machine
from gridbot.instance_lock import InstanceLock, InUseError
from gridbot.interpreter import avoid_pauses
from gridbot.orchestrator import Orchestrator, StartError
from gridbot.preflight_local import folder_problems, look_at_machine
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import load_gridbot_config
from gridbot.settings.sections import LogSettings
from gridbot.views.live_view import LiveView, summary_text
from gridbot.views.status import StatusFile
from gridbot.words.bot_logs import bot_logs
from gridcore.errors import GridcoreError

if TYPE_CHECKING:
    from paper_exchange.runtime import PaperRuntime

FAILED, IN_USE = 1, 3
DRAW_EVERY_S = 0.5

console = Console(emoji=False, highlight=False, soft_wrap=True)


class NothingRunsError(Exception):
    """Every strategy was stopped; the alerts say why."""


EXIT_CODES: ExitCodes = {
    InUseError: IN_USE,
    **dict.fromkeys(
        (
            ConfigFileError, GridcoreError, GridDbError, StartError, SpoolError, NothingRunsError,
            PortTakenError, TelegramRefusedError, ValueError, OSError,
        ),
        FAILED,
    ),
}  # fmt: skip


def run_bot(
    config: str | Path | None,
    *,
    check: bool = False,
    save_events: bool = False,
    live: bool = False,
    duration: float | None = None,
    debug: bool = False,
) -> None:
    """Run what the configuration says, or check it. Raises the errors of EXIT_CODES.

    `duration` is in seconds; without it the bot runs until a signal or a command stops it.
    """
    settings = load_gridbot_config(config)
    if save_events:
        settings = settings.model_copy(update={"save_events": True})
    redactor = Redactor.of_config(settings)
    if live or check:
        quiet = settings.log.model_copy(update={"console": False})
        settings = settings.model_copy(update={"log": quiet})
    if check:
        with _logs(settings.log.model_copy(update={"file": None}), redactor, debug=debug):
            asyncio.run(_check(settings))
        return
    lock = InstanceLock(settings)
    if holder := lock.holder():
        raise InUseError(holder)
    with _failed_start_noted(settings, lock) as start:
        if problems := folder_problems(settings):
            raise StartError("\n".join(problems))
        with lock, _logs(settings.log, redactor, debug=debug):
            asyncio.run(_run(settings, redactor, duration, start, live=live))


@contextmanager
def _logs(settings: LogSettings, redactor: Redactor, *, debug: bool) -> Iterator[None]:
    logs = bot_logs(settings, redactor, debug=debug)
    try:
        yield
    finally:
        logs.close()


class _Start:
    """Whether the start is over, so that what fails from then on is no failed start."""

    def __init__(self) -> None:
        self.is_over = False


@contextmanager
def _failed_start_noted(config: GridbotConfig, lock: InstanceLock) -> Iterator[_Start]:
    """Let the status file not go on to say that all is as it should be when a start fails."""
    start = _Start()
    try:
        yield start
    except Exception as error:
        if not start.is_over:
            # whoever holds the lock by now tells of itself
            with contextlib.suppress(OSError, InUseError), lock:
                StatusFile(config.status_path).start_failed(str(error))
        raise


@asynccontextmanager
async def _exchange(
    config: GridbotConfig, *, keep_state: bool = True
) -> AsyncIterator[PaperRuntime | None]:
    """Run the exchange that the bot brings along, where an account trades on it."""
    if config.paper is None or not any(one.is_embedded for one in config.accounts):
        yield None
        return
    # a bot that trades on Bybit loads no exchange
    from gridbot.embedded import embedded_exchange  # noqa: PLC0415

    async with embedded_exchange(config.paper, keep_state=keep_state) as runtime:
        yield runtime


def _port(runtime: PaperRuntime | None) -> int | None:
    return None if runtime is None else runtime.server.port


async def _check(config: GridbotConfig) -> None:
    holder = InstanceLock(config).holder()
    machine = await asyncio.to_thread(look_at_machine, config, is_running=holder is not None)
    if config.paper is not None:
        # of a bot that runs, neither the port nor the exchange's state is to be touched
        update = {} if holder is None else {"port": 0}
        config = config.model_copy(update={"paper": config.paper.model_copy(update=update)})
    async with _exchange(config, keep_state=False) as runtime:
        findings = await check_accounts(config, _port(runtime))
    print_machine(console, machine, holder)
    print_check(console, findings)
    problems = machine.problems + [problem for one in findings for problem in one.problems]
    if problems:
        raise StartError("\n".join(([] if holder is None else [holder]) + problems))
    if holder is not None:
        raise InUseError(holder)


async def _run(
    config: GridbotConfig,
    redactor: Redactor,
    duration: float | None,
    start: _Start,
    *,
    live: bool,
) -> None:
    machine = await asyncio.to_thread(look_at_machine, config)
    if machine.problems:
        raise StartError("\n".join(machine.problems))
    async with _exchange(config) as runtime:
        bot = Orchestrator(config, redactor, embedded_port=_port(runtime))
        loop = asyncio.get_running_loop()
        signals = _Signals(bot)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signals.take)
        if not await _start(bot):
            return
        start.is_over = True
        avoid_pauses()
        console.print(_greeting(config, runtime), markup=False)
        for strat_id, text in bot.sizes.items():
            console.print(f"{strat_id}: {text}", markup=False)
        view = asyncio.create_task(_draw(bot)) if live else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bot.run_until_stopped(), duration)
        if not bot.stopped.is_set():
            bot.request_stop()  # --duration is over
        if view is not None:
            view.cancel()
            await asyncio.gather(view, return_exceptions=True)
        last = await bot.stop()
        console.print(summary_text(last, datetime.now(UTC)), markup=False)
        _tie(runtime, last.accounts)
    if bot.runners and all(one.stopped_because is not None for one in bot.runners):
        reasons = [f"{one.strat_id}: {one.stopped_because}" for one in bot.runners]
        raise NothingRunsError("\n".join(reasons))


async def _start(bot: Orchestrator) -> bool:
    """Start, unless a signal comes first: then what began is undone, and False."""
    starting = asyncio.create_task(bot.start())
    stopping = asyncio.create_task(bot.run_until_stopped())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
        return True
    return False


class _Signals:
    """The first signal ends the bot in order, the second one at once."""

    def __init__(self, bot: Orchestrator) -> None:
        self._bot = bot
        self._count = 0

    def take(self) -> None:
        """Take one; runs on the event loop."""
        self._count += 1
        if self._count > 1:
            # whoever asks again wants it now, whatever a thread still waits for
            os._exit(FAILED)
        self._bot.request_stop()


def _greeting(config: GridbotConfig, runtime: PaperRuntime | None) -> str:
    names = ", ".join(f"{one.strat_id} ({one.symbol})" for one in config.strategies)
    where = f" on a local exchange at {runtime.server.base_url}" if runtime is not None else ""
    return f"trading{where}: {names}"


async def _draw(bot: Orchestrator) -> None:
    with LiveView(console) as view:
        while True:
            view.show(bot.snapshot(), datetime.now(UTC))
            await asyncio.sleep(DRAW_EVERY_S)


def _tie(runtime: PaperRuntime | None, accounts: Sequence[Any]) -> None:
    """Say whether the embedded exchange holds the same money as the bot's books."""
    if runtime is None:
        return
    for account in accounts:
        theirs = runtime.exchange.accounts.get(account.name)
        if theirs is None or account.wallet_balance is None:
            continue
        difference = account.wallet_balance - theirs.money.wallet
        verdict = "equal" if not difference else f"DIFFERENT by {difference}"
        console.print(
            f"{account.name}: the exchange's wallet is {theirs.money.wallet:f} USDT:"
            f" {verdict} to the bot's books",
            markup=False,
        )
