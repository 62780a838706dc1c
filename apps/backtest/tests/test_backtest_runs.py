"""Whole runs: money that adds up, liquidation, latency, several strategies, the end of a run."""

import os
from bisect import bisect_right
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.result.session import BacktestSession
from backtest.run.engine import BacktestEngine, run_columns
from backtest.run.sweep import run_many
from backtest.settings.config import BacktestConfig, BacktestStrategyConfig
from exchange_model.fills.registry import FILL_MODELS
from exchange_model.trades import TradeKind
from gridcore import DirectionType, SideType
from market_data.columns.ticks import TickColumns
from market_data.providers.synthetic import RandomWalk
from testkit.backtests import DeadlyElsewhere, contract, ticks

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT


def config(**changes: object) -> BacktestConfig:
    strategy = {"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"}
    values: dict[str, object] = {"strategies": [strategy]}
    return BacktestConfig.model_validate(values | changes)


def one(**changes: object) -> list[dict[str, object]]:
    return [{"grid_count": 20, "grid_step": "0.1", "amount": "x0.02"} | changes]


def run(columns: TickColumns, **changes: object) -> BacktestSession:
    return run_columns(config(**changes), columns, contract(columns))


def ledger(session: BacktestSession) -> list[tuple[int, Fraction, Fraction]]:
    """Return (time, cash, net position) after every payment, from nothing but the records."""
    entries = []
    for trade in session.trades:
        qty = Fraction(trade.qty) * (1 if trade.side is SideType.BUY else -1)
        entries.append((trade.ts_us, -qty * Fraction(trade.price) - Fraction(trade.fee), qty))
    entries.extend((p.ts_us, -Fraction(p.paid), Fraction(0)) for p in session.funding_payments)
    cash, net = Fraction(session.initial_balance), Fraction(0)
    states = [(0, cash, net)]
    for ts_us, amount, qty in sorted(entries, key=lambda entry: entry[0]):
        cash, net = cash + amount, net + qty
        states.append((ts_us, cash, net))
    return states


def assert_equity_adds_up(session: BacktestSession, columns: TickColumns) -> None:
    states = ledger(session)
    times = [ts_us for ts_us, _, _ in states]
    rows = columns.ts_us.tolist()
    for ts_us, equity in zip(session.equity.ts_us, session.equity.equity, strict=True):
        row = bisect_right(rows, ts_us) - 1
        _, cash, net = states[bisect_right(times, rows[row]) - 1]
        assert Fraction(equity) == cash + net * Fraction(columns.price(row))
    _, cash, net = states[-1]
    assert Fraction(session.final_equity) == cash + net * Fraction(columns.price(len(columns) - 1))
    metrics = session.metrics
    paid = session.commission + session.funding_paid
    assert session.final_wallet == session.initial_balance + session.realised_pnl - paid
    assert metrics.net_pnl == session.final_equity - session.initial_balance
    assert metrics.realised_pnl == sum(t.realised_pnl for t in session.trades)
    assert metrics.commission == sum(t.fee for t in session.trades)
    assert metrics.funding == sum(p.paid for p in session.funding_payments)
    assert metrics.volume == sum(t.qty * t.price for t in session.trades)


@pytest.mark.slow
@pytest.mark.untraced
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    model=st.sampled_from(list(FILL_MODELS)),
    wind_down=st.sampled_from(["leave_open", "close_all"]),
    count=st.integers(1, 3),
)
def test_equity_at_each_sample_equals_a_plain_ledger(
    seed: int, model: str, wind_down: str, count: int
) -> None:
    columns = RandomWalk(trades_per_s=0.05, volatility=1.5).generate(2_000, seed)
    strategies = [one(strat_id=f"s{n}", grid_step=f"0.{n + 1}")[0] for n in range(count)]
    session = run(columns, strategies=strategies, fill_model=model, wind_down=wind_down)
    assert session.trades
    assert session.funding_payments
    assert_equity_adds_up(session, columns)


def test_drawdown_is_the_deepest_fall_over_every_tick() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.5).generate(3_000, 4)
    session = run(columns, funding={"rate": 0})
    states = ledger(session)
    times = [ts_us for ts_us, _, _ in states]
    peak = deepest = share = Fraction(0)
    longest_us = peak_us = 0
    for row, ts_us in enumerate(columns.ts_us.tolist()):
        _, cash, net = states[bisect_right(times, ts_us) - 1]
        equity = cash + net * Fraction(columns.price(row))
        if equity >= peak:
            peak, peak_us = equity, ts_us
        else:
            longest_us = max(longest_us, ts_us - peak_us)
        deepest = max(deepest, peak - equity)
        share = max(share, (peak - equity) / peak)
    assert Fraction(session.metrics.max_drawdown) == deepest
    # the time below a peak ends at the row that is back at it
    assert session.metrics.longest_drawdown_s * 1_000_000 >= longest_us
    assert session.metrics.longest_drawdown_s * 1_000_000 <= longest_us + 60_000_000
    assert abs(Fraction(session.metrics.max_drawdown_pct) / 100 - share) < Fraction(1, 10**20)


