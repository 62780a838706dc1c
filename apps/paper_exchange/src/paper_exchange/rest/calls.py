"""One call of a client, without the transport: its parameters, its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from exchange_model.rules.codes import RetCode, parameter_error
from paper_exchange.basics.cursors import page, parse_cursor
from paper_exchange.basics.wire import Row
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.book.order_request import parse_flag, parse_number
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.market.market import Market

WEEK_MS = 7 * 86_400_000
LONGEST_TIME = 16
Item = TypeVar("Item")

# lists whose rows a fault may hide, and lists that may be old (see `faults`)
HIDING_PATHS = frozenset(
    {
        "/v5/position/list", "/v5/position/closed-pnl", "/v5/order/realtime", "/v5/order/history",
        "/v5/execution/list", "/v5/account/wallet-balance", "/v5/account/transaction-log",
        "/v5/market/instruments-info", "/v5/market/risk-limit",
    }
)  # fmt: skip
LAGGING_PATHS = HIDING_PATHS | {"/v5/account/info"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes into the envelope."""

    result: Row = field(default_factory=dict)
    code: RetCode = RetCode.OK
    message: str = "OK"
    ext: Row = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """Parameters of a call with the exchange they are meant for."""

    exchange: PaperExchange
    params: Mapping[str, Any]
    caller: PaperAccount | None = None
    key: ApiKey | None = None
    server_ms: int = 0  # what signatures are checked against; market time may be another
    hides: Callable[[Row], bool] | None = None  # which rows a list leaves out

    @property
    def account(self) -> PaperAccount:
        """The account of a signed call."""
        if self.caller is None:
            raise ValueError("this call is not signed")
        return self.caller

    @property
    def now_ms(self) -> int:
        """Time of the exchange."""
        return self.exchange.now_ms

    def text(self, name: str) -> str:
        """Return a parameter as text, "" without one. Raises RefusalError for a structure."""
        value = self.params.get(name)
        if value is None:
            return ""
        if isinstance(value, dict | list):
            raise parameter_error(f"{name} is no text")
        return str(value)

    def flag(self, name: str) -> bool:
        """Return a boolean, False without one. Raises RefusalError."""
        return parse_flag(self.params, name)

    def number(self, name: str) -> Decimal | None:
        """Return a number, None without one. Raises RefusalError."""
        return parse_number(self.params, name)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number between two limits. Raises RefusalError."""
        text = self.text(name)
        if not text:
            return default
        if not text.lstrip("-").isdecimal() or len(text) > LONGEST_TIME:
            raise parameter_error(f"{name} {text[:20]!r} is no whole number")
        value = int(text)
        if not least <= value <= most:
            raise parameter_error(f"{name} {value} is outside {least} to {most}")
        return value

    def limit(self, default: int, most: int) -> int:
        """Return the size of a page. Raises RefusalError."""
        return self.whole("limit", default, 1, most)

    def after(self) -> int | None:
        """Return what the cursor names. Raises RefusalError."""
        return parse_cursor(self.text("cursor"))

    def listed(
        self,
        numbered: Iterable[tuple[int, Item]],
        to_row: Callable[[Item], Row],
        limit: int,
        after: int | None,
    ) -> tuple[list[Row], str]:
        """Return a page of rows and the cursor to go on with; what is hidden takes no place."""
        hides = self.hides
        if hides is not None:
            numbered = ((number, one) for number, one in numbered if not hides(to_row(one)))
        found, cursor = page(numbered, limit, after)
        return [to_row(one) for one in found], cursor

    def require_linear(self) -> None:
        """Raise RefusalError unless the category is linear."""
        category = self.text("category")
        if category != "linear":
            raise parameter_error(
                f"category {category[:20]!r} is not supported; this exchange has linear"
            )

    def market(self) -> Market:
        """Return the market of the symbol. Raises RefusalError."""
        symbol = self.text("symbol")
        if not symbol:
            raise parameter_error("symbol is missing")
        return self.exchange.market(symbol)

    def symbols(self, *, required: bool = True, coins: Sequence[str] = ()) -> list[str]:
        """Return what symbol, baseCoin or settleCoin choose; all of them when none is given.

        `coins` names further parameters that mean a settle coin. Raises RefusalError.
        """
        symbol = self.text("symbol")
        if symbol:
            return [self.exchange.market(symbol).symbol]
        everything = self.exchange.markets.values()
        base = self.text("baseCoin")
        if base:
            return [one.symbol for one in everything if one.listing.row["baseCoin"] == base]
        for name in ("settleCoin", *coins):
            coin = self.text(name)
            if coin:
                return [one.symbol for one in everything if one.listing.row["settleCoin"] == coin]
        if required:
            raise parameter_error("symbol, baseCoin or settleCoin is required")
        return list(self.exchange.markets)

    def time_range(self, span_ms: int = WEEK_MS) -> tuple[int, int]:
        """Return (start, end) in ms, both inclusive. Raises RefusalError.

        Without times the last `span_ms`; one bound reaches that far; at most a week between both.
        """
        start, end = self._time("startTime"), self._time("endTime")
        if start is None and end is None:
            return self.now_ms - span_ms, self.now_ms
        if start is None:
            return (end or 0) - span_ms, end or 0
        if end is None:
            return start, start + span_ms
        if start > end:
            raise parameter_error("startTime is after endTime")
        if end - start > WEEK_MS:
            raise parameter_error("the time range between startTime and endTime exceeds 7 days")
        return start, end

    def _time(self, name: str) -> int | None:
        text = self.text(name)
        return self.whole(name, 0, 0, 10**LONGEST_TIME) if text else None


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint. `group` names its rate limit, `limit` calls per second; None has none."""

    method: str
    path: str
    handler: Handler
    signed: bool = True
    limit: int | None = 50
    writes: bool = False  # needs a key that may trade
