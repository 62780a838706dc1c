"""Numbers that no exchange sends and no trader means: refused with an error of our own kind."""

from decimal import Decimal

import pytest

from gridcore import (
    AmountSpec,
    DirectionType,
    GridcoreError,
    LimitOrder,
    OffTickError,
    PlaceLimitIntent,
    Position,
    SideType,
    calc_imr_pct,
    calc_initial_margin,
    calc_liq_ratio,
    calc_maintenance_margin,
    calc_margin_ratio,
    calc_unrealised_pnl_pct,
    order_qty,
)
from gridcore.pnl import MMTier, MMTiers
from testkit.builders import btcusdt, risk, ticker

NAN, INFINITY = Decimal("NaN"), Decimal("Infinity")
ONE = Decimal(1)
TIERS = MMTiers((MMTier(ONE, Decimal("0.1"), Decimal("0.2"), Decimal(0)),))


@pytest.mark.parametrize("value", [NAN, INFINITY, Decimal("1E+40")])
def test_a_ticker_has_a_price(value: Decimal) -> None:
    with pytest.raises(GridcoreError, match="last_price"):
        ticker(value)


@pytest.mark.parametrize("value", [NAN, INFINITY, Decimal("1E+40")])
def test_a_price_in_ticks_is_a_price(value: Decimal) -> None:
    with pytest.raises(OffTickError, match="no price"):
        btcusdt().to_ticks(value)


@pytest.mark.parametrize("value", [NAN, INFINITY, Decimal(0), Decimal(-1)])
def test_formulas_refuse_what_has_no_meaning(value: Decimal) -> None:
    long = DirectionType.LONG
    for call in (
        lambda: calc_unrealised_pnl_pct(long, value, ONE, ONE),
        lambda: calc_unrealised_pnl_pct(long, ONE, value, ONE),
        lambda: calc_initial_margin(ONE, value),
        lambda: calc_imr_pct(ONE, value),
        lambda: calc_margin_ratio(ONE, value),
        lambda: calc_liq_ratio(ONE, value),
        lambda: order_qty(AmountSpec.parse("1"), value, btcusdt(), opening=True),
    ):
        with pytest.raises(GridcoreError):
            call()


@pytest.mark.parametrize("value", [NAN, INFINITY, Decimal(-1)])
def test_a_position_has_a_value(value: Decimal) -> None:
    with pytest.raises(GridcoreError, match="position value"):
        calc_maintenance_margin(value, TIERS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_multiplier_is_a_number(value: float) -> None:
    long, _ = Position.create_linked_pair(risk())
    with pytest.raises(GridcoreError, match="multiplier"):
        long.set_amount_multiplier(SideType.BUY, value)


def test_an_order_has_a_symbol() -> None:
    with pytest.raises(GridcoreError, match="symbol is empty"):
        PlaceLimitIntent.create("", SideType.BUY, ONE, ONE, 0, DirectionType.LONG)


def test_text_is_no_flag() -> None:
    row = {"orderId": "a", "side": "Buy", "price": "60000", "qty": "1"}
    for text, direction in (("false", "long"), ("true", "short")):
        order = LimitOrder.from_bybit(row | {"reduceOnly": text}, Decimal("0.1"))
        assert order.direction == direction
    with pytest.raises(GridcoreError, match="neither true nor false"):
        LimitOrder.from_bybit(row | {"reduceOnly": "maybe"}, Decimal("0.1"))
    with pytest.raises(GridcoreError, match="leavesQty 2"):
        LimitOrder.from_bybit(row | {"leavesQty": "2"}, Decimal("0.1"))
