"""Takes the opening orders away when the bot is silent for too long.

    python -m gridbot.watchdog --config conf/gridbot.yaml [--once]

A small process of its own that reads the bot's status file and does nothing while the heartbeat is
fresh. Exit codes: 0 stopped by a signal, or with --once: nothing was to be done, or it was done;
1 the configuration cannot be used; 2 with --once: there is no heartbeat to read, or an order could
not be cancelled.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bybit_adapter import BybitRestClient
from gridbot.account_config import AccountConfig
from gridbot.alerts import AlertKey, Alerts
from gridbot.config import GridbotConfig
from gridbot.config_file import ConfigFileError, load_gridbot_config
from gridbot.logs import Logs
from gridbot.notifier import Notifier, telegram_chat
from gridbot.redaction import Redactor
from gridbot.status import StatusFile
from gridbot.telegram_api import TelegramRefusedError
from gridbot.watch_heartbeat import HeartbeatWatch, Look, Verdict
from gridbot.watch_orders import OrderCalls, SymbolReport, cancel_opening

log = logging.getLogger(__name__)

DONE, WRONG_START, FAILED = 0, 1, 2

Connect = Callable[[AccountConfig], OrderCalls]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
errors = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


class NothingToWatchError(Exception):
    """No account of the configuration has an exchange that this process could reach."""


class NotDoneError(Exception):
    """There was no heartbeat to read, or an order could not be cancelled."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One account and the symbols on which the bot has orders there."""

    account: AccountConfig
    symbols: tuple[str, ...]


def watched_accounts(config: GridbotConfig) -> list[Watched]:
    """Return the accounts to look after. Raises NothingToWatchError.

    Left out are strategies in shadow mode, which have no orders, and the exchange that the bot
    brings along, which ends with it.
    """
    found = []
    for account in config.accounts:
        live = [one.symbol for one in config.strategies_of(account.name) if not one.shadow_mode]
        if live and not account.is_embedded:
            found.append(Watched(account, tuple(live)))
    if not found:
        raise NothingToWatchError(
            "no account has orders to look after: all strategies are in shadow mode, or trade on"
            " the exchange inside the bot"
        )
    return found


def connect(account: AccountConfig) -> BybitRestClient:
    """Return a client of an account."""
    keys = account.keys
    if keys is None:
        raise ValueError(f"account {account.name} has no keys")
    return BybitRestClient(
        keys.api_key.get_secret_value(), keys.api_secret.get_secret_value(), account.place()
    )


