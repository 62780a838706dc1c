"""A capture from settings to exit code: all that it needs opened and checked, then watched over."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from bybit_adapter import BybitError, BybitRestClient, SettingRefused
from event_saver.accounts.contexts import (
    AccountContext,
    MissingAccount,
    check_key,
    end_runs,
    find_accounts,
    name_of,
)
from event_saver.saver import EventSaver
from event_saver.settings.config import ConfigError, EventSaverConfig, load_config
from event_saver.spool.spool import SpoolError
from grid_db import (
    DatabaseFactory,
    DatabaseSettings,
    GridDbError,
    SchemaError,
    require_shared_writer,
)
from grid_service.command import ExitCodes
from grid_service.endpoint import PortTakenError
from grid_service.logs import ConsoleStyle, Logs
from grid_service.redaction import Redactor

log = logging.getLogger(__name__)

EXIT_CODES: ExitCodes = dict.fromkeys((ConfigError, GridDbError, SpoolError, PortTakenError), 1)
# The writing thread computes while frames arrive; shorter turns keep the event loop prompt.
SWITCH_INTERVAL_S = 0.001
END_RUNS_S = 1.0  # beside the 9 s that the rows may take


def run_capture(config: Path | None, *, debug: bool) -> None:
    """Capture until SIGTERM or Ctrl-C. Raises the errors of EXIT_CODES."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    settings = load_config(config)
    level = "debug" if debug else "info"
    with Logs(Redactor.of_config(settings), level=level, console=ConsoleStyle.JSON):
        _capture(settings)


def _capture(settings: EventSaverConfig) -> None:
    """Open what has to be there, and run."""
    symbols = settings.get_symbols()
    with open_database(settings) as database:
        check_symbols(settings, symbols)
        accounts, missing = find_accounts(settings, database)
        contexts = [context for _, context in accounts]
        try:
            for name, context in accounts:
                doubt = check_key(name, context)
                if doubt is not None:
                    # its stream tries on, and says so among the alarms; the rest is captured
                    log.error("%s", doubt)
            log.info(
                "capturing %s of %s into %s; accounts: %s",
                ",".join(symbols) or "all contracts of the accounts, and no market,",
                name_of(settings.get_environment()),
                database.redacted_url,
                ", ".join(name for name, _ in accounts) or "none",
            )
            asyncio.run(_run(settings, database, contexts, missing))
        finally:
            end_in_time(database, contexts)


def end_in_time(database: DatabaseFactory, contexts: Sequence[AccountContext]) -> None:
    """Note that the runs have ended, unless the database takes too long or is away."""

    def work() -> None:
        try:
            end_runs(database, contexts)
        except GridDbError as error:
            log.warning("the runs could not be ended: %s", error)

    thread = threading.Thread(target=work, name="event-saver-end", daemon=True)
    thread.start()
    thread.join(END_RUNS_S)
    if thread.is_alive():
        log.warning("the runs could not be ended: the database is busy")


async def _run(
    settings: EventSaverConfig,
    database: DatabaseFactory,
    contexts: list[AccountContext],
    missing: Sequence[MissingAccount],
) -> None:
    """Capture until a signal; accounts that come later are added to `contexts`."""
    saver = EventSaver(settings, database)
    for context in tuple(contexts):
        await saver.add_account(context)
    for one in missing:
        saver.await_account(one.name, one.find, one.why)
    # A full garbage collection walks all that was imported, and no thread moves meanwhile (70 ms);
    # none of it is ever garbage.
    gc.freeze()
    try:
        await saver.run_until_shutdown()
    finally:
        contexts += [one for one in saver.contexts if one not in contexts]


def open_database(settings: EventSaverConfig) -> DatabaseFactory:
    """Return the database with its tables, made if it has none.

    Raises GridDbError, also for a login that serves one user and may not write market data.
    """
    database = DatabaseFactory(DatabaseSettings(database_url=settings.database_url))
    try:
        try:
            database.check_schema()
        except SchemaError:
            database.create_tables()
        with database.get_session() as session:
            require_shared_writer(session, "market data")
    except GridDbError:
        database.dispose()
        raise
    return database


def check_symbols(settings: EventSaverConfig, symbols: Sequence[str]) -> None:
    """Ask the exchange whether it lists any of the symbols.

    Raises ConfigError where it lists none and there is no account either: then nothing would ever
    be captured. A single one that is not listed is left to the daemon, which looks again.
    """
    refusal = ""
    with BybitRestClient(environment=settings.get_environment()) as client:
        for symbol in symbols:
            try:
                client.get_instrument(symbol)
            except SettingRefused as error:
                refusal = f"{name_of(client.environment)} says: {error.message}"
            except BybitError as error:
                log.warning("the symbols could not be checked: %s", error.message)
                return
            else:
                return
    if settings.api_key is None and not settings.get_accounts():
        raise ConfigError(f"EVENTSAVER_SYMBOLS: {refusal}")
