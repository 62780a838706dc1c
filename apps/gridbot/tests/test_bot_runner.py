"""The queue of a strategy."""

from __future__ import annotations

from gridbot.actor.runner import StrategyRunner
from gridbot.alerts.alerts import LoggedAlerts
from gridbot.ports import ExchangeClock, MachineTime
from gridcore import GridStrategy
from testkit.builders import account, leg, strategy_config, ticker, wallet


def test_what_is_newer_takes_the_place_of_what_nobody_needs_any_more() -> None:
    runner = StrategyRunner(
        GridStrategy(strategy_config()), "one", ExchangeClock(MachineTime()), LoggedAlerts()
    )
    prices = [ticker(price) for price in ("60000", "60001", "60002", "60003")]
    wallets = [account(money=wallet(money)) for money in ("100", "200", "300")]
    legs = [account(long=leg("0.1", "60000")), account(short=leg("0.2", "60000"))]
    both = account(long=leg("0.3", "60000"), money=wallet("400"))
    told = [*prices[:2], *wallets[:2], *legs, both, prices[2], wallets[2], prices[3]]
    for message in told:
        runner.tell(message)
    assert runner.inbox.conflated == 2
    left = [runner.inbox.take() for _ in range(len(runner.inbox))]
    # of two tickers or wallets in a row the second; of a leg everything
    assert left == [prices[1], wallets[1], *legs, both, prices[2], wallets[2], prices[3]]