def test_an_account_that_must_die_dies_at_the_price_of_the_formula() -> None:
    # a long leg grows all the way down; nothing stops it at 50 times leverage
    falling = [600_000 - step * 40 for step in range(4_000)]
    columns = ticks([*falling, *reversed(falling)])
    session = run(
        columns,
        strategies=one(leverage=50, max_margin=1000, amount="x2", min_liq_ratio=10),
        initial_balance=1_000,
    )
    death = session.liquidation
    assert death is not None
    assert death.liquidation_price is not None
    assert death.price <= death.liquidation_price < death.price + 4  # the first tick beyond it
    assert death.bankruptcy_price < death.liquidation_price
    assert 0 <= session.final_wallet < Decimal("1e-6")
    last = session.trades[-1]
    assert last.kind is TradeKind.LIQUIDATION
    assert last.ts_us == death.ts_us
    assert session.final_equity == session.final_wallet
    assert_equity_adds_up(session, columns)
    assert session.metrics.max_drawdown_pct > 99


def test_a_gap_through_the_bankruptcy_price_leaves_no_debt() -> None:
    columns = ticks([600_000, 599_000, 598_000, *[597_000] * 5, 300_000, 600_000])
    session = run(
        columns,
        strategies=one(leverage=100, max_margin=10_000, amount="x30"),
        initial_balance=1_000,
    )
    assert session.liquidation is not None
    assert session.liquidation.price == 30_000
    assert 0 <= session.final_wallet < Decimal("1e-6")


def test_positions_are_closed_at_the_end_when_asked() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.5).generate(3_000, 4)
    left, closed = (run(columns, wind_down=mode) for mode in ("leave_open", "close_all"))
    assert left.metrics.unrealised_pnl
    assert closed.metrics.unrealised_pnl == 0
    ends = [trade for trade in closed.trades if trade.kind is TradeKind.WIND_DOWN]
    assert closed.trades[: len(left.trades)] == left.trades
    assert len(closed.trades) == len(left.trades) + len(ends)
    taker_fees = sum(trade.fee for trade in ends)
    assert taker_fees == sum(t.qty * t.price for t in ends) * Decimal("0.00055")
    assert closed.final_equity == left.final_equity - taker_fees


def test_strategies_share_a_wallet_but_not_their_legs() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.5).generate(3_000, 4)
    both = run(columns, strategies=[*one(strat_id="a"), *one(strat_id="b", grid_step="0.15")])
    assert {trade.strat_id for trade in both.trades} == {"a", "b"}
    for outcome in both.strategies:
        held = {LONG: Decimal(0), SHORT: Decimal(0)}
        for trade in outcome.trades:
            held[trade.direction] += -trade.qty if trade.closing else trade.qty
            assert trade.size_after == held[trade.direction] >= 0
        assert (outcome.long.size, outcome.short.size) == (held[LONG], held[SHORT])


def test_each_run_starts_clean() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.5).generate(2_000, 4)
    first, second = run(columns), run(columns)
    assert first.trades == second.trades
    assert first.metrics == second.metrics


def test_an_order_fills_at_the_next_tick_at_the_earliest() -> None:
    # the grid is built and its orders placed at the first tick; the second one fills some
    columns = ticks([600_000, 590_000, 590_000])
    session = run(columns)
    assert session.trades
    assert {trade.ts_us for trade in session.trades} == {int(columns.ts_us[1])}


def test_latency_lets_the_market_pass_before_orders_arrive() -> None:
    columns = ticks([600_000, 590_000, 600_000, 590_000])
    session = run(columns, latency_ms=1_500)
    # placed at 0 s, there from 1.5 s on: the fall at 1 s finds no order
    assert {trade.ts_us for trade in session.trades} == {int(columns.ts_us[3])}


def test_an_order_that_arrives_beyond_the_market_takes() -> None:
    columns = ticks([600_000, 590_000, 590_000])
    session = run(columns, latency_ms=1_000)
    assert session.trades
    for trade in session.trades:
        assert not trade.is_maker
        assert trade.fee == trade.qty * trade.price * Decimal("0.00055")


def test_a_wallet_report_alone_can_let_waiting_orders_through() -> None:
    # at the low price margin is short; the price comes back without any fill, and only the next
    # report of the wallet (every 300 s) tells that there is room again
    down = [600_000, 599_000, 598_000, 597_000, 596_000]
    columns = ticks([*down, *[596_000] * 60, *[596_500] * 900])
    walked, jumped = (
        run(columns, exact_ticks=exact, strategies=one(amount="100"), initial_balance=280)
        for exact in (True, False)
    )
    assert walked.states == jumped.states
    assert [state.row for state in walked.states if state.row > 65] == [300, 600]


