"""Fees in other coins: valued at recorded prices, else unknown, and never one to one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from comparator.columns.trades import Source, TradeTable
from comparator.comparison import compare
from comparator.money.metrics import Tolerances
from comparator.report.figures import figure_groups, verdict
from comparator.report.tables import write_tables
from comparator.sides.loader import LiveTradeLoader, Side
from grid_db import (
    DatabaseFactory,
    PrivateExecutionRecord,
    PublicTradeRepository,
    TenantScope,
    TickerSnapshotRepository,
)
from grid_db.testing_rows import Tenant, after, ticker, trade
from gridcore.moments import to_us
from market_data.basics.time_range import TimeRange

ALL_DAY = TimeRange(to_us(after(-3600)), to_us(after(3600)))
HEX = "0123456789abcdef"
FEE = Decimal("0.0145")


def fill(tenant: Tenant, number: int, **changes: object) -> PrivateExecutionRecord:
    given: dict[str, object] = {
        "order_id": f"o{number}",
        "order_link_id": f"{number:016x}",
        "closed_size": Decimal(0),
        "exec_fee": FEE,
        "fee_currency": "MNT",
        "exchange_ts": after(number),
        **changes,
    }
    return tenant.execution(f"e{number}", **given)


def loaded(database: DatabaseFactory, tenant: Tenant, *rows: PrivateExecutionRecord) -> Side:
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        scope.executions.bulk_insert(rows)
        return LiveTradeLoader(session, scope.user_id).load(tenant.run.id, ALL_DAY)


def by_order(side: Side) -> dict[str, Decimal | None]:
    return {one.order_id: one.fee for one in side.trades.trades()}


def test_without_a_recorded_price_a_fee_in_another_coin_is_unknown(
    database: DatabaseFactory,
) -> None:
    tenant = Tenant(database, "alice")
    side = loaded(
        database,
        tenant,
        fill(tenant, 1),
        fill(tenant, 2, fee_currency="USDT"),
        fill(tenant, 3, fee_currency=None),  # of before the coin was kept
        fill(tenant, 4, exec_fee=Decimal(0)),  # nothing is nothing in every coin
    )
    assert by_order(side) == {"o1": None, "o2": FEE, "o3": FEE, "o4": 0}
    assert {one.order_id: one.fee_coin for one in side.trades.trades()} == {
        "o1": "MNT", "o2": "USDT", "o3": "USDT", "o4": "MNT",
    }  # fmt: skip
    (told,) = [text for text in side.warnings if "MNT" in text]
    assert told.startswith(
        "1 live fills paid 0.0145 MNT in fees, and no price of MNTUSDT was recorded within a minute"
    )


def test_a_fee_is_valued_at_the_price_that_was_recorded_last_before_it(
    database: DatabaseFactory,
) -> None:
    tenant = Tenant(database, "alice")
    with database.get_session() as session:
        PublicTradeRepository(session).bulk_insert(
            [
                trade(1, symbol="MNTUSDT", price=Decimal("0.8"), exchange_ts=after(0)),
                trade(2, symbol="MNTUSDT", price=Decimal("0.81"), exchange_ts=after(10)),
                trade(3, symbol="MNTUSDT", price=Decimal("99"), exchange_ts=after(21)),
            ]
        )
        TickerSnapshotRepository(session).bulk_insert(
            [ticker(1, symbol="MNTUSDT", last_price=Decimal("0.79"), exchange_ts=after(140))]
        )
    side = loaded(
        database,
        tenant,
        fill(tenant, 5),
        fill(tenant, 20),
        fill(tenant, 100),  # the last trade is more than a minute old, and no ticker is before it
        fill(tenant, 150),
    )
    assert by_order(side) == {
        "o5": FEE * Decimal("0.8"),
        "o20": FEE * Decimal("0.81"),
        "o100": None,
        "o150": FEE * Decimal("0.79"),
    }
    told = [text for text in side.warnings if "MNT" in text]
    assert told[0].startswith("3 live fills paid their fee in MNT; it is valued at recorded prices")
    assert told[1].startswith("1 live fills paid 0.0145 MNT in fees")


def test_an_order_whose_fills_paid_in_two_coins_has_a_fee_only_if_both_are_known(
    database: DatabaseFactory,
) -> None:
    tenant = Tenant(database, "alice")
    rows = [fill(tenant, 1), replace(fill(tenant, 1, fee_currency="USDT"), exec_id="more")]
    (one,) = loaded(database, tenant, *rows).trades.trades()
    assert (one.fee, one.fee_coin, one.fills) == (None, "several", 2)


def test_a_comparison_claims_nothing_about_fees_that_are_unknown(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    tenant = Tenant(database, "alice")
    live = loaded(database, tenant, fill(tenant, 1), fill(tenant, 2, fee_currency="USDT"))
    same = [
        type(one)(**{**_fields(one), "source": Source.BACKTEST, "fee": FEE})
        for one in live.trades.trades()
    ]
    backtest = Side(trades=TradeTable.of_trades(Source.BACKTEST, same), funding=[])
    comparison = compare(live, backtest, ALL_DAY, tolerances=Tolerances())
    metrics = comparison.metrics
    assert (metrics.live_fees, metrics.live_fees_unknown, metrics.fee_delta) == (FEE, 1, None)
    assert metrics.fee is not None
    assert metrics.fee.differing == 0  # of the pair that is known
    assert "the fee of 1 live trades is unknown" in verdict(comparison)
    shown = {one.name: one for one in figure_groups(metrics)["Sums, USDT"]}
    assert shown["fee_delta"].shown == "–"
    assert "without 1 trades whose fee is not known in USDT" in shown["live_fees"].meaning
    write_tables(comparison, tmp_path)
    header, first, *_ = (tmp_path / "matched.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert (row["live_fee"], row["fee_delta"], row["live_fee_coin"]) == ("", "", "MNT")


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}  # type: ignore[attr-defined]
