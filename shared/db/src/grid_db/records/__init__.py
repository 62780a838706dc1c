"""What repositories take and return: frozen values that outlive their session."""

from grid_db.records.journal import (
    ALL_SYMBOLS,
    AlertRecord,
    CaptureGapRecord,
    GridSnapshotRecord,
)
from grid_db.records.market import (
    FundingRateRecord,
    InstrumentRecord,
    KlineRecord,
    PublicTradeRecord,
    RiskLimitTierRecord,
    TickerSnapshotRecord,
)
from grid_db.records.tenants import (
    ApiCredential,
    BybitAccountRecord,
    RunRecord,
    StrategyRecord,
    UserRecord,
)
from grid_db.records.trading import (
    OrderRecord,
    PositionSnapshotRecord,
    PrivateExecutionRecord,
    WalletSnapshotRecord,
)

__all__ = [
    "ALL_SYMBOLS",
    "AlertRecord",
    "ApiCredential",
    "BybitAccountRecord",
    "CaptureGapRecord",
    "FundingRateRecord",
    "GridSnapshotRecord",
    "InstrumentRecord",
    "KlineRecord",
    "OrderRecord",
    "PositionSnapshotRecord",
    "PrivateExecutionRecord",
    "PublicTradeRecord",
    "RiskLimitTierRecord",
    "RunRecord",
    "StrategyRecord",
    "TickerSnapshotRecord",
    "UserRecord",
    "WalletSnapshotRecord",
]
