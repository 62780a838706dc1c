"""Takes the opening orders away when the bot is silent for too long."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bybit_adapter import BybitRestClient
from grid_service.command import ExitCodes
from grid_service.redaction import Redactor
from gridbot.alerts.alerts import AlertKey, Alerts
from gridbot.alerts.notifier import Notifier, telegram_chat
from gridbot.alerts.telegram_api import TelegramRefusedError
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import ConfigFileError, load_gridbot_config
from gridbot.views.status import GridKey, StatusFile
from gridbot.watchdog.attendance import Attendance, Roll
from gridbot.watchdog.heartbeat import HeartbeatLook, HeartbeatState, HeartbeatWatch
from gridbot.watchdog.orders import OrderCalls, SymbolReport, cancel_opening
from gridbot.words.bot_logs import bot_logs

log = logging.getLogger(__name__)

WRONG_START, FAILED = 1, 2

Connect = Callable[[AccountConfig], OrderCalls]


class NothingToWatchError(Exception):
    """No account of the configuration has an exchange that this process could reach."""


class NotDoneError(Exception):
    """Nothing was known of a strategy, or an order could not be cancelled."""


EXIT_CODES: ExitCodes = {
    NotDoneError: FAILED,
    **dict.fromkeys(
        (ConfigFileError, NothingToWatchError, TelegramRefusedError, ValueError), WRONG_START
    ),
}


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
    return BybitRestClient(*keys.hidden(), account.place())


class Watchdog:
    """Looks at the heartbeat; acts for what nobody looks after, and again while that stays so."""

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
        self._attendance = Attendance(
            [(one.account.name, symbol) for one in self._accounts for symbol in one.symbols],
            config.watchdog.stale_after,
        )
        self._clients: dict[str, OrderCalls] = {}
        self._state: HeartbeatState | None = None
        self._blind = _Patience(config.watchdog.stale_after)
        self._unlisted = _Patience(config.watchdog.stale_after)
        self._act_at: dict[GridKey, float] = {}
        self._acted: set[GridKey] = set()

    def look(self) -> HeartbeatLook:
        """Read the heartbeat and judge it."""
        return self.heartbeat.look(datetime.now(UTC), self._clock())

    def step(self) -> bool:
        """Look once and do what is to be done; False when something could not be done."""
        look, now = self.look(), self._clock()
        roll = self._attendance.call(look, now)
        if look.state is not self._state:
            log.log(_LEVELS[look.state], "%s: %s", look.state, look.reason)
            self._state = look.state
        back = self._acted & roll.attended if look.state is HeartbeatState.FRESH else set()
        if back:
            self._alerts.alert(AlertKey.WATCHDOG_BOT_BACK, f"{look.reason}: {_names(back)}")
            self._acted -= back
        self._act_at = {grid: at for grid, at in self._act_at.items() if grid in roll.neglected}
        is_known = self._tell_what_is_unknown(look, roll, now)
        due = {
            grid: reason
            for grid, reason in roll.neglected.items()
            if now >= self._act_at.get(grid, now)
        }
        is_done = not due or self._act(due)
        return is_known and is_done

    def _tell_what_is_unknown(self, look: HeartbeatLook, roll: Roll, now: float) -> bool:
        """Alert, once each, that nothing is known of the bot or of a grid; True if all is known."""
        is_blind = look.state is HeartbeatState.BLIND
        # a bot that is just being started gets its time, then somebody is told
        if self._blind.is_over(is_blind, now):
            self._alerts.alert(
                AlertKey.WATCHDOG_BLIND, f"{look.reason}; orders are not looked after"
            )
        if self._unlisted.is_over(bool(roll.unlisted), now):
            self._alerts.alert(
                AlertKey.WATCHDOG_BLIND,
                f"the heartbeat does not list {_names(roll.unlisted)}; whether their orders are"
                " looked after is not known: do the bot and the watchdog have the same"
                " configuration?",
                about="unlisted",
            )
        return not is_blind and not roll.unlisted

    def _act(self, due: dict[GridKey, str]) -> bool:
        reports: list[SymbolReport] = []
        for one in self._accounts:
            symbols = [symbol for symbol in one.symbols if (one.account.name, symbol) in due]
            if not symbols or not self._is_neglected(one.account.name, symbols):
                continue
            reports += self._cancel(one.account, symbols)
        text = "; ".join(dict.fromkeys(due.values()))
        text += ". " + "; ".join(report.text() for report in reports)
        failed = {(one.account, one.symbol) for one in reports if one.failure}
        cancelled = sum(len(report.cancelled) for report in reports)
        if failed:
            self._alerts.alert(AlertKey.WATCHDOG_FAILED, f"{text}. Trying again.")
        elif cancelled or due.keys() - self._acted:
            self._alerts.alert(AlertKey.WATCHDOG_CANCELLED, f"{text}. Positions were not touched.")
        self._acted |= due.keys()
        now, settings = self._clock(), self._settings
        for grid in due:
            wait_s = settings.check_interval if grid in failed else settings.repeat_interval
            self._act_at[grid] = now + wait_s
        return not failed

    def _cancel(self, account: AccountConfig, symbols: list[str]) -> list[SymbolReport]:
        try:
            calls = self._clients.get(account.name) or self._connect(account)
        except ValueError as error:
            return [SymbolReport(account.name, symbol, failure=str(error)) for symbol in symbols]
        self._clients[account.name] = calls
        return cancel_opening(
            calls, account.name, symbols, lambda: self._is_neglected(account.name, symbols)
        )

    def _is_neglected(self, account: str, symbols: list[str]) -> bool:
        """Look again: a bot that came back looks after its orders itself."""
        neglected = self._attendance.call(self.look(), self._clock()).neglected
        return all((account, symbol) in neglected for symbol in symbols)

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
        while self.look().state is HeartbeatState.SUSPECT and not stop.is_set():
            # the next heartbeat of a bot that lives may be on its way
            stop.wait(min(0.5, self.heartbeat.watched_s / 4))
        return self.step()

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            if isinstance(client, BybitRestClient):
                client.close()


class _Patience:
    """Says once that something lasts for longer than `after_s`."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._told_at: float | None = None

    def is_over(self, lasts: bool, now: float) -> bool:
        """Take note of how it is; True once each time that it lasts too long."""
        if not lasts:
            self._told_at = None
        elif self._told_at is None:
            self._told_at = now + self._after_s
        elif now >= self._told_at:
            self._told_at = float("inf")
            return True
        return False


def _names(grids: Iterable[GridKey]) -> str:
    return ", ".join(f"{account} {symbol}" for account, symbol in sorted(grids))


_LEVELS = {
    HeartbeatState.FRESH: logging.INFO,
    HeartbeatState.STOPPED: logging.INFO,
    HeartbeatState.SUSPECT: logging.WARNING,
    HeartbeatState.STALE: logging.ERROR,
    HeartbeatState.BLIND: logging.WARNING,
}


def watch(config: str | Path | None, *, once: bool, debug: bool) -> None:
    """Watch until a signal, or judge once. Raises the errors of EXIT_CODES."""
    settings = load_gridbot_config(config)
    redactor = Redactor.of_config(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # the bot owns the log file; this process writes where its supervisor reads
    console_only = settings.log.model_copy(update={"file": None, "console": True})
    logs = bot_logs(console_only, redactor, debug=debug)
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
