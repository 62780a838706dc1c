"""Every fault of the exchange over sockets: in agreement with it afterwards, or stopped and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory, DatabaseSettings
from gridbot.actor.executor import IntentExecutor
from paper_exchange.host.control import ACTION
from testkit.bot_host import (
    Mover,
    RunningBot,
    StoredFacts,
    Witness,
    bot_settings,
    executions_of,
)
from testkit.paper import KEY, PaperHost
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

STRAT = "one_btcusdt"
HEALS_WITHIN_S = 90.0
Step = dict[str, Any]


def facts(folder: Path) -> StoredFacts:
    url = f"sqlite:///{folder / 'bot.db'}"
    return StoredFacts(DatabaseFactory(DatabaseSettings(database_url=url)))  # type: ignore[arg-type]


def strike(host: PaperHost, step: Step) -> None:
    host.do(lambda: host.control.run(ACTION.validate_python(step)))


def fault(kind: str, **more: Any) -> Step:
    return {"do": "fault", "kind": kind} | more


# each with how long it lasts; what is not over by itself is healed then
STORMS: dict[str, tuple[float, Sequence[Step]]] = {
    # what takes long to heal, at once: answers are waited for 15 s, a pause lasts 30 s
    "answers_and_orders_lost_errors_and_a_pause": (
        1.0,
        [
            fault("timeout", match="order/create", executed=False, count=2),
            fault("ret_code", code=110066, match="create", count=1),
            fault("http_error", probability=0.4, duration_s=2),
            fault("ret_code", code=10016, probability=0.4, duration_s=2),
        ],
    ),
    "answers_lost_after_placing": (
        1.0, [fault("timeout", match="order/create", executed=True, count=4)]
    ),
    "cancels_lost": (1.0, [fault("timeout", match="cancel", executed=True, count=2)]),
    "server_errors_after_placing": (
        1.0, [fault("http_error", match="order/", executed=True, probability=0.5, duration_s=1)]
    ),
    "no_balance": (1.0, [fault("ret_code", code=110007, match="create", duration_s=1)]),
    "reduce_only_refused": (1.0, [fault("ret_code", code=110017, match="create", count=2)]),
    "rate_limit": (1.0, [fault("rate_limit", match="order/", duration_s=1)]),
    "slow_answers": (1.0, [fault("latency", delay_ms=700, duration_s=1)]),
    "private_frames_lost": (1.0, [fault("lose", channel="private", duration_s=1)]),
    "executions_lost": (1.0, [fault("lose", channel="private", match="execution", duration_s=1)]),
    "orders_lost": (1.0, [fault("lose", channel="private", match="order", duration_s=1)]),
    "frames_twice": (1.0, [fault("duplicate", duration_s=1)]),
    "frames_out_of_order": (1.0, [fault("reorder", channel="private", duration_s=1)]),
    "frames_late": (1.0, [fault("delay", delay_ms=600, duration_s=1)]),
    "market_data_lost": (1.0, [fault("lose", channel="public", probability=0.7, duration_s=1)]),
    "connections_cut": (0.5, [{"do": "disconnect", "reset": True}]),
    "connections_closed": (0.5, [{"do": "disconnect"}]),
    "private_refused_for_a_while": (
        1.2,
        [
            fault("refuse", channel="private", duration_s=1),
            {"do": "disconnect", "channel": "private", "reset": True},
        ],
    ),
    "exchange_restarts": (1.2, [{"do": "restart", "down_s": 0.7}]),
    "clock_jumps": (1.0, [{"do": "skew_clock", "ms": 8_000}]),
    "price_jumps_up": (0.5, [{"do": "jump_price", "symbol": "BTCUSDT", "percent": "1.2"}]),
    "price_jumps_down": (0.5, [{"do": "jump_price", "symbol": "BTCUSDT", "percent": "-2.5"}]),
    "trading_halts": (1.0, [{"do": "halt", "symbol": "BTCUSDT"}]),
    "adl": (0.5, [{"do": "adl", "account": "one", "symbol": "BTCUSDT", "direction": "long",
                   "qty": "0.001"}]),
    "orders_cancelled": (0.5, [{"do": "cancel_orders", "account": "one", "symbol": "BTCUSDT"}]),
    "money_taken_out": (0.5, [{"do": "deposit", "account": "one", "amount": "-500"}]),
}  # fmt: skip
HEALING: tuple[Step, ...] = (
    {"do": "heal"},
    {"do": "skew_clock", "ms": 0},
    {"do": "halt", "symbol": "BTCUSDT", "halted": False},
)
NAMES = sorted(STORMS)
GROUPS = [NAMES[number::4] for number in range(4)]


@pytest.mark.slow
@pytest.mark.timeout(HEALS_WITHIN_S * 8)
@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0])
def test_after_each_fault_the_books_agree_again(
    host: PaperHost, tmp_path: Path, names: list[str]
) -> None:
    witness = Witness(host)
    settings = bot_settings(tmp_path, host.server.port)
    with Mover(host) as mover, RunningBot(settings) as running:
        eventually(lambda: len(executions_of(host)) > 2, what="fills")
        for name in names:
            seconds, steps = STORMS[name]
            mover.resume()
            for step in steps:
                strike(host, step)
            time.sleep(seconds)
            for step in HEALING:
                strike(host, step)
            mover.pause()
            healed_at = time.monotonic()
            eventually(
                lambda: running.disagreements(host) == [] and not blocked(running),
                HEALS_WITHIN_S,
                lambda name=name: story(running, host, name),  # type: ignore[misc]
            )
            print(f"{name}: {time.monotonic() - healed_at:.1f} s")  # noqa: T201 - with -s
            assert witness.problems == [], name
        mover.resume()
        before = len(executions_of(host))
        eventually(lambda: len(executions_of(host)) > before + 3, what="it trades on")
        mover.pause()
        eventually(lambda: running.disagreements(host) == [], what="books that agree")
        running.stop()
    assert sorted(facts(tmp_path).executions()) == sorted(executions_of(host))


def story(running: RunningBot, host: PaperHost, name: str) -> str:
    """Tell where everything stands."""
    (runner,) = running.bot.runners
    executor = runner.executor
    assert isinstance(executor, IntentExecutor)
    return (
        f"agreement after {name}: {running.disagreements(host)}, {running.health(STRAT)};"
        f" {executor.in_flight} commands in flight, {len(runner.inbox)} messages wait"
    )


def blocked(running: RunningBot) -> bool:
    """Whether something still has to heal; what waits for a person is reset, as one would."""
    assert running.health(STRAT)[0] != "stopped", running.health(STRAT)
    running.reset_by_hand()
    (runner,) = running.bot.runners
    return bool(running.do(lambda: runner.strategy.trips))


def test_silence_is_found_and_the_connection_replaced(host: PaperHost, tmp_path: Path) -> None:
    with Mover(host) as mover, RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        eventually(lambda: len(executions_of(host)) > 2, what="fills")
        strike(host, fault("silence", duration_s=3))
        time.sleep(3)
        mover.pause()
        eventually(lambda: running.disagreements(host) == [], HEALS_WITHIN_S, "agreement")


def test_a_liquidation_is_told_and_the_books_agree(host: PaperHost, tmp_path: Path) -> None:
    with Mover(host) as mover, RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        eventually(lambda: len(executions_of(host)) > 4, what="fills")
        mover.pause()
        strike(host, {"do": "liquidate", "account": "one"})
        eventually(lambda: running.alerts("liquidation_or_adl") > 0, what="the alert")
        eventually(lambda: running.disagreements(host) == [], what="agreement")


def test_a_forced_closing_degrades_until_the_sizes_are_confirmed(
    host: PaperHost, tmp_path: Path
) -> None:
    adl = {"do": "adl", "account": "one", "symbol": "BTCUSDT", "direction": "long"}
    with Mover(host) as mover, RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        eventually(lambda: len(executions_of(host)) > 4, what="fills")
        mover.pause()
        eventually(lambda: running.disagreements(host) == [], what="agreement")
        # sizes that REST does not tell are not confirmed
        strike(host, fault("http_error", match="position/list"))
        strike(host, adl | {"qty": "0.001"})
        eventually(lambda: running.health(STRAT)[0] == "degraded", what="doubt")
        assert "the exchange closed 0.001 by AdlTrade" in running.health(STRAT)[1]
        strike(host, HEALING[0])
        eventually(lambda: running.health(STRAT) == ("healthy", ()), what="no doubt")
        eventually(lambda: running.disagreements(host) == [], what="agreement again")


def test_a_revoked_key_stops_the_account_and_says_so(host: PaperHost, tmp_path: Path) -> None:
    with Mover(host) as mover, RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        eventually(lambda: len(executions_of(host)) > 2, what="fills")
        strike(host, {"do": "revoke_key", "key": KEY})
        mover.pause()
        eventually(lambda: running.health(STRAT)[0] == "stopped", 10, "the end")
        _, (reason,) = running.health(STRAT)
        assert "refuses the key" in reason
        assert running.alerts("auth_error") >= 1
        assert KEY not in reason
        eventually(lambda: running.has_ended, 10, "the end of a bot without a strategy")
