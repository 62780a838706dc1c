"""Accounts to be captured: given by a caller, or named in the settings and found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from bybit_adapter import AuthError, BybitError, BybitRestClient, ClockSkew, Environment, Hidden
from event_saver.basics.owner import Owner
from event_saver.settings.config import ConfigError, EventSaverConfig
from grid_db import (
    CredentialCipher,
    DatabaseFactory,
    RunStatus,
    RunType,
    SnapshotSource,
    TenantScope,
    UserRepository,
)
from grid_db import Environment as StoredEnvironment

STALE = timedelta(minutes=10)  # a run without a sign of life for so long has ended


@dataclass(frozen=True, slots=True)
class AccountContext:
    """One account to be captured, with its own keys, environment and symbols.

    Executions and orders belong to a run: without run_id only positions and wallet are kept.
    Without symbols every contract is captured that the account has something to do with.
    environment is mainnet, testnet, demo, or where a local exchange is.
    """

    account_id: str | UUID
    user_id: str | UUID
    run_id: str | UUID | None
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    environment: str | Environment
    symbols: Sequence[str]

    def __post_init__(self) -> None:
        for name in ("api_key", "api_secret"):
            object.__setattr__(self, name, Hidden(getattr(self, name)))

    @property
    def place(self) -> Environment:
        """Where the account is. Raises ValueError for an unknown name."""
        if isinstance(self.environment, Environment):
            return self.environment
        return Environment.named(self.environment)

    @property
    def owner(self) -> Owner:
        """Whose rows its rows are."""
        is_local = self.place.name == "custom"
        return Owner(
            user_id=str(self.user_id),
            account_id=str(self.account_id),
            run_id=None if self.run_id is None else str(self.run_id),
            source=SnapshotSource.PAPER if is_local else SnapshotSource.LIVE,
        )


def name_of(environment: Environment) -> str:
    """Return what people call an environment: its name, or where a local exchange is."""
    return environment.rest_url if environment.name == "custom" else environment.name


def stored_environment(environment: Environment) -> StoredEnvironment:
    """Return the database's word for an environment."""
    if environment.name == "custom":
        return StoredEnvironment.PAPER
    return StoredEnvironment(environment.name)


@dataclass(frozen=True, slots=True)
class MissingAccount:
    """An account that the settings name and that cannot be captured, with a sentence why.

    `find` looks again: it returns the context with a new run, or raises ConfigError or GridDbError.
    """

    name: str
    why: str
    find: Callable[[], AccountContext]


def find_accounts(
    config: EventSaverConfig, database: DatabaseFactory
) -> tuple[list[tuple[str, AccountContext]], list[MissingAccount]]:
    """Return (user/account, context) of the accounts that the settings name, each with a new run.

    What is wrong with one of them is told beside them and does not keep the others from being
    captured. Blocking. Raises GridDbError.
    """
    finders: dict[str, Callable[[], AccountContext]] = {}
    if config.api_key is not None and config.api_secret is not None:
        keys = (config.api_key.get_secret_value(), config.api_secret.get_secret_value())
        finders[f"{config.user}/{config.account}"] = partial(
            _begin, config, database, config.user, config.account, keys, may_create=True
        )
    cipher = CredentialCipher.from_environment() if config.get_accounts() else None
    for user, account in config.get_accounts():
        finders[f"{user}/{account}"] = partial(
            _begin, config, database, user, account, cipher, may_create=False
        )
    found, missing = [], []
    for name, find in finders.items():
        try:
            found.append((name, find()))
        except ConfigError as error:
            missing.append(MissingAccount(name, str(error), find))
    return found, missing


def _begin(
    config: EventSaverConfig,
    database: DatabaseFactory,
    user_name: str,
    account_name: str,
    keys: tuple[str, str] | CredentialCipher | None,
    *,
    may_create: bool,
) -> AccountContext:
    name = f"{user_name}/{account_name}"
    environment = config.get_environment()
    with database.get_session() as session:
        users = UserRepository(session)
        user = users.get_or_create(user_name) if may_create else users.get_by_name(user_name)
    if user is None:
        raise ConfigError(f"EVENTSAVER_ACCOUNTS names {name}, but there is no user {user_name}")
    now = datetime.now(UTC)
    with database.get_session() as session:
        scope = TenantScope(session, user.id)
        account = (
            scope.accounts.get_or_create(account_name, stored_environment(environment))
            if may_create
            else scope.accounts.get_by_name(account_name)
        )
        if account is None:
            raise ConfigError(f"EVENTSAVER_ACCOUNTS names {name}, but there is no such account")
        if account.environment is not stored_environment(environment):
            raise ConfigError(
                f"account {name} is of {account.environment}, but this daemon captures"
                f" {stored_environment(environment)}; run one for each environment"
            )
        if isinstance(keys, CredentialCipher):
            credential = scope.credentials(keys).get(account.id)
            if credential is None:
                raise ConfigError(f"account {name} has no API key in the database; store one")
            keys = (
                credential.api_key.get_secret_value(),
                credential.api_secret.get_secret_value(),
            )
        assert keys is not None  # noqa: S101 - a cipher or a pair is always given
        run = scope.runs.create(
            RunType.RECORDING,
            now,
            account_id=account.id,
            config={"symbols": config.get_symbols(), "environment": environment.name},
        )
    return AccountContext(
        account.id, user.id, run.id, *keys, environment, tuple(config.get_symbols())
    )


def end_runs(database: DatabaseFactory, contexts: Sequence[AccountContext]) -> None:
    """Note that the runs of these accounts have ended. Blocking."""
    for context in contexts:
        if context.run_id is not None:
            with database.get_session() as session:
                runs = TenantScope(session, context.user_id).runs
                runs.finish(context.run_id, RunStatus.COMPLETED, datetime.now(UTC))


def beat(database: DatabaseFactory, contexts: Sequence[AccountContext]) -> None:
    """Note that the runs of these accounts are alive. Blocking."""
    for context in contexts:
        if context.run_id is not None:
            with database.get_session() as session:
                runs = TenantScope(session, context.user_id).runs
                runs.heartbeat(context.run_id, datetime.now(UTC))


def check_key(name: str, context: AccountContext) -> str | None:
    """Ask the exchange whether it takes the account's key; return what is wrong. Blocking."""
    place = context.place
    with BybitRestClient(context.api_key, context.api_secret, place) as client:
        try:
            client.get_account_info()
        except AuthError as error:
            return (
                f"account {name}: {name_of(place)} refuses the API key (code {error.code}:"
                f" {error.message}); check key and secret, and that they were made for"
                f" {name_of(place)}, as keys of testnet work on testnet only"
            )
        except ClockSkew as error:
            return (
                f"account {name}: the clock of this machine differs from the exchange's"
                f" (code {error.code}); set it"
            )
        except BybitError as error:
            return f"account {name}: the key could not be checked ({error.message})"
    return None
