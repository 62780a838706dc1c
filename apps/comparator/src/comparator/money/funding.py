"""Funding that both sides paid, and how much of the difference is a matter of when fills came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from comparator.columns.exact import exact_sum
from exchange_model.trades import FundingPayment
from gridcore import DirectionType


class FundingPaid(NamedTuple):
    """Funding settled on one leg at `ts_us` (UTC): `paid` USDT, negative when received.

    `per_unit` is what one base coin of the leg paid, None where rate or mark price are not known.
    """

    ts_us: int
    symbol: str
    direction: DirectionType
    paid: Decimal
    per_unit: Decimal | None


def of_payments(payments: Iterable[FundingPayment]) -> list[FundingPaid]:
    """Return the funding of a backtest."""
    return [
        FundingPaid(
            payment.ts_us,
            payment.symbol,
            payment.direction,
            payment.paid,
            per_unit(payment.direction, payment.mark_price, payment.rate),
        )
        for payment in payments
    ]


def per_unit(direction: DirectionType, mark_price: Decimal, rate: Decimal) -> Decimal:
    """Return what one base coin pays: a long leg pays when the rate is positive."""
    paid = mark_price * rate
    return paid if direction is DirectionType.LONG else -paid


def select(
    payments: Iterable[FundingPaid], start_us: int, end_us: int, symbols: Sequence[str] | None
) -> list[FundingPaid]:
    """Return the payments with start <= t < end of these symbols (None: all)."""
    return [
        paid
        for paid in payments
        if start_us <= paid.ts_us < end_us and (symbols is None or paid.symbol in symbols)
    ]


def total(payments: Iterable[FundingPaid]) -> Decimal:
    """Return the sum that was paid, USDT."""
    return exact_sum(payment.paid for payment in payments)
