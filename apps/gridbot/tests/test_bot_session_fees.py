"""Fees in MNT, from the exchange to what people read: never taken for USDT."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from grid_db import DatabaseFactory, TenantScope, user_id_for
from gridbot.views.live_view import summary_text
from gridbot.words.texts import pnl_text, status_text
from testkit.bot_host import Mover, RunningBot, bot_host, bot_settings, executions_of, status_of
from testkit.paper import paper_account
from testkit.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_fees_in_another_coin_are_shown_in_it_and_are_in_no_figure_of_usdt(
    database: DatabaseFactory, tmp_path: Path
) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with bot_host(accounts=[paper_account(mnt="1000", mnt_price="0.8")]) as host:
        settings = bot_settings(tmp_path, host.server.port, database_url=url)
        with Mover(host) as mover, RunningBot(settings) as running:
            eventually(lambda: len(executions_of(host)) >= 10, what="fills")
            mover.pause()
            eventually(lambda: running.disagreements(host) == [], 10, "equal books")
            paid = host.do(lambda: host.exchange.accounts["one"].mnt.fees_paid)
            shown = running.do(running.bot.snapshot)
            running.stop()
    (one,) = shown.strategies
    assert paid > 0
    assert (one.pnl.fees, dict(one.pnl.other_fees)) == (0, {"MNT": paid})
    now = datetime.now(UTC)
    in_words = f"fees 0.00 and {paid.normalize():f} MNT"
    assert in_words in pnl_text(shown)
    assert in_words in summary_text(shown, now)
    for text in (pnl_text(shown), summary_text(shown, now), status_text(shown, now)):
        assert "USDT without fees in MNT" in text
    (stated,) = status_of(tmp_path)["strategies"]
    assert {coin: Decimal(fee) for coin, fee in stated["pnl"]["other_fees"].items()} == {
        "MNT": paid
    }
    with database.get_session() as session:
        scope = TenantScope(session, user_id_for("default"))
        (account,) = scope.accounts.list_all()
        rows = list(scope.executions.iterate_by_account(account.id))
    assert {row.fee_currency for row in rows} == {"MNT"}
    assert sum((row.exec_fee for row in rows if row.exec_fee), Decimal(0)) == paid
    assert {row.fee_usdt for row in rows} == {None}
