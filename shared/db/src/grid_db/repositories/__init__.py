"""Repositories, one domain a module.

Those that take a user are handed out by `TenantScope`; those that take a session alone hold market
data, shared by all tenants, or, for users, are the administrator's.
"""

from grid_db.repositories.accounts import BybitAccountRepository
from grid_db.repositories.credentials import ApiCredentialRepository
from grid_db.repositories.executions import EXECUTION_TABLE, PrivateExecutionRepository
from grid_db.repositories.gaps import CaptureGapRepository, MarketGapRepository
from grid_db.repositories.journal import AlertRepository, GridSnapshotRepository
from grid_db.repositories.orders import ORDER_TABLE, OrderRepository
from grid_db.repositories.public_trades import TRADE_TABLE, PublicTradeRepository
from grid_db.repositories.reading import RowRange
from grid_db.repositories.reference import (
    FundingRateRepository,
    InstrumentRepository,
    KlineRepository,
    RiskLimitTierRepository,
)
from grid_db.repositories.runs import RunRepository
from grid_db.repositories.scope import TenantScope
from grid_db.repositories.snapshots import (
    POSITION_TABLE,
    WALLET_TABLE,
    PositionSnapshotRepository,
    WalletSnapshotRepository,
)
from grid_db.repositories.strategies import StrategyRepository
from grid_db.repositories.ticker_snapshots import TICKER_TABLE, TickerSnapshotRepository
from grid_db.repositories.users import UserRepository

__all__ = [
    "EXECUTION_TABLE",
    "ORDER_TABLE",
    "POSITION_TABLE",
    "TICKER_TABLE",
    "TRADE_TABLE",
    "WALLET_TABLE",
    "AlertRepository",
    "ApiCredentialRepository",
    "BybitAccountRepository",
    "CaptureGapRepository",
    "FundingRateRepository",
    "GridSnapshotRepository",
    "InstrumentRepository",
    "KlineRepository",
    "MarketGapRepository",
    "OrderRepository",
    "PositionSnapshotRepository",
    "PrivateExecutionRepository",
    "PublicTradeRepository",
    "RiskLimitTierRepository",
    "RowRange",
    "RunRepository",
    "StrategyRepository",
    "TenantScope",
    "TickerSnapshotRepository",
    "UserRepository",
    "WalletSnapshotRepository",
]
