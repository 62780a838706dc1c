"""Shadow mode decides what live mode decides, and sends nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bybit_adapter.async_client import BybitAsyncClient

from exchange_model.account.simulated_account import FeeRates
from grid_service.redaction import Redactor
from gridbot.shadow import ShadowTerms, shadow_terms
from gridbot.words.bot_logs import bot_logs
from testkit.bot_host import RunningBot, Witness, bot_settings, executions_of, strategy
from testkit.paper import KEY, SECRET, PaperHost, paper_account, paper_listing
from testkit.rest import connect
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange(accounts=2, priced=True)]


# down and up through several levels of 30 USDT, and once out of the grid
PATH = (
    60_001, 59_960, 59_930, 59_905, 59_950, 59_985, 60_010, 60_050, 60_090, 60_040, 60_000, 59_960,
    60_020, 60_085, 60_130, 60_100, 60_300, 60_280, 60_240, 60_310, 60_350, 60_330, 60_300,
)  # fmt: skip


def decisions(log: Path, strat_id: str) -> list[tuple[Any, ...]]:
    """Return what a strategy decided, in order, without what names orders of the exchange."""
    found = []
    for line in log.read_text().splitlines():
        row = json.loads(line)
        if row.get("strat_id") == strat_id and "decision" in row:
            price = Decimal(row["price"]).normalize()
            size = None if row.get("qty") is None else Decimal(row["qty"]).normalize()
            found.append(
                (
                    row["decision"], row["side"], price, size, row.get("direction"),
                    row.get("reduce_only"), row.get("reason"), row["client_order_id"],
                )
            )  # fmt: skip
    return found


def quiet(running: RunningBot, host: PaperHost, price: float, *, is_live: bool) -> None:
    """Wait until the price has come, nothing is on its way, and the exchange has the same books."""
    seen: list[Any] = []

    def look() -> bool:
        now = running.do(
            lambda: [
                (len(one.inbox), len(one.strategy.view.orders), one.tally.fills,
                 sum(order.order_id is None for order in one.strategy.view.orders),
                 None if one.last_ticker is None else one.last_ticker.last_price)
                for one in running.bot.runners
            ]
        )  # fmt: skip
        seen.append(now)
        if len(seen) <= 6 or any(one != now for one in seen[-6:]) or now[0][3]:
            return False
        return now[0][4] == price and not (is_live and running.disagreements(host))

    eventually(look, 30, lambda: str(seen[-1]))


@pytest.mark.slow
def test_shadow_and_live_decide_the_same_on_the_same_prices(
    host: PaperHost, tmp_path: Path
) -> None:
    witness = Witness(host)
    # one strat_id, so that identities are the same; risk checks and lists only at the start: the
    # checks fall on multiples of the interval, none of which may fall into a run
    undisturbed = next(
        interval for interval in (86_400, 80_000) if interval - time.time() % interval > 600
    )
    settings = {
        "position_check_interval": undisturbed,
        "order_sync_interval": 600,
        "wallet_cache_interval": 600,
    }
    live_folder, shadow_folder = tmp_path / "live", tmp_path / "shadow"
    live_folder.mkdir()
    shadow_folder.mkdir()
    live = bot_settings(live_folder, host.server.port, [strategy(strat_id="same")], **settings)
    shadow = bot_settings(
        shadow_folder,
        host.server.port,
        [strategy(account="two", strat_id="same", shadow_mode=True)],
        {"two": ("key-two", "secret-two")},
        **settings,
    )
    found = []
    for folder, given, account in ((live_folder, live, "one"), (shadow_folder, shadow, "two")):
        host.trade("60000")
        running = RunningBot(given)
        logs = bot_logs(running.config.log, Redactor(), debug=False)
        try:
            with running:
                quiet(running, host, 60_000, is_live=account == "one")
                for price in PATH:
                    host.trade(str(price))
                    quiet(running, host, price, is_live=account == "one")
        finally:
            logs.close()
        found.append(decisions(folder / "bot.log", "same"))
        if account == "one":
            assert len(executions_of(host)) > 5
    assert executions_of(host, "two") == []
    assert not host.exchange.accounts["two"].closed_orders
    assert not host.exchange.accounts["two"].open_orders
    assert witness.problems == []
    assert len(found[0]) > 40
    assert found[1] == found[0]


def test_a_shadow_beside_a_live_strategy_sends_nothing(host: PaperHost, tmp_path: Path) -> None:
    settings = bot_settings(
        tmp_path,
        host.server.port,
        [strategy(), strategy(account="two", shadow_mode=True)],
        {"one": (KEY, SECRET), "two": ("key-two", "secret-two")},
    )
    with RunningBot(settings) as running:
        for price in PATH[:8]:
            host.trade(str(price))
            time.sleep(0.2)
        orders = {
            one.account: len(one.orders) for one in running.do(running.bot.snapshot).strategies
        }
        assert orders["one"] > 5
        assert orders["two"] > 5
    two = host.exchange.accounts["two"]
    assert not two.open_orders
    assert not two.closed_orders


async def test_a_shadow_trades_under_the_terms_that_the_exchange_tells() -> None:
    fees = FeeRates(Decimal("0.0001"), Decimal("0.0003"))
    listing = paper_listing()
    with (
        PaperHost(accounts=[paper_account(deposit="1234", fees=fees)]) as host,
        connect(host.server.port, api_key=KEY, api_secret=SECRET) as blocking,
    ):
        rest = BybitAsyncClient(blocking)
        terms = await shadow_terms(rest, await rest.get_instrument("BTCUSDT"))
        rest.close()
    assert terms == ShadowTerms(
        Decimal(1234), listing.tiers, fees, replace(listing.limits, max_open_orders=500)
    )
    assert terms.limits.not_known() == ()


async def test_what_a_shadow_cannot_be_told_is_assumed() -> None:
    with (
        PaperHost() as host,
        connect(host.server.port, api_key="nobody", api_secret=SECRET) as blocking,
    ):
        rest = BybitAsyncClient(blocking)
        terms = await shadow_terms(rest, await rest.get_instrument("BTCUSDT"))
        rest.close()
    assert (terms.wallet, terms.fees) == (Decimal(10_000), None)
    assert terms.tiers == paper_listing().tiers  # public data
