"""Many strategies in one process: what fails takes nobody else with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grid_db import DatabaseFactory, DatabaseSettings
from paper_exchange.host.control import ACTION
from testkit.bot_host import (
    PRICES,
    Mover,
    RunningBot,
    StoredFacts,
    Witness,
    bot_settings,
    executions_of,
    strategy,
)
from testkit.paper import KEY, SECRET, PaperHost
from testkit.waiting import eventually

SYMBOLS = tuple(PRICES)

pytestmark = [pytest.mark.integration, pytest.mark.exchange(*SYMBOLS, accounts=2)]
ACCOUNTS = {"one": (KEY, SECRET), "two": ("key-two", "secret-two")}
RAISES = "one_ethusdt"


NO_MESSAGE: Any = "what makes a strategy raise"


@pytest.mark.slow
def test_a_revoked_key_and_a_strategy_that_raises_leave_the_others_trading(
    host: PaperHost, tmp_path: Path
) -> None:
    witness = Witness(host)
    strategies = [
        strategy(symbol, account, grid_step=0.1) for account in ACCOUNTS for symbol in SYMBOLS
    ]
    settings = bot_settings(tmp_path, host.server.port, strategies, ACCOUNTS)

    def fills(account: str) -> dict[str, int]:
        found = dict.fromkeys(SYMBOLS, 0)
        for one in tuple(host.exchange.accounts[account].executions):
            found[one.symbol] += 1
        return found

    with Mover(host, SYMBOLS, per_s=12, wave=0.003) as mover, RunningBot(settings) as running:
        for account in ACCOUNTS:
            eventually(lambda account=account: all(fills(account).values()), 30, "fills")  # type: ignore[misc]
        # one strategy raises
        faulty = next(one for one in running.bot.runners if one.strat_id == RAISES)
        running.do(lambda: faulty.tell(NO_MESSAGE))
        eventually(lambda: running.health(RAISES)[0] == "stopped", what="the end of a strategy")
        assert "InvalidEventError" in running.health(RAISES)[1][0]
        # one account loses its key
        revoke = ACTION.validate_python({"do": "revoke_key", "key": "key-two"})
        host.do(lambda: host.control.run(revoke))
        second = [f"two_{symbol.lower()}" for symbol in SYMBOLS]
        eventually(lambda: all(running.health(one)[0] == "stopped" for one in second), 15)
        assert running.alerts("auth_error") >= 1
        # the others go on
        others = [symbol for symbol in SYMBOLS if f"one_{symbol.lower()}" != RAISES]
        before = fills("one")

        def go_on() -> bool:
            running.reset_by_hand()
            return all(fills("one")[one] > before[one] for one in others)

        eventually(go_on, 30, lambda: f"more fills than {before}: {fills('one')}")
        assert not running.has_ended
        for symbol in others:
            assert running.health(f"one_{symbol.lower()}")[0] in ("healthy", "blocked")
        mover.pause()
        eventually(lambda: not differing(running, host, others), 15,
                   lambda: str(differing(running, host, others)))  # fmt: skip
        url = f"sqlite:///{tmp_path / 'bot.db'}"
        with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
            stored = StoredFacts(database)
            # those of the strategy that raised too, whose books nobody compares; a stop waits for
            # no frame that is on its way, the next start would fetch what it told
            eventually(
                lambda: set(executions_of(host)) <= set(stored.executions()), 30, "the record"
            )
        running.stop()
    assert witness.problems == []
    with DatabaseFactory(DatabaseSettings(database_url=url)) as database:  # type: ignore[arg-type]
        stored = StoredFacts(database)
        assert stored.runs() == {"completed": 4, "failed": 6}
        assert len(stored.executions()) == len(set(stored.executions()))


def differing(running: RunningBot, host: PaperHost, symbols: list[str]) -> list[str]:
    return [
        text
        for text in running.disagreements(host)
        if text.startswith("('one'") and any(symbol in text for symbol in symbols)
    ]
