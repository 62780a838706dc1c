"""Every command of the chat does to a real bot what its help says."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridbot.control.chat_commands import COMMANDS, BotCommands
from testkit.bot_host import Mover, RunningBot, bot_settings, strategy
from testkit.paper import PaperHost
from testkit.waiting import eventually

pytestmark = pytest.mark.exchange("BTCUSDT", "ETHUSDT", priced=True)
BTC, ETH = "one_btcusdt", "one_ethusdt"


def test_each_command_does_what_its_help_says(host: PaperHost, tmp_path: Path) -> None:
    settings = bot_settings(tmp_path, host.server.port, [strategy(), strategy("ETHUSDT")])
    tried = set()
    with Mover(host, ("BTCUSDT", "ETHUSDT")), RunningBot(settings) as running:

        def run(name: str, strat_id: str | None = None) -> str:
            (command,) = (one for one in COMMANDS if one.name == name)
            tried.add(name)
            return running.do(lambda: BotCommands(running.bot).run(command, strat_id))

        def holds() -> dict[str, set[str]]:
            return running.do(
                lambda: {one.strat_id: set(one.strategy.trips) for one in running.bot.runners}
            )

        eventually(lambda: BTC in run("orders") and "Buy" in run("orders"), what="orders")
        assert f"paused, also through a restart: {BTC};" in run("pause", BTC)
        eventually(lambda: "paused" in holds()[BTC])
        assert "paused" not in holds()[ETH]
        assert f"{BTC}, {ETH}" in run("pause")
        eventually(lambda: "paused" in holds()[ETH])
        assert "paused" in run("status")
        assert run("resume") == f"trading again: {BTC}, {ETH}"
        eventually(lambda: not any("paused" in one for one in holds().values()))
        with pytest.raises(KeyError, match="nobody"):
            run("pause", "nobody")
        assert ETH in run("reset_same_order", ETH)
        assert ETH in run("reset_loss_breaker", ETH)
        assert ETH in run("reset_reduce_only", ETH)
        assert BTC in run("positions")
        assert ETH in run("pnl")
        assert run("stop") == "the bot is stopping"
        eventually(lambda: running.has_ended, what="the end")
    untried = sorted({one.name for one in COMMANDS} - tried)
    assert not untried, f"no line of this test runs {untried}, and looks at what became of it"


def test_a_task_of_the_bot_that_fails_is_an_alert(host: PaperHost, tmp_path: Path) -> None:
    async def fail() -> None:
        raise RuntimeError("a defect")

    with RunningBot(bot_settings(tmp_path, host.server.port)) as running:
        running.do(lambda: vars(running.bot)["_tasks"].spawn(fail()))
        eventually(lambda: running.alerts("internal_error") == 1, what="an alert")
