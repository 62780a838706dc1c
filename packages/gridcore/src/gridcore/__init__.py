"""Pure strategy library of the hedge-mode grid: events in, intents out.

No network, no database, no clock, no environment, no randomness. The same events in the same order
give the same intents, byte for byte.
"""

from gridcore.account import AccountMirror
from gridcore.admission import Admission, Refusal
from gridcore.config import GridConfig
from gridcore.engine import GridEngine
from gridcore.errors import (
    AmountError,
    ConfigError,
    GridcoreError,
    GridError,
    InvalidEventError,
    InvalidInstrumentError,
    OffTickError,
    SnapshotError,
    TierError,
)
from gridcore.events import (
    AccountEvent,
    CancelOutcome,
    CancelResultEvent,
    Event,
    EventType,
    ExchangeOrderStatus,
    ExecutionEvent,
    LegSnapshot,
    OpenOrdersEvent,
    OrderUpdateEvent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    RejectReason,
    TickerEvent,
    WalletSnapshot,
)
from gridcore.grid import Grid, GridLevel, GridSideType
from gridcore.guards import (
    FreeMargin,
    LossBreaker,
    LossReset,
    OrderRate,
    SafetyCaps,
    SameOrderDetector,
    is_affordable,
    is_covered,
)
from gridcore.instrument import InstrumentInfo
from gridcore.intents import (
    CancelIntent,
    CancelReason,
    Intent,
    PlaceLimitIntent,
    client_order_id_for,
    extract_client_order_prefix,
)
from gridcore.legs import Leg
from gridcore.order_desk import OrderDesk, OrdersReport
from gridcore.orders import LimitOrder, OrderBook, OrderStatus, RestingSide, TrackedOrder
from gridcore.persistence import GridAnchorStore
from gridcore.pnl import (
    MMTier,
    MMTiers,
    calc_fee_to_close,
    calc_imr_pct,
    calc_initial_margin,
    calc_liq_ratio,
    calc_maintenance_margin,
    calc_margin_ratio,
    calc_mmr_pct,
    calc_position_value,
    calc_unrealised_pnl,
    calc_unrealised_pnl_pct,
    estimate_liquidation_prices,
    parse_risk_limit_tiers,
)
from gridcore.position import (
    Position,
    PositionRiskManager,
    PositionState,
    RiskConfig,
    RiskRule,
)
from gridcore.qty import AmountKind, AmountSpec, order_qty
from gridcore.quiet import QuietBand
from gridcore.sides import DirectionType, SideType, direction_of
from gridcore.strategy import GridStrategy
from gridcore.strategy_config import StrategyConfig

__all__ = [
    "AccountEvent",
    "AccountMirror",
    "Admission",
    "AmountError",
    "AmountKind",
    "AmountSpec",
    "CancelIntent",
    "CancelOutcome",
    "CancelReason",
    "CancelResultEvent",
    "ConfigError",
    "DirectionType",
    "Event",
    "EventType",
    "ExchangeOrderStatus",
    "ExecutionEvent",
    "FreeMargin",
    "Grid",
    "GridAnchorStore",
    "GridConfig",
    "GridEngine",
    "GridError",
    "GridLevel",
    "GridSideType",
    "GridStrategy",
    "GridcoreError",
    "InstrumentInfo",
    "Intent",
    "InvalidEventError",
    "InvalidInstrumentError",
    "Leg",
    "LegSnapshot",
    "LimitOrder",
    "LossBreaker",
    "LossReset",
    "MMTier",
    "MMTiers",
    "OffTickError",
    "OpenOrdersEvent",
    "OrderBook",
    "OrderDesk",
    "OrderRate",
    "OrderStatus",
    "OrderUpdateEvent",
    "OrdersReport",
    "PlaceLimitIntent",
    "PlaceOutcome",
    "PlaceResultEvent",
    "Position",
    "PositionRiskManager",
    "PositionState",
    "PublicTradeEvent",
    "QuietBand",
    "Refusal",
    "RejectReason",
    "RestingSide",
    "RiskConfig",
    "RiskRule",
    "SafetyCaps",
    "SameOrderDetector",
    "SideType",
    "SnapshotError",
    "StrategyConfig",
    "TickerEvent",
    "TierError",
    "TrackedOrder",
    "WalletSnapshot",
    "calc_fee_to_close",
    "calc_imr_pct",
    "calc_initial_margin",
    "calc_liq_ratio",
    "calc_maintenance_margin",
    "calc_margin_ratio",
    "calc_mmr_pct",
    "calc_position_value",
    "calc_unrealised_pnl",
    "calc_unrealised_pnl_pct",
    "client_order_id_for",
    "direction_of",
    "estimate_liquidation_prices",
    "extract_client_order_prefix",
    "is_affordable",
    "is_covered",
    "order_qty",
    "parse_risk_limit_tiers",
]
