"""What one account holds and did, over REST."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bybit_adapter.basics.errors import ExchangeUnavailable, OrderNotFound
from bybit_adapter.basics.row import Row, ms_of_time
from bybit_adapter.http import endpoints
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.wire import PagedRows, Wire
from bybit_adapter.records.account import (
    AccountInfo,
    SymbolFeeRates,
    TransactionLogEntry,
    parse_account_info,
    parse_fee_rates,
    parse_transaction,
)
from bybit_adapter.records.execution import ExecutionRecord, parse_execution
from bybit_adapter.records.normalizer import CATEGORY
from bybit_adapter.records.order import Order, parse_order
from bybit_adapter.records.position import PositionRecord, parse_rest_position
from bybit_adapter.records.requests import OrderKey
from bybit_adapter.records.wallet import Wallet, parse_wallet

T = TypeVar("T")

SETTLE_COIN = "USDT"

_LONGEST_SPAN = timedelta(days=7)  # Bybit answers at most that much history at once
_LOOK_UP_PATIENCE_S = 5.0
_MILLISECOND = timedelta(milliseconds=1)


class AccountCalls:
    """The reading part of the REST client that needs keys."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get_open_orders(
        self, symbol: str | None = None, *, max_pages: int = 40
    ) -> PagedRows[Order]:
        """Return all open orders of a symbol, or of all USDT contracts."""
        params = {**_scope(symbol), "openOnly": 0, "limit": 50}
        return self._wire.pages(
            endpoints.OPEN_ORDERS, params, lambda row, _: parse_order(row), max_pages
        )

    def find_order(self, key: OrderKey) -> Order | None:
        """Look one order up, open or ended; None when the exchange does not know it (yet).

        Reads the live orders first, then the history: an order that has just been placed may be
        in neither for a moment, so one None after an AmbiguousResult is no proof. An answer that
        does not come is not waited for twice: whoever is in doubt asks again.
        """
        for endpoint in (endpoints.LOOK_UP_OPEN, endpoints.LOOK_UP_ENDED):
            params = {"category": CATEGORY, **key.to_wire()}
            try:
                page, _, _ = self._wire.page(
                    endpoint,
                    params,
                    lambda row, _: parse_order(row),
                    None,
                    patience_s=_LOOK_UP_PATIENCE_S,
                )
            except OrderNotFound:
                continue
            for order in page:
                if key.order_id in (None, "", order.order_id) and (
                    key.order_id or key.order_link_id == order.order_link_id
                ):
                    return order
        return None

    def get_order_history(
        self,
        symbol: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        max_pages: int = 100,
    ) -> PagedRows[Order]:
        """Return orders by creation time, oldest first; without times those of 7 days.

        Bybit forgets cancelled orders without a fill after a day, others without a fill after 7.
        """
        listing = self._history(
            endpoints.ORDER_HISTORY,
            {**_scope(symbol), "limit": 50},
            lambda row, _: parse_order(row),
            start,
            end,
            max_pages,
        )
        orders = {order.order_id: order for order in reversed(listing.rows)}
        rows = sorted(orders.values(), key=lambda order: order.created or order.updated)
        return PagedRows(tuple(rows), listing.as_of, listing.is_truncated)

    def get_executions(
        self,
        symbol: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        order_id: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> tuple[list[ExecutionRecord], str | None]:
        """Return one page as Bybit gives it, newest first, and the cursor of the next.

        The cursor is None at the end. start and end are at most 7 days apart.
        """
        params = {
            **_scope(symbol),
            "orderId": order_id,
            "startTime": _ms(start),
            "endTime": _ms(end),
            "limit": limit,
        }
        page, following, _ = self._wire.page(
            endpoints.EXECUTIONS, params, lambda row, _: parse_execution(row), cursor
        )
        return page, following

    def get_executions_all(
        self,
        symbol: str | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        max_pages: int = 200,
    ) -> PagedRows[ExecutionRecord]:
        """Return all executions of [start, end], oldest first, each exec_id once.

        Without times those of 7 days. is_truncated tells that max_pages did not suffice and a
        part of the range is missing: read on from the newest row, or in shorter ranges.
        """
        listing = self._history(
            endpoints.EXECUTIONS,
            {**_scope(symbol), "limit": 100},
            lambda row, _: parse_execution(row),
            start,
            end,
            max_pages,
        )
        unique = {execution.exec_id: execution for execution in listing}
        rows = sorted(unique.values(), key=lambda execution: (execution.time, execution.exec_id))
        return PagedRows(tuple(rows), listing.as_of, listing.is_truncated)

    def get_positions(self, symbol: str | None = None) -> PagedRows[PositionRecord]:
        """Return both legs of a symbol also when empty, or all legs that hold something."""
        return self._wire.pages(
            endpoints.POSITIONS, {**_scope(symbol), "limit": 200}, parse_rest_position, max_pages=20
        )

    def get_wallet_balance(self) -> Wallet:
        """Return the unified account with all coins that are not zero."""
        page, _, _ = self._wire.page(
            endpoints.WALLET, {"accountType": "UNIFIED"}, _first_wallet, None
        )
        if not page:
            raise ExchangeUnavailable("the answer holds no account", endpoint=str(endpoints.WALLET))
        return page[0]

    def get_account_info(self) -> AccountInfo:
        """Return how the account is set up."""
        return self._wire.query(
            endpoints.ACCOUNT_INFO, {}, lambda answer: parse_account_info(answer.result)
        )

    def is_read_only(self) -> bool:
        """Tell whether the key may only read, so that every order would be refused."""
        return self._wire.query(
            endpoints.API_KEY, {}, lambda answer: answer.result.integer("readOnly") == 1
        )

    def get_fee_rates(self, symbol: str) -> SymbolFeeRates:
        """Return what the account pays on a symbol."""
        found = self._wire.query(
            endpoints.FEE_RATE,
            {"category": CATEGORY, "symbol": symbol},
            lambda answer: [parse_fee_rates(row) for row in answer.result.rows("list")],
        )
        for rates in found:
            if rates.symbol == symbol:
                return rates
        raise ExchangeUnavailable(
            f"the answer holds no fees of {symbol}", endpoint=str(endpoints.FEE_RATE)
        )

    def get_transaction_log(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        entry_type: str | None = None,
        max_pages: int = 200,
    ) -> PagedRows[TransactionLogEntry]:
        """Return changes of the wallet, oldest first; without times those of 24 hours.

        entry_type narrows to one of Bybit's words, for example SETTLEMENT for funding.
        """
        params = {
            "accountType": "UNIFIED",
            "category": CATEGORY,
            "currency": SETTLE_COIN,
            "type": entry_type,
            "limit": 50,
        }
        listing = self._history(
            endpoints.TRANSACTION_LOG,
            params,
            lambda row, _: parse_transaction(row),
            start,
            end,
            max_pages,
        )
        oldest_first = listing.rows[::-1]
        rows = sorted(oldest_first, key=lambda entry: entry.time)
        return PagedRows(tuple(rows), listing.as_of, listing.is_truncated)

    def _history(
        self,
        endpoint: Endpoint,
        params: dict[str, Any],
        parse: Callable[[Row, datetime], T],
        start: datetime | None,
        end: datetime | None,
        max_pages: int,
    ) -> PagedRows[T]:
        """Read all pages of a range of any length, 7 days at a time, oldest days first."""
        rows: list[T] = []
        as_of: datetime | None = None
        pages_left = max_pages
        for first, last in _spans(start, end, self._wire.clock.now()):
            times = {"startTime": _ms(first), "endTime": _ms(last)}
            cursor: str | None = None
            while True:
                if not pages_left:
                    now = self._wire.clock.now()
                    return PagedRows(tuple(rows), as_of or now, is_truncated=True)
                pages_left -= 1
                page, cursor, time = self._wire.page(endpoint, {**params, **times}, parse, cursor)
                rows += page
                as_of = as_of or time
                if cursor is None or not page:
                    break
        return PagedRows(tuple(rows), as_of or self._wire.clock.now())


def _spans(
    start: datetime | None, end: datetime | None, now: datetime
) -> Iterator[tuple[datetime | None, datetime | None]]:
    """Yield [start, end] in parts that Bybit answers. Raises ValueError for an end before it."""
    if start is None:
        yield None, end
        return
    end = end or now
    if end < start:
        raise ValueError(f"the range ends at {end}, before its start {start}")
    while end - start > _LONGEST_SPAN:
        yield start, start + _LONGEST_SPAN - _MILLISECOND
        start += _LONGEST_SPAN
    yield start, end


def _scope(symbol: str | None) -> dict[str, Any]:
    """Return the filter of one symbol, or of everything that settles in USDT."""
    scope = {"symbol": symbol} if symbol else {"settleCoin": SETTLE_COIN}
    return {"category": CATEGORY, **scope}


def _first_wallet(row: Row, time: datetime) -> Wallet:
    return parse_wallet(row, time)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else ms_of_time(moment)
