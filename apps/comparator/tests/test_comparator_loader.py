"""Recorded executions become trades, on both databases."""

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparator.columns.errors import ComparatorError
from comparator.columns.exact import of_decimals
from comparator.columns.trades import Source
from comparator.sides.grouping import KEY, trades_of_fills
from comparator.sides.live_fills import client_order_prefixes
from comparator.sides.loader import LiveTradeLoader, Side
from grid_db import DatabaseFactory, PrivateExecutionRecord, TenantScope
from grid_db.testing_rows import NOW, Tenant, after
from gridcore import DirectionType, SideType
from gridcore.intents import extract_client_order_prefix
from gridcore.moments import to_us
from market_data.basics.time_range import TimeRange

LONG, SHORT = DirectionType.LONG, DirectionType.SHORT
BUY, SELL = SideType.BUY, SideType.SELL
HEX = "0123456789abcdef"
ALL_DAY = TimeRange(to_us(NOW) - 3_600_000_000, to_us(NOW) + 3_600_000_000)


def stored(database: DatabaseFactory, tenant: Tenant, rows: list[PrivateExecutionRecord]) -> None:
    with database.get_session() as session:
        TenantScope(session, tenant.user_id).executions.bulk_insert(rows)


def loaded(
    database: DatabaseFactory, tenant: Tenant, wanted: TimeRange = ALL_DAY, user: str | None = None
) -> Side:
    with database.get_session() as session:
        scope = TenantScope(session, user or tenant.user_id)
        return LiveTradeLoader(session, scope.user_id).load(tenant.run.id, wanted)


