"""What can be wrong with market data. A message names the thing, the value and the next step."""

from decimal import Decimal


class DataError(ValueError):
    """Market data that cannot be used as asked."""


class WrongRangeError(DataError):
    """A time range that no data could satisfy (start after end, text that is no time)."""


class UnknownSymbolError(DataError):
    """A symbol for which a source holds nothing; the message lists those it holds."""


class NoDataError(DataError):
    """A known symbol without data in the range; the message says which range exists."""


class UnreadableFileError(DataError):
    """A file that is not what its name or its first bytes promise."""


class TruncatedFileError(UnreadableFileError):
    """A compressed file that ends too early. `whole_rows` came out before the cut."""

    def __init__(self, message: str, whole_rows: int) -> None:
        super().__init__(message)
        self.whole_rows = whole_rows


class ImperfectDataError(DataError):
    """Strict mode refuses corrupt, duplicate or out-of-order rows and missing stretches."""


class PriceOffTickError(DataError):
    """A price between two ticks. `fitting_tick` would hold every price looked at so far."""

    def __init__(self, message: str, price: Decimal, tick_size: Decimal, fitting_tick: Decimal):
        super().__init__(message)
        self.price = price
        self.tick_size = tick_size
        self.fitting_tick = fitting_tick
