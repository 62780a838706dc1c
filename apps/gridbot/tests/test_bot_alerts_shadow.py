"""A strategy in shadow mode tells what a live one tells: of market, contract, clock, blocks."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gridbot.alerts.alerts import AlertKey
from paper_exchange.market.listing import ContractStatus
from paper_exchange.market.market import FeedQuote
from testkit.bot_host import RunningBot, bot_settings, strategy
from testkit.paper import PaperHost
from testkit.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.exchange(priced=True)]


def shadow(folder: Path, host: PaperHost, **changes: Any) -> RunningBot:
    """Return a bot with one strategy, which sends nothing."""
    one = strategy(shadow_mode=True, **changes)
    return RunningBot(
        bot_settings(
            folder, host.server.port, [one], position_check_interval=0.5, clock_check_interval=0.5
        )
    )


def health(running: RunningBot) -> tuple[str, str]:
    """Return how the strategy is, and why."""
    (one,) = running.do(running.bot.snapshot).strategies
    return one.health.value, "; ".join(one.reasons)


def fill(running: RunningBot, host: PaperHost) -> None:
    """Let the price fall through some levels of 30 USDT."""

    def has_orders() -> bool:
        host.trade("60000")
        return bool(running.do(running.bot.snapshot).strategies[0].orders)

    eventually(has_orders, what="orders")
    for price in (59_960, 59_930, 59_900):
        host.trade(str(price))
    eventually(lambda: running.do(running.bot.snapshot).strategies[0].counts.fills, what="fills")


def test_a_high_funding_rate_is_told_of_a_shadow(host: PaperHost, tmp_path: Path) -> None:
    with shadow(tmp_path, host) as running:
        fill(running, host)
        now = host.exchange.now_ms
        quote = FeedQuote(symbol="BTCUSDT", ts_ms=now, funding_rate=Decimal("0.002"))
        host.do(lambda: host.exchange.feed(quote))
        eventually(lambda: running.alerts(AlertKey.FUNDING_RATE_HIGH) == 1, what="the alert")
        assert health(running)[0] == "degraded"
        assert "0.2 %, beyond 0.1 %: long pays short" in health(running)[1]


def test_what_becomes_of_its_contract_is_told_of_a_shadow(host: PaperHost, tmp_path: Path) -> None:
    with shadow(tmp_path, host) as running:
        fill(running, host)
        host.act(do="change_rules", symbol="BTCUSDT", min_qty="0.002")
        eventually(lambda: running.alerts(AlertKey.RULES_CHANGED) == 1, what="other rules")
        market = host.exchange.market("BTCUSDT")
        traded = market.listing

        def becomes(status: ContractStatus) -> None:
            market.listing = traded.with_status(status)

        host.do(lambda: becomes(ContractStatus.PRE_LAUNCH))
        eventually(lambda: running.alerts(AlertKey.CONTRACT_HALTED) == 1, what="the halt")
        assert health(running)[0] == "blocked"
        host.do(lambda: becomes(ContractStatus.TRADING))
        eventually(lambda: health(running)[0] == "healthy", what="the end of the halt")
        host.act(do="announce_delisting", symbol="BTCUSDT", in_s=600, settling_s=30)
        eventually(lambda: running.alerts(AlertKey.CONTRACT_ENDS) == 1, what="the delisting")
        assert health(running)[0] == "degraded"


def test_another_tick_size_ends_a_shadow_and_says_how_to_go_on(
    host: PaperHost, tmp_path: Path
) -> None:
    with shadow(tmp_path, host) as running:
        fill(running, host)
        host.act(do="change_rules", symbol="BTCUSDT", tick_size="0.5")
        eventually(lambda: running.alerts(AlertKey.STRATEGY_STOPPED) == 1, what="the end")
        assert running.alerts(AlertKey.TICK_SIZE_CHANGED) == 1


def test_a_loss_breaker_is_told_of_a_shadow(host: PaperHost, tmp_path: Path) -> None:
    caps = {"session_loss_limit": 0.05}
    with shadow(tmp_path, host, safety_caps=caps) as running:
        fill(running, host)
        for price in (59_600, 59_300, 59_000):
            host.trade(str(price))
        eventually(lambda: running.alerts(AlertKey.LOSS_BREAKER) == 1, what="the alert")
        assert health(running)[0] == "blocked"


def test_clock_and_margin_mode_are_told_of_a_shadow(host: PaperHost, tmp_path: Path) -> None:
    with shadow(tmp_path, host) as running:
        fill(running, host)
        host.act(do="skew_clock", ms=2_000)
        eventually(lambda: running.alerts(AlertKey.CLOCK_DRIFT) == 1, what="the drift")
        eventually(lambda: health(running)[0] == "degraded", what="the doubt")
        host.act(do="skew_clock", ms=0)
        eventually(lambda: health(running)[0] == "healthy", what="the end of the drift")
        host.act(do="set_margin_mode", account="one", mode="ISOLATED_MARGIN")
        eventually(lambda: running.alerts(AlertKey.MARGIN_MODE_CHANGED) == 1, what="the alert")
        assert health(running)[0] == "blocked"
