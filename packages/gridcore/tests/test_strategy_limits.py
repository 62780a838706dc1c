"""GridStrategy: caps, breakers, the position check, and what they let through."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gridcore import (
    AccountEvent,
    AmountSpec,
    CancelAll,
    CancelIntent,
    ConfigError,
    DirectionType,
    GridConfig,
    GridStrategy,
    Intent,
    LossReset,
    PlaceLimitIntent,
    PlaceOutcome,
    PlaceResultEvent,
    PublicTradeEvent,
    Refusal,
    ResetLossBreaker,
    SafetyCaps,
    SideType,
)
from testkit.builders import (
    account,
    at,
    execution,
    full_account,
    leg,
    risk,
    strategy_config,
    ticker,
    wallet,
)

SMALL = GridConfig(4, 0.2)
DAY_MS = 86_400_000


def known(start: AccountEvent | None = None, **changes: object) -> GridStrategy:
    strategy = GridStrategy(strategy_config(**({"grid": SMALL} | changes)))
    strategy.on_event(start or full_account())
    strategy.adopt_orders([], at(0))
    return strategy


def accept(strategy: GridStrategy, intents: list[Intent], ms: float = 0) -> None:
    for intent in intents:
        if isinstance(intent, PlaceLimitIntent):
            strategy.on_event(
                PlaceResultEvent(
                    symbol="BTCUSDT",
                    exchange_ts=at(ms),
                    local_ts=at(ms),
                    client_order_id=intent.client_order_id,
                    outcome=PlaceOutcome.ACCEPTED,
                    order_id=f"o-{intent.client_order_id}",
                )
            )


def caps(**limits: object) -> dict[str, SafetyCaps]:
    return {"safety_caps": SafetyCaps(**limits)}  # type: ignore[arg-type]


# caps


def test_max_notional_counts_legs_and_resting_orders() -> None:
    strategy = known(full_account(long=leg("0.01", "60000")), **caps(max_notional=Decimal(850)))
    intents = strategy.on_event(ticker("60000"))
    opening = [i for i in intents if isinstance(i, PlaceLimitIntent) and not i.reduce_only]
    assert len(opening) == 2  # 600 held, about 120 each
    assert strategy.admission.refused[Refusal.NOTIONAL_CAP] == 2
    assert "notional_cap" in strategy.trips


def test_max_open_orders() -> None:
    strategy = known(**caps(max_open_orders=3))
    assert len(strategy.on_event(ticker("60000"))) == 3
    assert strategy.admission.refused[Refusal.MAX_OPEN_ORDERS] == 1


def test_orders_per_minute_free_up_with_time() -> None:
    strategy = known(**caps(max_orders_per_minute=3))
    accept(strategy, strategy.on_event(ticker("60000", 0)))
    assert strategy.on_event(ticker("60000", 59_999)) == []
    band = strategy.quiet_band()
    assert band is not None
    assert band.until == at(60_000)
    assert len(strategy.on_event(ticker("60000", 60_000))) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_notional": Decimal(0)},
        {"max_notional": 5.0},
        {"max_open_orders": 0},
        {"max_orders_per_minute": "3"},
        {"session_loss_limit": Decimal(-1)},
    ],
)
def test_impossible_caps_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SafetyCaps(**wrong)  # type: ignore[arg-type]


# margin


def test_margin_cap_stops_opening_but_not_closing() -> None:
    strategy = known(
        full_account(long=leg("0.02", "60000"), money=wallet("1000", "1000")),
        risk=risk(max_margin=1.2),
    )
    intents = strategy.on_event(ticker("60000"))
    long = [i for i in intents if isinstance(i, PlaceLimitIntent) and i.direction == "long"]
    assert long
    assert all(i.reduce_only for i in long)
    assert strategy.admission.refused[Refusal.MARGIN_CAP] == 2


def test_free_margin_counts_orders_since_the_report_with_a_buffer() -> None:
    # an order of 0.002 BTC needs about 12 USDT at 10x, 12.6 with the buffer
    strategy = known(full_account(money=wallet("10000", "26")))
    assert len(strategy.on_event(ticker("60000"))) == 2
    assert strategy.admission.refused[Refusal.FREE_MARGIN] == 2


def test_unknown_available_balance_opens_nothing() -> None:
    strategy = known(full_account(money=wallet("10000", None)))
    assert strategy.on_event(ticker("60000")) == []


def test_closing_needs_no_margin() -> None:
    strategy = known(full_account(long=leg("1", "60000"), money=wallet("10000", "0")))
    intents = strategy.on_event(ticker("60000"))
    assert [i.reduce_only for i in intents if isinstance(i, PlaceLimitIntent)] == [True, True]


# same-order error


def twice_filled() -> GridStrategy:
    strategy = known()
    accept(strategy, strategy.on_event(ticker("60000")))
    link = next(iter(strategy.book)).client_order_id
    for number in (1, 2):
        strategy.on_event(
            execution(f"e{number}", order_id=f"x{number}", link=link, price="59880.0", ms=number)
        )
    return strategy


def test_same_order_error_stops_placing_but_not_cancelling() -> None:
    strategy = twice_filled()
    assert "same_order_error" in strategy.trips
    intents = strategy.on_event(ticker("70000", 10))
    assert intents
    assert all(isinstance(i, CancelIntent) for i in intents)


def test_same_order_error_ends_with_a_clean_fill_or_by_hand() -> None:
    strategy = twice_filled()
    strategy.on_event(execution("e3", order_id="x3", link="ab" * 8, price="59700.0", ms=3))
    assert "same_order_error" not in strategy.trips
    strategy = twice_filled()
    strategy.reset_same_order()
    assert "same_order_error" not in strategy.trips


# session loss


def losing(**limits: object) -> GridStrategy:
    """Return a strategy that holds 0.1 BTC from 60000 and may lose 100 USDT."""
    strategy = known(
        full_account(long=leg("0.1", "60000")),
        **caps(session_loss_limit=Decimal(100), **limits),
    )
    accept(strategy, strategy.on_event(ticker("60000", 0)))
    return strategy


def test_session_loss_cancels_everything_and_stops_placing() -> None:
    strategy = losing()
    strategy.on_event(ticker("59001", 10))
    assert "loss_breaker" not in strategy.trips
    intents = strategy.on_event(ticker("59000", 20))
    assert intents
    assert all(isinstance(i, CancelIntent) and i.reason == "loss_breaker" for i in intents)
    assert "-100" in strategy.trips["loss_breaker"]
    assert strategy.on_event(ticker("60000", 30)) == []


def test_session_loss_counts_fees_and_realised_losses() -> None:
    strategy = losing()
    strategy.on_event(
        execution(side=SideType.SELL, price="59500", qty="0.1", closed="0.1", fee="51", ms=5)
    )
    strategy.on_event(ticker("60000", 10))
    assert "loss_breaker" in strategy.trips


def test_a_fee_that_is_not_known_in_usdt_counts_as_a_takers() -> None:
    # 0.1 BTC at 59010.7: 98.93 USDT lost, and 3.2455885 USDT of fee make more than 100
    def closed(fee: str | None) -> GridStrategy:
        strategy = losing()
        strategy.on_event(
            execution(side=SideType.SELL, price="59010.7", qty="0.1", closed="0.1", fee=fee, ms=5)
        )
        strategy.on_event(ticker("60000", 10))
        return strategy

    assert "loss_breaker" not in closed("0").trips
    strategy = closed(None)
    assert "3.2455885 USDT of it are taker's fees assumed" in strategy.trips["loss_breaker"]
    other = losing()
    other.restore(strategy.snapshot())
    assert other.admission.loss.assumed_fees == Decimal("3.2455885")
    strategy.handle(ResetLossBreaker())
    strategy.on_event(ticker("60000", 20))
    assert strategy.admission.loss.assumed_fees == 0


def test_a_loss_from_before_the_session_does_not_count() -> None:
    strategy = known(
        full_account(long=leg("0.1", "65000")), **caps(session_loss_limit=Decimal(100))
    )
    assert strategy.on_event(ticker("60000", 0)) != []
    assert "loss_breaker" not in strategy.trips


def test_session_loss_starts_anew_at_utc_midnight() -> None:
    strategy = losing()
    strategy.on_event(ticker("59000", 20))
    strategy.on_event(account(DAY_MS - 2, money=wallet()))
    assert strategy.on_event(ticker("59000", DAY_MS - 1)) == []
    strategy.on_event(ticker("59000", DAY_MS))
    assert "loss_breaker" not in strategy.trips
    strategy.on_event(ticker("58001", DAY_MS + 1))
    assert "loss_breaker" not in strategy.trips
    strategy.on_event(ticker("58000", DAY_MS + 2))
    assert "loss_breaker" in strategy.trips


def test_session_loss_by_hand_only_when_so_configured() -> None:
    strategy = losing(session_loss_reset=LossReset.MANUAL)
    strategy.on_event(ticker("59000", 20))
    strategy.on_event(ticker("59000", DAY_MS))
    assert "loss_breaker" in strategy.trips
    strategy.handle(ResetLossBreaker())
    strategy.on_event(ticker("59000", DAY_MS + 1))
    assert "loss_breaker" not in strategy.trips


# position check


def test_position_check_runs_on_event_time_and_sizes_orders() -> None:
    # a long close to liquidation sells half as much again
    near = leg("1", "60000", liq="55000")
    strategy = known(full_account(long=near, short=leg("0.5", "60000")))
    intents = strategy.on_event(ticker("60000", 0))
    sells = [i for i in intents if isinstance(i, PlaceLimitIntent) and i.reduce_only]
    by_leg = {i.direction: i.qty for i in sells}
    assert by_leg[DirectionType.LONG] == Decimal("0.003")  # 100 / 60000 x 1.5, up to the step
    assert strategy.positions[DirectionType.LONG].amount_multiplier(SideType.SELL) == 1.5


def test_position_check_is_due_at_multiples_of_its_interval() -> None:
    strategy = known(position_check_interval=timedelta(seconds=60))
    strategy.on_event(ticker("60000", 1_000))
    assert strategy.next_position_check == at(60_000)
    accept(strategy, list(strategy.handle(CancelAll()).intents))
    strategy.on_event(account(2_000, long=leg("1", "60000", liq="55000")))
    strategy.on_event(ticker("60000", 59_999))
    assert strategy.positions[DirectionType.LONG].amount_multiplier(SideType.SELL) == 1.0
    strategy.on_event(ticker("60000", 61_000))
    assert strategy.positions[DirectionType.LONG].amount_multiplier(SideType.SELL) == 1.5
    assert strategy.next_position_check == at(120_000)


def test_position_check_without_money_resets_the_multipliers() -> None:
    strategy = known(full_account(long=leg("1", "60000", liq="55000")))
    strategy.on_event(ticker("60000", 0))
    strategy.on_event(account(1, money=wallet("0", "0")))
    strategy.on_event(ticker("60000", 63_000))
    assert strategy.positions[DirectionType.LONG].amount_multiplier(SideType.SELL) == 1.0


# grid trouble, odd events, configuration


def test_a_price_that_no_grid_fits_is_a_reason_not_a_crash() -> None:
    strategy = known(grid=GridConfig(50, 0.2))
    assert strategy.on_event(ticker("5", 0)) == []
    assert "two levels coincide" in strategy.trips["grid"]
    assert strategy.quiet_band() is None
    assert strategy.on_event(ticker("60000", 1))
    assert "grid" not in strategy.trips


def test_public_trades_decide_nothing() -> None:
    trade = PublicTradeEvent(
        symbol="BTCUSDT",
        exchange_ts=at(0),
        local_ts=at(0),
        trade_id="t",
        side=SideType.BUY,
        price=Decimal(60000),
        size=Decimal(1),
    )
    assert known().on_event(trade) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"strat_id": ""},
        {"leverage": Decimal(0)},
        {"long_koef": 1.5},
        {"position_check_interval": timedelta(0)},
        {"wallet_max_age": timedelta(seconds=-1)},
    ],
)
def test_impossible_configurations_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        strategy_config(**wrong)


def test_long_koef_enlarges_the_long_leg_only() -> None:
    intents = known(long_koef=Decimal(3), amount=AmountSpec.parse("b0.01")).on_event(
        ticker("60000")
    )
    by_leg = {i.direction: i.qty for i in intents if isinstance(i, PlaceLimitIntent)}
    assert by_leg == {DirectionType.LONG: Decimal("0.03"), DirectionType.SHORT: Decimal("0.01")}
