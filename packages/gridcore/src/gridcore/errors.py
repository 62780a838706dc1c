"""Errors of the strategy library. All are ValueErrors: the input was wrong, not the machine."""


class GridcoreError(ValueError):
    """Base of every error that gridcore raises on purpose."""


class InvalidEventError(GridcoreError):
    """An event that cannot have happened: a naive time, a zero price, an unknown status."""


class InvalidInstrumentError(GridcoreError):
    """Trading rules that no exchange has: a tick size or a qty step that is not positive."""


class OffTickError(GridcoreError):
    """A price that lies between two ticks."""


class GridError(GridcoreError):
    """A grid that cannot be built or restored."""


class ConfigError(GridcoreError):
    """Settings that cannot work: a strategy's, or a program's. The text says what to change."""


class AmountError(GridcoreError):
    """An order amount in none of the three forms."""


class TierError(GridcoreError):
    """A risk-limit list that is empty, unsorted, doubled or out of range."""


class SnapshotError(GridcoreError):
    """A stored state that does not belong to this strategy, version or configuration."""
