"""Settings of the daemon: environment variables EVENTSAVER_..., or a file of them."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bybit_adapter import Environment
from gridcore import ConfigError

if TYPE_CHECKING:
    from event_saver.writers.limits import WriteLimits

__all__ = ["PREFIX", "PUBLIC_ARCHIVE", "ConfigError", "EventSaverConfig", "load_config"]

PREFIX = "EVENTSAVER_"
PUBLIC_ARCHIVE = "https://public.bybit.com/trading"
_SECRETS = ("database_url", "api_key", "api_secret")
_SYMBOL = re.compile(r"[A-Z0-9]{2,30}")


class EventSaverConfig(BaseSettings):
    """Everything that can be set; keys and passwords are in no repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    symbols: str = Field(
        default="",
        description="Contracts, separated by commas; none: no market, all contracts of accounts.",
    )
    testnet: bool = Field(default=True, description="Bybit's testnet, unless ENVIRONMENT is set.")
    environment: str | None = Field(
        default=None, description="mainnet, testnet, demo, or the URL of a local exchange."
    )
    database_url: SecretStr = Field(default=SecretStr("sqlite:///gridbot.db"))
    batch_size: int = Field(default=100, ge=1, le=100_000, description="Rows that start a write.")
    flush_interval: float = Field(default=5.0, gt=0, le=600, description="Seconds a row may wait.")
    gap_threshold_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Shorter holes of tickers, positions, wallet are not noted.",
    )
    memory_rows: int = Field(default=50_000, ge=1_000, description="Rows all buffers may hold.")
    spool_dir: Path = Field(default=Path("var/event_saver"), description="Folder of its own.")
    spool_max_mb: int = Field(default=1_024, ge=1, description="What the spool may use.")
    metrics_port: int | None = Field(
        default=9109, ge=0, le=65_535, description="0: any free port; empty: none."
    )
    metrics_host: str = "127.0.0.1"
    accounts: str = Field(
        default="", description="user/account, separated by commas; keys are in the database."
    )
    user: str = Field(default="default", min_length=1, description="Whose account API_KEY is.")
    account: str = Field(
        default="main", min_length=1, description="Name of the account of API_KEY."
    )
    api_key: SecretStr | None = None
    api_secret: SecretStr | None = None
    archive_url: str | None = Field(
        default=None, description="Where daily trades appear; default Bybit's, for mainnet."
    )
    audit_interval: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Seconds between checks of executions against REST.",
    )
    symbol_interval: float = Field(
        default=60.0,
        gt=0,
        le=86_400,
        description="Seconds between looks at contracts and accounts that are not captured.",
    )

    @field_validator("environment", "metrics_port", "archive_url", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("api_key", "api_secret", mode="before")
    @classmethod
    def _no_key(cls, value: Any) -> Any:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return None if text is None or not str(text).strip() else str(text).strip()

    @field_validator("archive_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is no address; write for example {PUBLIC_ARCHIVE}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> EventSaverConfig:
        if (self.api_key is None) != (self.api_secret is None):
            raise ValueError(f"{PREFIX}API_KEY and {PREFIX}API_SECRET belong together; set both")
        if (
            self.environment is not None
            and "testnet" in self.model_fields_set
            and (self.environment == "testnet") != self.testnet
        ):
            raise ValueError(
                f"{PREFIX}ENVIRONMENT is {self.environment} but {PREFIX}TESTNET is"
                f" {str(self.testnet).lower()}; leave {PREFIX}TESTNET out"
            )
        self.get_environment()
        self.get_accounts()
        return self

    def get_symbols(self) -> list[str]:
        """Return the contracts in the order given, none for accounts alone.

        Raises ConfigError where nothing at all is named.
        """
        names = [name.strip().upper() for name in self.symbols.split(",") if name.strip()]
        if not names and self.api_key is None and not self.get_accounts():
            raise ConfigError(
                f"there are no symbols to capture; set {PREFIX}SYMBOLS, for example BTCUSDT,ETHUSDT"
                " (only an account can be captured without, with all its contracts)"
            )
        for name in names:
            if not _SYMBOL.fullmatch(name):
                raise ConfigError(
                    f"{PREFIX}SYMBOLS has {name!r}, which is no contract; write BTCUSDT,ETHUSDT"
                )
        return list(dict.fromkeys(names))

    def get_environment(self) -> Environment:
        """Return the place to connect to. Raises ConfigError for an unknown one."""
        name = self.environment or ("testnet" if self.testnet else "mainnet")
        try:
            if "://" not in name:
                return Environment.named(name)
            parts = urlsplit(name)
            if parts.hostname is None or parts.port is None or parts.scheme != "http":
                raise ValueError(f"{name!r} is no address of a local exchange")
            return Environment.local(parts.port, parts.hostname)
        except ValueError as error:
            raise ConfigError(
                f"{PREFIX}ENVIRONMENT: {error}; set mainnet, testnet, demo or for example"
                " http://127.0.0.1:8899"
            ) from None

    def get_accounts(self) -> list[tuple[str, str]]:
        """Return (user, account) of the accounts whose keys are in the database."""
        found = []
        for entry in filter(None, (part.strip() for part in self.accounts.split(","))):
            user, slash, account = entry.partition("/")
            if not slash or not user.strip() or not account.strip():
                raise ConfigError(
                    f"{PREFIX}ACCOUNTS has {entry!r}; write user/account, for example alice/main"
                )
            found.append((user.strip(), account.strip()))
        return found

    def get_limits(self) -> WriteLimits:
        """Return when rows are written."""
        # the writers come with the database, which settings do without
        from event_saver.writers.limits import WriteLimits  # noqa: PLC0415

        return WriteLimits(
            batch_size=self.batch_size,
            flush_interval_s=self.flush_interval,
            memory_rows=self.memory_rows,
        )

    def get_archive_url(self) -> str | None:
        """Return where daily trades appear, None where there are none."""
        if self.archive_url is not None:
            return self.archive_url.rstrip("/")
        return PUBLIC_ARCHIVE if self.get_environment().name == "mainnet" else None


def load_config(file: Path | None = None) -> EventSaverConfig:
    """Read the settings from the environment, and from a file of NAME=value lines where given.

    The environment wins over the file. Raises ConfigError.
    """
    if file is not None and not file.is_file():
        raise ConfigError(f"{file}: there is no such file; see conf/event_saver.env.example")
    names = [name.upper() for name in os.environ]
    if file is not None:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        names += [
            line.partition("=")[0].removeprefix("export ").strip().upper()
            for line in map(str.strip, lines)
            if not line.startswith("#")
        ]
    known = [PREFIX + name.upper() for name in EventSaverConfig.model_fields]
    for name in names:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ConfigError(
                f"{name} is no setting; " + (f"set {close[0]}" if close else "leave it out")
            )
    try:
        return EventSaverConfig(_env_file=file)  # type: ignore[call-arg]  # pydantic-settings' own argument
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = "_".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        if not name:
            raise ConfigError(message) from None
        # what was given helps to find it, unless it is a key
        shown = "" if name in _SECRETS else f" is {str(fault['input'])!r}"
        raise ConfigError(f"{PREFIX}{name.upper()}{shown}: {message}") from None
