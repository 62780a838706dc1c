"""Words that rows are told apart by. Sides and legs come from gridcore."""

from enum import StrEnum


class AccountEnvironment(StrEnum):
    """Where an account lives."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    DEMO = "demo"
    PAPER = "paper"


Environment = AccountEnvironment  # the name it is also known by


class RunType(StrEnum):
    """What one start of a strategy or of a capture session was for."""

    LIVE = "live"
    BACKTEST = "backtest"
    SHADOW = "shadow"
    PAPER = "paper"
    RECORDING = "recording"


class RunStatus(StrEnum):
    """How a run stands. Only RUNNING has no end."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STALE = "stale"  # found running after its process was gone


class SnapshotSource(StrEnum):
    """Who computed a position snapshot."""

    LIVE = "live"
    PAPER = "paper"
    BACKTEST = "backtest"


class CaptureStream(StrEnum):
    """What a capture gap is a gap of."""

    TRADES = "trades"
    TICKERS = "tickers"
    EXECUTIONS = "executions"
    ORDERS = "orders"
    POSITIONS = "positions"
    WALLET = "wallet"


class GapStatus(StrEnum):
    """What became of a capture gap."""

    OPEN = "open"  # to be fetched, or to be tried again
    FILLED = "filled"
    MISSING = "missing"  # no source has it any more


class PriceKind(StrEnum):
    """Which price a kline is of."""

    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class AlertSeverity(StrEnum):
    """How soon somebody has to look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
