"""Reference data of contracts: instruments, risk tiers, funding rates, klines. Shared."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Session

from grid_db.bulk.table import BulkTable
from grid_db.bulk.write import BulkWriter
from grid_db.enums import PriceKind
from grid_db.errors import InvalidValueError
from grid_db.models import FundingRateRow, InstrumentRow, KlineRow, RiskLimitTierRow
from grid_db.records import FundingRateRecord, InstrumentRecord, KlineRecord, RiskLimitTierRecord
from grid_db.repositories.reading import RowReader
from grid_db.types import numeric

_INSTRUMENTS = BulkTable(InstrumentRow, InstrumentRecord, ("symbol",), owned=False)
_TIERS = BulkTable(RiskLimitTierRow, RiskLimitTierRecord, ("symbol", "risk_id"), owned=False)
_FUNDING = BulkTable(FundingRateRow, FundingRateRecord, ("symbol", "funding_ts"), owned=False)
_KLINES = BulkTable(
    KlineRow, KlineRecord, ("symbol", "price_kind", "interval_s", "open_ts"), owned=False
)


class InstrumentRepository:
    """Trading rules, one row a symbol, the one read last."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows = RowReader(session, InstrumentRow, InstrumentRecord)

    def upsert(self, instruments: Iterable[InstrumentRecord]) -> int:
        """Store the instruments, in place of what was read earlier; return how many are new."""
        newer = "excluded.updated_at >= instruments.updated_at"
        return BulkWriter(_INSTRUMENTS, newer).upsert(self._session, instruments)

    def get_by_symbol(self, symbol: str) -> InstrumentRecord | None:
        """Return the instrument, None if it is not known."""
        return self._rows.first(self._rows.select(self._rows.columns.symbol == symbol))

    def list_all(self) -> list[InstrumentRecord]:
        """Return all instruments, by symbol."""
        return self._rows.all(self._rows.select().order_by(self._rows.columns.symbol))


class RiskLimitTierRepository:
    """Risk tiers, always the whole table of a symbol."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows = RowReader(session, RiskLimitTierRow, RiskLimitTierRecord)

    def replace(self, symbol: str, tiers: Sequence[RiskLimitTierRecord]) -> int:
        """Store the symbol's tiers in place of all it had; return how many there are now.

        Raises InvalidValueError for no tier, or one of another symbol.
        """
        if not tiers or any(tier.symbol != symbol for tier in tiers):
            raise InvalidValueError(f"give all tiers of {symbol}, at least one, and no other's")
        self._rows.delete(self._rows.columns.symbol == symbol)
        return BulkWriter(_TIERS).insert(self._session, tiers)

    def get_by_symbol(self, symbol: str) -> list[RiskLimitTierRecord]:
        """Return the tiers, the smallest limit first; none if they are not known."""
        columns = self._rows.columns
        query = self._rows.select(columns.symbol == symbol)
        return self._rows.all(query.order_by(numeric(columns.risk_limit_value)))


class FundingRateRepository:
    """Settled funding rates, unique by (symbol, funding_ts)."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows = RowReader(session, FundingRateRow, FundingRateRecord)

    def bulk_insert(self, rates: Iterable[FundingRateRecord]) -> int:
        """Insert what is not there yet; return how many rows that were."""
        return BulkWriter(_FUNDING).insert(self._session, rates)

    def get_last_funding_ts(self, symbol: str) -> datetime | None:
        """Return the time of the symbol's newest rate, None if there is none."""
        columns = self._rows.columns
        last: datetime | None = self._rows.scalar(
            func.max(columns.funding_ts), columns.symbol == symbol
        )
        return last

    def get_by_range(
        self, symbol: str, start: datetime | None = None, end: datetime | None = None
    ) -> list[FundingRateRecord]:
        """Return the rates with start <= funding_ts < end, in time order."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.symbol == symbol, *self._rows.within("funding_ts", start, end)
        )
        return self._rows.all(query.order_by(columns.funding_ts))


class KlineRepository:
    """Bars, unique by (symbol, price kind, interval, start)."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows = RowReader(session, KlineRow, KlineRecord)

    def bulk_upsert(self, bars: Iterable[KlineRecord]) -> int:
        """Insert new bars and renew those still forming; return how many are new.

        A bar that was stored as closed stays as it is.
        """
        return BulkWriter(_KLINES, "NOT klines.is_closed").upsert(self._session, bars)

    def iterate(
        self,
        symbol: str,
        interval_s: int,
        start: datetime | None = None,
        end: datetime | None = None,
        price_kind: PriceKind = PriceKind.LAST,
    ) -> Iterator[KlineRecord]:
        """Yield the bars with start <= open_ts < end in time order, in bounded memory."""
        columns = self._rows.columns
        query = self._rows.select(
            columns.symbol == symbol,
            columns.price_kind == PriceKind(price_kind),
            columns.interval_s == interval_s,
            *self._rows.within("open_ts", start, end),
        )
        return self._rows.stream(query, "open_ts")