class Watchdog:
    """Looks at the heartbeat; acts once it is stale, and again while it stays so."""

    def __init__(
        self,
        config: GridbotConfig,
        alerts: Alerts,
        *,
        connect: Connect = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises NothingToWatchError."""
        self._accounts = watched_accounts(config)
        self._settings = config.watchdog
        self._alerts = alerts
        self._connect = connect
        self._clock = clock
        self.heartbeat = HeartbeatWatch(
            StatusFile(config.status_path), config.watchdog.stale_after, config.status_interval
        )
        self._clients: dict[str, OrderCalls] = {}
        self._state: Verdict | None = None
        self._blind_since: float | None = None
        self._act_at = 0.0
        self._has_acted = False

    def look(self) -> Look:
        """Read the heartbeat and judge it."""
        return self.heartbeat.look(datetime.now(UTC), self._clock())

    def step(self) -> bool:
        """Look once and do what is to be done; False when something could not be done."""
        look, now = self.look(), self._clock()
        if look.verdict is not self._state:
            log.log(_LEVELS[look.verdict], "%s: %s", look.verdict, look.reason)
            if look.verdict is Verdict.FRESH and self._has_acted:
                self._alerts.alert(AlertKey.WATCHDOG_BOT_BACK, look.reason)
                self._has_acted = False
            self._state, self._act_at, self._blind_since = look.verdict, now, None
        if look.verdict is Verdict.BLIND:
            return self._be_blind(look, now)
        if look.verdict is Verdict.STALE and now >= self._act_at:
            return self._act(look)
        return True

    def _be_blind(self, look: Look, now: float) -> bool:
        if self._blind_since is None:
            self._blind_since = now
            # a bot that is just being started gets its time, then somebody is told, once
            self._act_at = now + self._settings.stale_after
        elif now >= self._act_at:
            self._act_at = float("inf")
            self._alerts.alert(
                AlertKey.WATCHDOG_BLIND, f"{look.reason}; orders are not looked after"
            )
        return False

    def _act(self, look: Look) -> bool:
        reports: list[SymbolReport] = []
        for one in self._accounts:
            if not self._is_still_stale():
                break
            try:
                calls = self._clients.get(one.account.name) or self._connect(one.account)
            except ValueError as error:
                reports.append(SymbolReport(one.account.name, "all", failure=str(error)))
                continue
            self._clients[one.account.name] = calls
            reports += cancel_opening(calls, one.account.name, one.symbols, self._is_still_stale)
        text = f"{look.reason}. " + "; ".join(report.text() for report in reports)
        failed = [report for report in reports if report.failure]
        cancelled = sum(len(report.cancelled) for report in reports)
        if failed:
            self._alerts.alert(AlertKey.WATCHDOG_FAILED, f"{text}. Trying again.")
        elif cancelled or not self._has_acted:
            self._alerts.alert(AlertKey.WATCHDOG_CANCELLED, f"{text}. Positions were not touched.")
        self._has_acted = True
        wait_s = self._settings.check_interval if failed else self._settings.repeat_interval
        self._act_at = self._clock() + wait_s
        return not failed

    def _is_still_stale(self) -> bool:
        return self.look().verdict is Verdict.STALE

    def run(self, stop: threading.Event) -> None:
        """Look again and again until told to stop."""
        while not stop.is_set():
            try:
                self.step()
            except Exception:
                # whatever it was, the next look may find the bot dead
                log.exception("a look failed")
                self._alerts.alert(AlertKey.WATCHDOG_FAILED, "a look failed; the log has it")
            stop.wait(self._settings.check_interval)

    def once(self, stop: threading.Event) -> bool:
        """Look for as long as a judgement takes, act, and return whether all was done."""
        while self.look().verdict is Verdict.SUSPECT and not stop.is_set():
            # the next heartbeat of a bot that lives may be on its way
            stop.wait(min(0.5, self.heartbeat.watched_s / 4))
        return self.step()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            if isinstance(client, BybitRestClient):
                client.close()


_LEVELS = {
    Verdict.FRESH: logging.INFO,
    Verdict.STOPPED: logging.INFO,
    Verdict.SUSPECT: logging.WARNING,
    Verdict.STALE: logging.ERROR,
    Verdict.BLIND: logging.WARNING,
}


@app.command()
def watchdog(
    config: Annotated[
        Path | None, typer.Option("--config", help="The bot's own configuration.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Judge once, act, and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log more.")] = False,
) -> None:
    """Cancel the bot's opening orders when its heartbeat is stale; closing orders stay.

    Exit codes: 0 stopped, or with --once nothing was to be done or it was done; 1 the
    configuration cannot be used; 2 with --once: no heartbeat to read, or an order could not be
    cancelled.
    """
    settings = load_gridbot_config(config)
    redactor = Redactor.of_config(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # the bot owns the log file; this process writes where its supervisor reads
    console_only = settings.log.model_copy(update={"file": None, "console": True})
    logs = Logs(console_only, redactor, debug=debug)
    notifier = Notifier(telegram_chat(settings.notification.telegram), redactor=redactor)
    try:
        dog = Watchdog(settings, notifier)
        notifier.start()
        is_done = True
        if once:
            is_done = dog.once(stop)
        else:
            log.info(
                "watching %s, stale after %g s", settings.status_path, settings.watchdog.stale_after
            )
            dog.run(stop)
        dog.close()
    finally:
        notifier.close()
        logs.close()
    if not is_done:
        raise NotDoneError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    try:
        app(args=None if argv is None else list(argv), prog_name="watchdog")
    except (ConfigFileError, NothingToWatchError, TelegramRefusedError, ValueError) as error:
        for line in str(error).splitlines():
            errors.print(f"watchdog: {line}")
        return WRONG_START
    except NotDoneError:
        return FAILED
    except SystemExit as stopped:
        # complaints about options leave with 2, which means something else here
        return DONE if stopped.code in (None, DONE) else WRONG_START
    return DONE


if __name__ == "__main__":
    sys.exit(main())