def test_a_sweep_gives_the_same_as_one_by_one() -> None:
    columns = RandomWalk(trades_per_s=0.5, volatility=1.5).generate(3_000, 4)
    configs = [config(strategies=one(grid_step=f"0.{n}")) for n in range(1, 6)]
    finished: list[tuple[int, int]] = []
    swept = run_many(
        configs, columns, contract(columns), workers=2, on_done=lambda *n: finished.append(n)
    )
    alone = [run_columns(each, columns, contract(columns)) for each in configs]
    for one_swept, one_alone in zip(swept, alone, strict=True):
        assert one_swept.trades == one_alone.trades
        assert one_swept.metrics == one_alone.metrics
        assert one_swept.equity == one_alone.equity
        assert one_swept.data == one_alone.data
    assert finished == [(n, 5) for n in range(1, 6)]
    assert len({session.metrics.net_pnl for session in swept}) == 5


def test_a_failing_configuration_of_a_sweep_is_named() -> None:
    columns = RandomWalk(trades_per_s=0.5).generate(500, 4)
    good = config()
    wrong = config(strategies=one(symbol="ETHUSDT"))
    with pytest.raises(ValueError, match="no strategy is for it") as failure:
        run_many([good, wrong, good], columns, contract(columns), workers=2)
    assert failure.value.__notes__ == ["configuration number 1 of 3"]


def test_a_given_tick_size_has_to_fit_and_the_contracts_own_yields() -> None:
    columns = ticks([600_003, 600_013], tick_size="0.1")
    coarse = replace(
        contract(columns),
        instrument=replace(contract(columns).instrument, tick_size=Decimal("0.5")),
    )
    session = run_columns(config(), columns, coarse)
    assert session.data.tick_size == Decimal("0.1")
    assert "do not fit the contract's tick size 0.5" in session.warnings[0]
    with pytest.raises(ValueError, match=r"60000\.3 lies between two ticks of 0\.5"):
        run_columns(config(strategies=one(tick_size="0.5")), columns, contract(columns))
    finer = run_columns(config(strategies=one(tick_size="0.01")), columns, contract(columns))
    assert finer.data.tick_size == Decimal("0.01")


def test_strategy_settings_reach_the_strategy() -> None:
    columns = ticks([600_000])
    settings_ = BacktestStrategyConfig.model_validate(
        {
            "strat_id": "x",
            "grid_count": 12,
            "grid_step": 0.3,
            "rebalance_threshold": 0.4,
            "amount": "b0.5",
            "max_margin": 3,
            "leverage": 20,
            "min_liq_ratio": 0.7,
            "max_liq_ratio": 1.3,
            "min_total_margin": 0.2,
            "increase_same_position_on_low_margin": True,
            "long_koef": 1.1,
            "safety_caps": {"max_notional": 7, "max_open_orders": 8, "session_loss_limit": 9},
        }
    )
    made = settings_.to_strategy(contract(columns).instrument)
    assert (made.grid.grid_count, made.grid.grid_step) == (12, Decimal("0.3"))
    assert made.grid.rebalance_threshold == Decimal("0.4")
    assert made.amount.value == Decimal("0.5")
    assert (made.leverage, made.long_koef) == (20, Decimal("1.1"))
    assert made.risk.max_margin == 3
    assert (made.risk.min_liq_ratio, made.risk.max_liq_ratio) == (0.7, 1.3)
    assert made.risk.min_total_margin == 0.2
    assert made.risk.increase_same_position_on_low_margin
    caps = made.safety_caps
    assert (caps.max_notional, caps.max_open_orders, caps.session_loss_limit) == (7, 8, 9)


def test_flat_equity_is_no_drawdown() -> None:
    session = run(ticks([600_000] * 50))
    assert not session.trades
    assert session.metrics.longest_drawdown_s == 0
    assert session.metrics.max_drawdown == 0


def test_a_worker_that_is_killed_costs_the_symbol_it_was_at() -> None:
    columns = [
        RandomWalk(symbol=f"S{seed}USDT", trades_per_s=0.5).generate(2_000, seed)
        for seed in range(4)
    ]
    provider = DeadlyElsewhere(os.getpid(), *columns)
    runs = BacktestEngine(config()).run_multiple_symbols(data_provider=provider, workers=2)
    assert sorted([*runs.sessions, *runs.failures]) == [one.symbol for one in columns]
    assert len(runs.failures) == 1
    (failure,) = runs.failures.values()
    assert "ended from outside" in str(failure)
