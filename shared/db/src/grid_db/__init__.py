"""Multi-tenant database library: exact values, isolated tenants, SQLite and PostgreSQL.

Names are loaded when they are first asked for: settings and words cost no database driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from grid_db.columns import DecimalColumn, StoredTickers, TradeColumns
    from grid_db.crypto import CredentialCipher, generate_key
    from grid_db.database import JOURNAL_BOUND_BYTES, DatabaseFactory, JournalState
    from grid_db.enums import (
        AccountEnvironment,
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
    from grid_db.records import (
        ALL_SYMBOLS,
        Alert,
        AlertRecord,
        ApiCredential,
        BybitAccount,
        BybitAccountRecord,
        CaptureGap,
        CaptureGapRecord,
        FundingRate,
        FundingRateRecord,
        GridSnapshot,
        GridSnapshotRecord,
        Instrument,
        InstrumentRecord,
        Kline,
        KlineRecord,
        Order,
        OrderRecord,
        PositionSnapshot,
        PositionSnapshotRecord,
        PrivateExecution,
        PrivateExecutionRecord,
        PublicTrade,
        PublicTradeRecord,
        RiskLimitTier,
        RiskLimitTierRecord,
        Run,
        RunRecord,
        Strategy,
        StrategyRecord,
        TickerSnapshot,
        TickerSnapshotRecord,
        User,
        UserRecord,
        WalletSnapshot,
        WalletSnapshotRecord,
    )
    from grid_db.repositories import (
        EXECUTION_TABLE,
        ORDER_TABLE,
        POSITION_TABLE,
        TICKER_TABLE,
        TRADE_TABLE,
        WALLET_TABLE,
        AlertRepository,
        ApiCredentialRepository,
        BybitAccountRepository,
        CaptureGapRepository,
        FundingRateRepository,
        GridSnapshotRepository,
        InstrumentRepository,
        KlineRepository,
        MarketGapRepository,
        OrderRepository,
        PositionSnapshotRepository,
        PrivateExecutionRepository,
        PublicTradeRepository,
        RiskLimitTierRepository,
        RowRange,
        RunRepository,
        StrategyRepository,
        TenantScope,
        TickerSnapshotRepository,
        UserRepository,
        WalletSnapshotRepository,
    )
    from grid_db.settings import DatabaseSettings, DatabaseType
    from grid_db.tenancy import require_shared_writer
    from grid_db.urls import redact_db_url

__all__ = [
    "ALL_SYMBOLS",
    "EXECUTION_TABLE",
    "JOURNAL_BOUND_BYTES",
    "ORDER_TABLE",
    "POSITION_TABLE",
    "TICKER_TABLE",
    "TRADE_TABLE",
    "WALLET_TABLE",
    "AccountEnvironment",
    "Alert",
    "AlertRecord",
    "AlertRepository",
    "AlertSeverity",
    "ApiCredential",
    "ApiCredentialRepository",
    "BybitAccount",
    "BybitAccountRecord",
    "BybitAccountRepository",
    "CaptureGap",
    "CaptureGapRecord",
    "CaptureGapRepository",
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
    "FundingRate",
    "FundingRateRecord",
    "FundingRateRepository",
    "GapStatus",
    "GridDbError",
    "GridSnapshot",
    "GridSnapshotRecord",
    "GridSnapshotRepository",
    "Instrument",
    "InstrumentRecord",
    "InstrumentRepository",
    "InvalidValueError",
    "JournalState",
    "Kline",
    "KlineRecord",
    "KlineRepository",
    "MarketGapRepository",
    "Order",
    "OrderRecord",
    "OrderRepository",
    "PositionSnapshot",
    "PositionSnapshotRecord",
    "PositionSnapshotRepository",
    "PriceKind",
    "PrivateExecution",
    "PrivateExecutionRecord",
    "PrivateExecutionRepository",
    "PublicTrade",
    "PublicTradeRecord",
    "PublicTradeRepository",
    "RiskLimitTier",
    "RiskLimitTierRecord",
    "RiskLimitTierRepository",
    "RowRange",
    "Run",
    "RunRecord",
    "RunRepository",
    "RunStatus",
    "RunType",
    "SchemaError",
    "SecretKeyError",
    "SnapshotSource",
    "StoredTickers",
    "Strategy",
    "StrategyRecord",
    "StrategyRepository",
    "TenantError",
    "TenantScope",
    "TickerSnapshot",
    "TickerSnapshotRecord",
    "TickerSnapshotRepository",
    "TradeColumns",
    "User",
    "UserRecord",
    "UserRepository",
    "WalletSnapshot",
    "WalletSnapshotRecord",
    "WalletSnapshotRepository",
    "account_id_for",
    "generate_key",
    "redact_db_url",
    "require_shared_writer",
    "strategy_id_for",
    "user_id_for",
]

# in which module each name is
_HOMES = {
    "columns": "DecimalColumn StoredTickers TradeColumns",
    "crypto": "CredentialCipher generate_key",
    "database": "JOURNAL_BOUND_BYTES DatabaseFactory JournalState",
    "enums": (
        "AccountEnvironment AlertSeverity CaptureStream Environment GapStatus PriceKind RunStatus"
        " RunType SnapshotSource"
    ),
    "errors": (
        "ConstraintError DatabaseConfigError DatabaseUnavailableError GridDbError "
        "InvalidValueError SchemaError SecretKeyError TenantError"
    ),
    "identity": "account_id_for strategy_id_for user_id_for",
    "records": (
        "ALL_SYMBOLS Alert AlertRecord ApiCredential BybitAccount BybitAccountRecord "
        "CaptureGap CaptureGapRecord FundingRate FundingRateRecord GridSnapshot "
        "GridSnapshotRecord Instrument InstrumentRecord Kline KlineRecord Order "
        "OrderRecord PositionSnapshot PositionSnapshotRecord PrivateExecution "
        "PrivateExecutionRecord PublicTrade PublicTradeRecord RiskLimitTier "
        "RiskLimitTierRecord Run RunRecord Strategy StrategyRecord TickerSnapshot "
        "TickerSnapshotRecord User UserRecord WalletSnapshot WalletSnapshotRecord"
    ),
    "repositories": (
        "EXECUTION_TABLE ORDER_TABLE POSITION_TABLE TICKER_TABLE TRADE_TABLE WALLET_TABLE "
        "AlertRepository ApiCredentialRepository BybitAccountRepository "
        "CaptureGapRepository FundingRateRepository GridSnapshotRepository "
        "InstrumentRepository KlineRepository MarketGapRepository OrderRepository "
        "PositionSnapshotRepository PrivateExecutionRepository PublicTradeRepository "
        "RiskLimitTierRepository RunRepository StrategyRepository TenantScope "
        "TickerSnapshotRepository RowRange UserRepository WalletSnapshotRepository"
    ),
    "settings": "DatabaseSettings DatabaseType",
    "tenancy": "require_shared_writer",
    "urls": "redact_db_url",
}

__getattr__ = names_of(
    __name__,
    {name: f"grid_db.{home}" for home, names in _HOMES.items() for name in names.split()},
)