def test_partial_fills_of_one_order_are_one_trade(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    common = {"order_link_id": f"{HEX}-7", "order_id": "o7", "closed_size": Decimal(0)}
    parts = [("60000.1", "0.001", "0.01", 3), ("60000.1", "0.002", "0.02", 1)]
    stored(
        database,
        tenant,
        [
            tenant.execution(
                f"e{number}",
                exec_price=Decimal(price),
                exec_qty=Decimal(qty),
                exec_fee=Decimal(fee),
                exchange_ts=after(second),
                **common,
            )
            for number, (price, qty, fee, second) in enumerate(parts)
        ],
    )
    (trade,) = loaded(database, tenant).trades.trades()
    assert trade.client_order_id == HEX
    assert trade.price == Decimal("60000.1")
    assert trade.qty == Decimal("0.003")
    assert trade.fee == Decimal("0.03")
    assert trade.timestamp == after(3)
    assert (trade.fills, trade.occurrence, trade.order_id) == (2, 1, "o7")
    assert (trade.direction, trade.closing, trade.realized_pnl) == (LONG, False, 0)


def test_fills_at_several_prices_have_their_weighted_average(sqlite_database) -> None:
    tenant = Tenant(sqlite_database, "alice")
    rows = [
        tenant.execution(
            f"e{number}",
            order_link_id=HEX,
            exec_price=Decimal(price),
            exec_qty=Decimal(qty),
            exec_fee=Decimal(0),
        )
        for number, (price, qty) in enumerate([("100", "1"), ("101", "2")])
    ]
    stored(sqlite_database, tenant, rows)
    table = loaded(sqlite_database, tenant).trades
    assert table.trades()[0].price == Decimal("100.666666666667")
    assert table.exact("notional").total() == 302


def test_two_orders_of_one_id_are_two_occurrences(sqlite_database) -> None:
    tenant = Tenant(sqlite_database, "alice")
    rows = [
        tenant.execution(
            f"e{n}",
            order_link_id=f"{HEX}-{n}",
            order_id=f"o{n}",
            exchange_ts=after(9 - n),
            exec_fee=Decimal(0),
        )
        for n in range(3)
    ]
    stored(sqlite_database, tenant, rows)
    trades = loaded(sqlite_database, tenant).trades.trades()
    assert [(t.order_id, t.occurrence) for t in trades] == [("o2", 1), ("o1", 2), ("o0", 3)]


@pytest.mark.parametrize(
    ("record", "leg", "inferred"),
    [
        # the recorded leg wins over everything
        ({"side": SELL, "direction": LONG, "closed_size": Decimal(0)}, LONG, 0),
        ({"side": SELL, "direction": SHORT, "closed_pnl": Decimal(5)}, SHORT, 0),
        # then the closed size, so that a break-even close is a close
        ({"side": SELL, "closed_size": Decimal("0.001"), "closed_pnl": Decimal(0)}, LONG, 0),
        ({"side": BUY, "closed_size": Decimal("0.001"), "closed_pnl": Decimal(0)}, SHORT, 0),
        ({"side": SELL, "closed_size": Decimal(0), "closed_pnl": None}, SHORT, 0),
        ({"side": BUY, "closed_size": Decimal(0)}, LONG, 0),
        # rows with neither are judged by their profit, and counted
        ({"side": SELL, "closed_pnl": Decimal("0.5")}, LONG, 1),
        ({"side": SELL, "closed_pnl": Decimal(0)}, SHORT, 1),
        ({"side": BUY, "closed_pnl": None}, LONG, 1),
    ],
)
def test_the_leg_of_an_execution(
    sqlite_database: DatabaseFactory, record: dict[str, object], leg: DirectionType, inferred: int
) -> None:
    tenant = Tenant(sqlite_database, "alice")
    changes = {"order_link_id": HEX, "exec_fee": Decimal(0), **record}
    stored(sqlite_database, tenant, [tenant.execution(**changes)])
    side = loaded(sqlite_database, tenant)
    (trade,) = side.trades.trades()
    assert trade.direction is leg
    assert side.trades.inferred == inferred
    assert any("their leg is inferred" in text for text in side.warnings) is bool(inferred)


def test_one_fill_that_tells_the_leg_tells_it_for_the_order(sqlite_database) -> None:
    tenant = Tenant(sqlite_database, "alice")
    rows = [
        tenant.execution("e1", side=SELL, order_link_id=HEX, closed_pnl=Decimal(0)),
        tenant.execution("e2", side=SELL, order_link_id=HEX, closed_size=Decimal("0.001")),
    ]
    stored(sqlite_database, tenant, rows)
    side = loaded(sqlite_database, tenant)
    (trade,) = side.trades.trades()
    assert (trade.direction, trade.fills, side.trades.inferred) == (LONG, 2, 0)


def test_what_was_not_recorded_is_unknown_and_told(sqlite_database) -> None:
    tenant = Tenant(sqlite_database, "alice")
    stored(
        sqlite_database,
        tenant,
        [tenant.execution(side=SELL, direction=LONG, order_link_id=HEX)],
    )
    side = loaded(sqlite_database, tenant)
    (trade,) = side.trades.trades()
    assert (trade.fee, trade.realized_pnl) == (None, None)
    assert any("without their fee" in text for text in side.warnings)
    assert any("without their realised profit" in text for text in side.warnings)


def test_other_executions_are_named_and_never_taken_for_the_strategys(
    database: DatabaseFactory,
) -> None:
    tenant = Tenant(database, "alice")
    kinds = [
        ("Trade", None, "foreign"),
        ("Trade", "by-hand", "foreign"),
        ("BustTrade", HEX, "BustTrade"),
        ("AdlTrade", "", "AdlTrade"),
    ]
    rows = [
        tenant.execution(f"e{n}", order_id=f"o{n}", order_link_id=link, exec_type=kind)
        for n, (kind, link, _) in enumerate(kinds)
    ]
    rows += [tenant.execution(f"s{n}", exec_type="Settle") for n in range(2)]
    stored(database, tenant, rows)
    side = loaded(database, tenant)
    found = {trade.order_id: trade for trade in side.trades.trades()}
    assert [found[f"o{n}"].kind for n in range(4)] == [kind for *_, kind in kinds]
    assert len({trade.client_order_id for trade in found.values()}) == 4
    assert HEX not in {trade.client_order_id for trade in found.values()}
    assert any("2 live executions of type Settle" in text for text in side.warnings)


def test_funding_has_its_leg_and_its_sign(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    common = {"exec_type": "Funding", "exec_price": Decimal(60000), "exec_qty": Decimal(2)}
    rows = [
        tenant.execution(
            "f1", side=BUY, exec_fee=Decimal(12), fee_rate=Decimal("0.0001"), **common
        ),
        tenant.execution(
            "f2", side=SELL, exec_fee=Decimal(-12), fee_rate=Decimal("-0.0001"), **common
        ),
        tenant.execution("f3", side=SELL, direction=LONG, exec_fee=Decimal(1), **common),
        tenant.execution(
            "f4", side=BUY, exec_fee=Decimal(-4), fee_rate=Decimal("-0.0002"), **common
        ),
    ]
    stored(database, tenant, rows)
    side = loaded(database, tenant)
    assert len(side.trades) == 0
    legs = sorted((p.direction, p.paid, p.per_unit) for p in side.funding if p.per_unit)
    assert legs == [
        (LONG, Decimal(-4), Decimal(-12)),
        (LONG, Decimal(12), Decimal(6)),
        (SHORT, Decimal(-12), Decimal(-6)),
    ]
    assert (LONG, Decimal(1), None) in [(p.direction, p.paid, p.per_unit) for p in side.funding]


def test_funding_without_an_amount_is_refused(sqlite_database) -> None:
    tenant = Tenant(sqlite_database, "alice")
    stored(sqlite_database, tenant, [tenant.execution(exec_type="Funding")])
    with pytest.raises(ComparatorError, match="recorded without its amount"):
        loaded(sqlite_database, tenant)


def test_only_the_run_the_range_and_the_user_count(database: DatabaseFactory) -> None:
    alice, bob = Tenant(database, "alice"), Tenant(database, "bob")
    for tenant in (alice, bob):
        rows = [tenant.execution(f"e{n}", order_id=f"o{n}", exchange_ts=after(n)) for n in range(5)]
        stored(database, tenant, rows)
    wanted = TimeRange(to_us(after(1)), to_us(after(4)))
    side = loaded(database, alice, wanted)
    assert [trade.order_id for trade in side.trades.trades()] == ["o1", "o2", "o3"]
    assert side.trades.ts_us.tolist() == [to_us(after(n)) for n in (1, 2, 3)]
    assert len(loaded(database, alice, wanted, user=bob.user_id).trades) == 0


def test_microseconds_and_long_decimals_survive_both_databases(database: DatabaseFactory) -> None:
    tenant = Tenant(database, "alice")
    moment = NOW + timedelta(microseconds=1)
    stored(
        database,
        tenant,
        [
            tenant.execution(
                order_link_id=HEX,
                exchange_ts=moment,
                exec_price=Decimal("0.00000001"),
                exec_qty=Decimal("12345678.000000001"),
                exec_fee=Decimal("-0.123456789012345678"),
            )
        ],
    )
    (trade,) = loaded(database, tenant).trades.trades()
    assert trade.timestamp == moment
    assert trade.price == Decimal("0.00000001")
    assert trade.qty == Decimal("12345678.000000001")
    assert trade.fee == Decimal("-0.123456789012345678")


link_ids = st.one_of(
    st.none(),
    st.text(alphabet="0123456789abcdefgA-_ \n", max_size=24),
    st.from_regex(r"[0-9a-f]{16}(-[A-Za-z0-9_-]*)?", fullmatch=True),
)


@settings(deadline=None)
@given(st.lists(link_ids))
def test_prefixes_by_the_column_are_those_of_gridcore(links: list[str | None]) -> None:
    found = client_order_prefixes(pl.Series(links, dtype=pl.String))
    assert found.to_list() == [extract_client_order_prefix(link) for link in links]


fills = st.lists(
    st.tuples(
        st.sampled_from("ab"),  # client order id
        st.sampled_from("xyz"),  # order id
        st.sampled_from([BUY, SELL]),
        st.decimals("1", "1000", allow_nan=False, places=2),
        st.decimals("0.001", "10", allow_nan=False, places=3),
        st.one_of(st.none(), st.decimals("-1", "1", allow_nan=False, places=8)),
        st.integers(0, 50),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(fills)
def test_grouping_by_columns_is_grouping_by_hand(
    rows: list[tuple[str, str, SideType, Decimal, Decimal, Decimal | None, int]],
) -> None:
    frame = pl.DataFrame(
        {
            "client_order_id": [row[0] for row in rows],
            "order_id": [row[1] for row in rows],
            "symbol": ["X"] * len(rows),
            "side": [row[2].value for row in rows],
            "direction": ["long"] * len(rows),
            "kind": ["grid"] * len(rows),
            "ts_us": [row[6] for row in rows],
        },
        schema={**dict.fromkeys(KEY, pl.String), "ts_us": pl.Int64},
    )
    exact = {
        "price": of_decimals([row[3] for row in rows]),
        "qty": of_decimals([row[4] for row in rows]),
        "fee": of_decimals([row[5] for row in rows]),
        "realized_pnl": of_decimals([row[5] for row in rows]),
    }
    table = trades_of_fills(Source.LIVE, frame, exact)
    groups = defaultdict(list)
    for row in rows:
        groups[row[:3]].append(row)
    assert len(table) == len(groups)
    for trade, notional in zip(table.trades(), table.exact("notional").decimals(), strict=True):
        own = groups[trade.client_order_id, trade.order_id, trade.side]
        qty = sum(row[4] for row in own)
        assert trade.qty == qty
        assert notional == sum(row[3] * row[4] for row in own)
        average = notional / qty
        assert abs(trade.price - average) <= Decimal("1E-12")
        if len({row[3] for row in own}) == 1:
            assert trade.price == own[0][3]
        unknown = any(row[5] is None for row in own)
        assert trade.fee == (None if unknown else sum(row[5] or 0 for row in own))
        assert trade.ts_us == max(row[6] for row in own)
        assert trade.fills == len(own)
