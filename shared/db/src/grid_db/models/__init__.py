"""The tables. Rows stay inside this library; callers see the records of `grid_db.records`."""

from grid_db.models.base import Base
from grid_db.models.journal import AlertRow, CaptureGapRow, GridSnapshotRow
from grid_db.models.market import (
    FundingRateRow,
    InstrumentRow,
    KlineRow,
    PublicTradeRow,
    RiskLimitTierRow,
    TickerSnapshotRow,
)
from grid_db.models.tenants import (
    ApiCredentialRow,
    BybitAccountRow,
    RunRow,
    StrategyRow,
    UserRow,
)
from grid_db.models.trading import (
    OrderRow,
    PositionSnapshotRow,
    PrivateExecutionRow,
    WalletSnapshotRow,
)

__all__ = [
    "AlertRow",
    "ApiCredentialRow",
    "Base",
    "BybitAccountRow",
    "CaptureGapRow",
    "FundingRateRow",
    "GridSnapshotRow",
    "InstrumentRow",
    "KlineRow",
    "OrderRow",
    "PositionSnapshotRow",
    "PrivateExecutionRow",
    "PublicTradeRow",
    "RiskLimitTierRow",
    "RunRow",
    "StrategyRow",
    "TickerSnapshotRow",
    "UserRow",
    "WalletSnapshotRow",
]
