"""From a file to a configuration that can be used: read, checked, every account with its keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import SecretStr

from grid_config.yaml_config import ConfigFileError, load_yaml_config
from grid_db import Environment, account_id_for, user_id_for
from grid_db.errors import GridDbError
from gridbot.settings.account_config import AccountConfig, ApiKeys
from gridbot.settings.config import GridbotConfig
from gridbot.settings.config_checks import problems_of

PATH_VARIABLE = "GRIDBOT_CONFIG_PATH"
DEFAULT_PATH = Path("conf/gridbot.yaml")

__all__ = ["ConfigFileError", "config_path", "load_gridbot_config"]


def config_path(given: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return which file counts: the one given, GRIDBOT_CONFIG_PATH, conf/gridbot.yaml."""
    if given is not None:
        return Path(given)
    named = (os.environ if environ is None else environ).get(PATH_VARIABLE, "").strip()
    return Path(named) if named else DEFAULT_PATH


def load_gridbot_config(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> GridbotConfig:
    """Return the configuration, with the key pair of every account in it.

    Keys that are not given come from the section paper (environment paper) or the database.
    Raises ConfigFileError with one line per fault: file, line, what is wrong, what is right.
    """
    environ = os.environ if environ is None else environ
    path = config_path(path, environ)
    config = load_yaml_config(path, GridbotConfig, environ)
    accounts, faults = [], []
    for number, account in enumerate(config.accounts):
        try:
            keys = account.keys or _found_keys(config, account, environ)
        except (GridDbError, LookupError) as error:
            line = _line_of_account(path, number)
            faults.append(f"{path}:{line}: accounts[{number}]: {error.args[0]}")
            continue
        update = {"api_key": keys.api_key, "api_secret": keys.api_secret}
        accounts.append(account.model_copy(update=update))
    if faults:
        raise ConfigFileError("\n".join(faults))
    config = config.model_copy(update={"accounts": tuple(accounts)})
    # two names may turn out to be one account only now, with keys of the database
    for location, text in problems_of(config):
        if location[0] == "accounts" and location[-1] == "api_key":
            line = _line_of_account(path, int(location[1]))
            raise ConfigFileError(f"{path}:{line}: accounts[{location[1]}].api_key: {text}")
    return config


def _found_keys(
    config: GridbotConfig, account: AccountConfig, environ: Mapping[str, str]
) -> ApiKeys:
    if account.environment is Environment.PAPER and config.paper is not None:
        for one in config.paper.accounts:
            if one.name == account.name:
                key = one.all_keys()[0]
                return ApiKeys(SecretStr(key.key), key.secret)
    return _stored_keys(config, account, environ)


def _stored_keys(
    config: GridbotConfig, account: AccountConfig, environ: Mapping[str, str]
) -> ApiKeys:
    # a configuration is read without a database, unless keys are in one
    from grid_db import CredentialCipher, DatabaseFactory, TenantScope  # noqa: PLC0415

    where = f"account {account.name} has no api_key and api_secret here"
    user_id = user_id_for(config.user)
    with DatabaseFactory(config.database_settings()) as database:
        try:
            cipher = CredentialCipher.from_environment(environ)
            database.check_schema()
            with database.get_session() as session:
                stored = TenantScope(session, user_id).credentials(cipher)
                found = stored.get(account_id_for(user_id, account.name))
        except GridDbError as error:
            raise LookupError(
                f"{where}, and none can be read from the database {database.redacted_url}: {error}"
            ) from None
        if found is None:
            raise LookupError(
                f"{where}, and the database {database.redacted_url} has none for user"
                f" {config.user}; give both, for example ${{BYBIT_API_KEY}} and"
                " ${BYBIT_API_SECRET}, or store them: python -m gridbot.credentials"
            )
    return ApiKeys(found.api_key, found.api_secret)


def _line_of_account(path: Path, number: int) -> int:
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "accounts" and isinstance(value, yaml.SequenceNode):
                return int(value.value[number].start_mark.line) + 1
    return 1
