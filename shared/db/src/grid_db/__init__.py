"""Multi-tenant database library: exact values, isolated tenants, SQLite and PostgreSQL."""

from grid_db.columns import DecimalColumn, TickerColumns, TradeColumns
from grid_db.crypto import CredentialCipher, generate_key
from grid_db.database import DatabaseFactory
from grid_db.enums import (
    AlertSeverity,
    CaptureStream,
    Environment,
    GapStatus,
    PriceKind,
    RunStatus,
    RunType,
    SnapshotSource,
)
from grid_db.errors import (
    ConstraintError,
    DatabaseConfigError,
    DatabaseUnavailableError,
    GridDbError,
    InvalidValueError,
    SchemaError,
    SecretKeyError,
    TenantError,
)
from grid_db.identity import account_id_for, strategy_id_for, user_id_for
from grid_db.records import *  # noqa: F403 - the records are named once, in their package
from grid_db.records import __all__ as _records
from grid_db.repositories import *  # noqa: F403 - the same
from grid_db.repositories import __all__ as _repositories
from grid_db.settings import DatabaseSettings, DatabaseType
from grid_db.urls import redact_db_url

__all__ = [
    "AlertSeverity",
    "CaptureStream",
    "ConstraintError",
    "CredentialCipher",
    "DatabaseConfigError",
    "DatabaseFactory",
    "DatabaseSettings",
    "DatabaseType",
    "DatabaseUnavailableError",
    "DecimalColumn",
    "Environment",
    "GapStatus",
    "GridDbError",
    "InvalidValueError",
    "PriceKind",
    "RunStatus",
    "RunType",
    "SchemaError",
    "SecretKeyError",
    "SnapshotSource",
    "TenantError",
    "TickerColumns",
    "TradeColumns",
    "account_id_for",
    "generate_key",
    "redact_db_url",
    "strategy_id_for",
    "user_id_for",
]
__all__ += _records
__all__ += _repositories
