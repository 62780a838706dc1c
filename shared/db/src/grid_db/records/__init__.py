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

# by the names of what they are: User is a UserRecord
Alert = AlertRecord
BybitAccount = BybitAccountRecord
CaptureGap = CaptureGapRecord
FundingRate = FundingRateRecord
GridSnapshot = GridSnapshotRecord
Instrument = InstrumentRecord
Kline = KlineRecord
Order = OrderRecord
PositionSnapshot = PositionSnapshotRecord
PrivateExecution = PrivateExecutionRecord
PublicTrade = PublicTradeRecord
RiskLimitTier = RiskLimitTierRecord
Run = RunRecord
Strategy = StrategyRecord
TickerSnapshot = TickerSnapshotRecord
User = UserRecord
WalletSnapshot = WalletSnapshotRecord

__all__ = [
    "ALL_SYMBOLS",
    "Alert",
    "AlertRecord",
    "ApiCredential",
    "BybitAccount",
    "BybitAccountRecord",
    "CaptureGap",
    "CaptureGapRecord",
    "FundingRate",
    "FundingRateRecord",
    "GridSnapshot",
    "GridSnapshotRecord",
    "Instrument",
    "InstrumentRecord",
    "Kline",
    "KlineRecord",
    "Order",
    "OrderRecord",
    "PositionSnapshot",
    "PositionSnapshotRecord",
    "PrivateExecution",
    "PrivateExecutionRecord",
    "PublicTrade",
    "PublicTradeRecord",
    "RiskLimitTier",
    "RiskLimitTierRecord",
    "Run",
    "RunRecord",
    "Strategy",
    "StrategyRecord",
    "TickerSnapshot",
    "TickerSnapshotRecord",
    "User",
    "UserRecord",
    "WalletSnapshot",
    "WalletSnapshotRecord",
]
