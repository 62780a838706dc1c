"""Users and what they own before anything is traded. Ids are UUID text, times aware UTC."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import SecretStr

from grid_db.enums import AccountEnvironment, RunStatus, RunType


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A tenant."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BybitAccountRecord:
    """One exchange account of the scope's user."""

    id: str
    name: str
    environment: AccountEnvironment
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCredential:
    """A decrypted key pair. Its repr shows neither half."""

    account_id: str
    api_key: SecretStr = field(repr=False)
    api_secret: SecretStr = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRecord:
    """One configured strategy. config_json is the configuration without its secrets."""

    id: str
    account_id: str
    name: str
    symbol: str
    config_json: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One start of a strategy (strategy_id set) or of a capture session (strategy_id None)."""

    id: str
    account_id: str | None
    strategy_id: str | None
    run_type: RunType
    status: RunStatus
    symbol: str | None
    started_at: datetime
    heartbeat_at: datetime | None
    ended_at: datetime | None
    config_json: str | None
    error_message: str | None
