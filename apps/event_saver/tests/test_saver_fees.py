"""Fees are stored in the coin that paid them, whichever version of the program saw them first."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bybit_adapter import BybitNormalizer, TransactionLogEntry
from event_saver.basics.owner import Owner
from event_saver.reading_anew import Outcome, repair
from event_saver.reconcile.account import profits_by_trade
from event_saver.spool import rows as kinds
from event_saver.spool.codec import CorruptLineError, decode, encode
from event_saver.spool.rows import Batch
from event_saver.spool.spool import Spool
from event_saver.writers.records import execution_records
from grid_db import DatabaseFactory, TenantScope
from grid_db.testing_rows import NOBODY, Tenant, execution

NOW = datetime(2026, 7, 25, tzinfo=UTC)
FILL = {
    "category": "linear", "symbol": "BTCUSDT", "closedSize": "0", "execFee": "0.01449275",
    "execId": "e-1", "execPrice": "60000", "execQty": "0.001", "execType": "Trade",
    "feeRate": "0.0002", "leavesQty": "0", "orderId": "o-1", "orderLinkId": "",
    "orderPrice": "60000", "orderQty": "0.001", "orderType": "Limit", "side": "Buy",
    "execTime": "1785000000000", "isMaker": True, "seq": 1, "execPnl": "0",
    "createType": "CreateByUser", "feeCurrency": "MNT",
}  # fmt: skip
# written by the version before the coin was kept; ids are those of NOBODY
LINE_OF_BEFORE = (
    b'd4b4b0ea {"kind":"executions","user":"00000000-0000-4000-8000-000000000000","rows":[['
    b'"00000000-0000-4000-8000-000000000000","00000000-0000-4000-8000-000000000000","BTCUSDT",'
    b'"e1","o1",null,"Trade","Buy",null,"60000.1","0.001","0.0145",null,null,null,null,null,null,'
    b'"2026-01-01T12:00:00.123456+00:00","2026-01-01T12:00:00.123456+00:00",'
    b'"{\\"execFee\\":\\"0.0145\\",\\"feeCurrency\\":\\"MNT\\"}"]]}\n'
)


def records_of(tenant: Tenant, **changes: Any) -> list[Any]:
    frame = {"topic": "execution", "creationTime": 1785000000001, "data": [FILL | changes]}
    owner = Owner(user_id=tenant.user_id, account_id=tenant.account.id, run_id=tenant.run.id)
    return execution_records(BybitNormalizer().normalize(frame, NOW), owner)


@pytest.mark.parametrize(
    ("told", "stored", "in_usdt"), [("MNT", "MNT", None), ("", "USDT", Decimal("0.01449275"))]
)
def test_the_coin_of_a_fee_is_stored(
    database: DatabaseFactory, told: str, stored: str, in_usdt: Decimal | None
) -> None:
    tenant = Tenant(database, "alice")
    with database.get_session() as session:
        scope = TenantScope(session, tenant.user_id)
        scope.executions.bulk_insert(records_of(tenant, feeCurrency=told))
        (found,) = scope.executions.iterate_by_account(tenant.account.id)
    assert (found.exec_fee, found.fee_currency) == (Decimal("0.01449275"), stored)
    assert found.fee_usdt == in_usdt


def test_a_spool_of_the_version_before_is_stored_with_the_coin_of_its_raw_form(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    tenant = Tenant(database, "alice")
    (tmp_path / "0000000001.spool").write_bytes(LINE_OF_BEFORE)
    spool = Spool(tmp_path)
    (batch,) = spool.peek(10)
    spool.close()
    assert spool.corrupt_lines == 0
    (record,) = batch.records
    assert (record.exec_fee, record.fee_currency) == (Decimal("0.0145"), None)
    own = replace(record, account_id=tenant.account.id, run_id=tenant.run.id)
    with database.get_session() as session:
        assert kinds.EXECUTIONS.store(session, tenant.user_id, [own]) == 1
        scope = TenantScope(session, tenant.user_id)
        (found,) = scope.executions.iterate_by_account(tenant.account.id)
    assert found.fee_currency == "MNT"


@pytest.mark.parametrize("raw", [None, "", "[]", "{", '{"feeCurrency":7}', '{"feeCurrency":""}'])
def test_where_the_raw_form_does_not_tell_the_coin_it_stays_untold(raw: str | None) -> None:
    record = execution(NOBODY, NOBODY, raw_json=raw)
    assert kinds.with_fee_currency(record) == record


def test_a_spool_of_a_later_version_is_not_cut_to_fit() -> None:
    line = encode(Batch(kinds.EXECUTIONS, NOBODY, [execution(NOBODY, NOBODY)]))
    body = line[9:].replace(b"]]}", b',"more"]]}')
    with pytest.raises(CorruptLineError, match="holds no batch"):
        decode(b"%08x %b" % (zlib.crc32(body.rstrip(b"\n")), body))


def test_reading_anew_finds_the_coin_and_leaves_alone_what_says_the_same(
    database: DatabaseFactory,
) -> None:
    tenant = Tenant(database, "alice")
    (mnt,) = records_of(tenant)
    (usdt,) = records_of(tenant, feeCurrency="", execId="e-2")
    of_before = [replace(mnt, fee_currency=None), replace(usdt, fee_currency=None)]
    outcome = Outcome()
    assert repair("executions", of_before, outcome) == [mnt]
    assert (outcome.read, outcome.changed) == (2, 1)


def test_the_ledgers_entry_for_a_fee_in_another_coin_hides_no_profit() -> None:
    def entry(currency: str, cash_flow: str) -> TransactionLogEntry:
        return TransactionLogEntry(
            entry_id=currency, time=NOW, entry_type="TRADE", symbol="BTCUSDT", category="linear",
            side=None, currency=currency, qty=None, size=None, trade_price=None, funding=None,
            fee=None, fee_rate=None, cash_flow=Decimal(cash_flow), change=None, cash_balance=None,
            trade_id="e-1", order_id=None, order_link_id=None, raw_json="{}",
        )  # fmt: skip

    entries = [entry("USDT", "12.5"), entry("MNT", "0")]
    assert profits_by_trade(entries) == profits_by_trade(entries[::-1]) == {"e-1": Decimal("12.5")}
