"""Takes the bot's opening orders off one exchange account; closing ones and others' stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bybit_adapter import (
    BatchItem,
    BybitError,
    Order,
    OrderKey,
    OrderNotFound,
    PagedRows,
    client_order_id_of,
)

PASSES = 5
SETTLE_S = 0.3  # an accepted cancel takes a moment to show in the list


class OrderCalls(Protocol):
    """What is needed of `BybitRestClient`."""

    def get_open_orders(self, symbol: str, /) -> PagedRows[Order]:
        """Return the open orders."""

    def cancel_batch(self, keys: list[OrderKey], /) -> list[BatchItem]:
        """Cancel orders; one outcome each."""


@dataclass(slots=True)
class SymbolReport:
    """What was done on one symbol of one account."""

    account: str
    symbol: str
    cancelled: set[str] = field(default_factory=set)
    left_closing: int = 0
    left_foreign: int = 0
    failure: str = ""

    def text(self) -> str:
        """Return it in words."""
        parts = [f"{len(self.cancelled)} opening orders cancelled"]
        if self.left_closing:
            parts.append(f"{self.left_closing} closing ones left")
        if self.left_foreign:
            parts.append(f"{self.left_foreign} of others left")
        if self.failure:
            parts.append(f"FAILED: {self.failure}")
        return f"{self.account} {self.symbol}: {', '.join(parts)}"


def is_ours(order: Order) -> bool:
    """Tell whether the bot placed an order, by the form of its link id."""
    return client_order_id_of(order.order_link_id) is not None


def is_opening(order: Order) -> bool:
    """Tell whether an order would make a leg larger. In doubt it would not."""
    direction = order.direction
    return not order.reduce_only and direction is not None and order.side is direction.opening_side


def cancel_opening(
    calls: OrderCalls,
    account: str,
    symbols: Iterable[str],
    may_go_on: Callable[[], bool],
    wait: Callable[[float], object] = time.sleep,
) -> list[SymbolReport]:
    """Cancel the bot's opening orders, symbol by symbol, until none is listed any more.

    `may_go_on` is asked before every cancel. Failures are in the reports; nothing is raised for
    what the exchange or the network does.
    """
    reports = []
    for symbol in symbols:
        report = SymbolReport(account, symbol)
        reports.append(report)
        try:
            _cancel_symbol(calls, report, may_go_on, wait)
        except BybitError as error:
            report.failure = f"{type(error).__name__}: {error.message}"
        except ValueError as error:  # an answer that cannot be read; the next symbol may have luck
            report.failure = f"{type(error).__name__}: {error}"
    return reports


def _cancel_symbol(
    calls: OrderCalls,
    report: SymbolReport,
    may_go_on: Callable[[], bool],
    wait: Callable[[float], object],
) -> None:
    tried: set[str] = set()
    for _ in range(PASSES):
        listed = calls.get_open_orders(report.symbol)
        own = [order for order in listed if is_ours(order)]
        opening = [order for order in own if is_opening(order)]
        report.left_foreign = len(listed) - len(own)
        report.left_closing = len(own) - len(opening)
        # what an earlier pass tried and what is not listed any more is gone
        report.cancelled |= tried - {order.order_id for order in opening}
        if not opening and not listed.is_truncated:
            report.failure = ""
            return
        if not may_go_on():
            report.failure = "the bot is back; it looks after the rest itself"
            return
        keys = [OrderKey(symbol=report.symbol, order_id=order.order_id) for order in opening]
        outcomes = calls.cancel_batch(keys)
        tried |= {order.order_id for order in opening}
        refused = [
            one
            for one in outcomes
            if isinstance(one, BybitError) and not isinstance(one, OrderNotFound)
        ]
        why = f" ({refused[0].message})" if refused else ""
        report.failure = f"{len(opening)} opening orders are still listed{why}"
        wait(SETTLE_S)
    left = {order.order_id for order in calls.get_open_orders(report.symbol) if is_opening(order)}
    report.cancelled |= tried - left
    if not tried & left:
        report.failure = ""
