"""The key pair of an account in the database: stored encrypted, or deleted."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from pydantic import SecretStr, ValidationError
from rich.console import Console

from grid_config.yaml_config import ConfigFileError, load_yaml_config
from grid_db import DatabaseFactory, TenantScope, UserRepository
from grid_db.crypto import CredentialCipher
from grid_db.errors import GridDbError
from grid_service.command import ExitCodes
from gridbot.settings.account_config import AccountConfig
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_file import config_path

EXIT_CODES: ExitCodes = dict.fromkeys((ConfigFileError, GridDbError, ValueError), 1)

console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def change_keys(account: str, config: str | Path | None, *, delete: bool) -> None:
    """Ask for the key pair of an account and store it, or delete what is stored.

    Raises the errors of EXIT_CODES.
    """
    path = config_path(config)
    settings = load_yaml_config(path, GridbotConfig)
    try:
        one = settings.account(account)
    except KeyError:
        known = ", ".join(known.name for known in settings.accounts)
        raise ValueError(f"{account} is no account of {path}; there is {known}") from None
    cipher = CredentialCipher.from_environment()
    with DatabaseFactory(settings.database_settings()) as database:
        database.create_tables()
        with database.get_session() as session:
            user = UserRepository(session).get_or_create(settings.user)
        if delete:
            was_there = _delete(database, user.id, one, cipher)
            console.print("deleted" if was_there else "there was none")
            return
        key, secret = _ask("API key"), _ask("API secret")
        _check(one, key, secret)
        with database.get_session() as session:
            scope = TenantScope(session, user.id)
            row = scope.accounts.get_or_create(one.name, one.environment)
            scope.credentials(cipher).store(row.id, key, secret)
        console.print(
            f"stored for account {one.name} ({one.environment}) of user {settings.user} in"
            f" {database.redacted_url}; api_key and api_secret may be left out of {path} now"
        )


def _check(account: AccountConfig, key: SecretStr, secret: SecretStr) -> None:
    """Apply the rules for keys of the file. Raises ValueError."""
    try:
        AccountConfig(
            name=account.name, environment=account.environment, api_key=key, api_secret=secret
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{'.'.join(map(str, first['loc']))} {text}") from None


def _delete(
    database: DatabaseFactory, user_id: str, account: AccountConfig, cipher: CredentialCipher
) -> bool:
    with database.get_session() as session:
        scope = TenantScope(session, user_id)
        row = scope.accounts.get_by_name(account.name)
        return row is not None and scope.credentials(cipher).delete(row.id)


def _ask(what: str) -> SecretStr:
    if sys.stdin.isatty():
        return SecretStr(getpass.getpass(f"{what}: ").strip())
    return SecretStr(sys.stdin.readline().strip())
