"""What no single setting can tell: whether the parts of a configuration fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from grid_db import Environment
from gridbot.settings.account_config import AccountConfig

if TYPE_CHECKING:
    from gridbot.settings.config import GridbotConfig, StrategySettings

LEAST_HEARTBEATS = 3  # of the bot that fit into the watchdog's patience


class ConfigProblem(NamedTuple):
    """What is wrong and what would be right, and at which setting."""

    location: tuple[str | int, ...]
    text: str


def problems_of(config: GridbotConfig) -> Iterator[ConfigProblem]:
    """Yield what does not fit together."""
    yield from _account_problems(config)
    yield from _strategy_problems(config)
    telegram = config.notification.telegram
    if telegram.bot_token and telegram.bot_token.get_secret_value() and not telegram.chat_id:
        text = "has no chat_id beside it; give the chat that is told"
        yield ConfigProblem(("notification", "telegram", "bot_token"), text)
    patience, beat = config.watchdog.stale_after, config.status_interval
    if patience < LEAST_HEARTBEATS * beat:
        text = (
            f"{patience:g} s is less than {LEAST_HEARTBEATS} heartbeats (status_interval"
            f" {beat:g} s); a healthy bot would lose its orders"
        )
        yield ConfigProblem(("watchdog", "stale_after"), text)


def _account_problems(config: GridbotConfig) -> Iterator[ConfigProblem]:
    names: set[str] = set()
    keys: dict[tuple[Environment, str], str] = {}
    for number, account in enumerate(config.accounts):
        if account.name in names:
            text = f"{account.name} is used twice; names differ"
            yield ConfigProblem(("accounts", number, "name"), text)
        names.add(account.name)
        if account.api_key is not None:
            key = account.environment, account.api_key.get_secret_value()
            if key in keys:
                text = (
                    f"is the one of account {keys[key]}; two names for one account would trade"
                    " against each other"
                )
                yield ConfigProblem(("accounts", number, "api_key"), text)
            keys.setdefault(key, account.name)
        if account.is_embedded:
            yield from _embedded_problems(config, number, account)


def _embedded_problems(
    config: GridbotConfig, number: int, account: AccountConfig
) -> Iterator[ConfigProblem]:
    if config.paper is None:
        text = "is paper, but there is no section paper and no paper_port; add one of them"
        yield ConfigProblem(("accounts", number, "environment"), text)
        return
    known = [one.name for one in config.paper.accounts]
    if account.api_key is None and account.name not in known:
        text = (
            f"{account.name} is no account of the section paper ({', '.join(known)});"
            " name one of them, or give the api_key and api_secret of one"
        )
        yield ConfigProblem(("accounts", number, "name"), text)


def _strategy_problems(config: GridbotConfig) -> Iterator[ConfigProblem]:
    accounts = {account.name: account for account in config.accounts}
    names: set[str] = set()
    grids: dict[tuple[str, str], str] = {}
    for number, one in enumerate(config.strategies):
        yield from _limit_problems(number, one)
        if one.strat_id in names:
            text = f"{one.strat_id} is used twice; each strategy has its own"
            yield ConfigProblem(("strategies", number, "strat_id"), text)
        names.add(one.strat_id)
        account = accounts.get(one.account)
        if account is None:
            text = f"{one.account} is no account of this file; there is {', '.join(accounts)}"
            yield ConfigProblem(("strategies", number, "account"), text)
            continue
        grid = one.account, one.symbol
        if grid in grids:
            text = (
                f"{one.symbol} of account {one.account} is traded by {grids[grid]} already;"
                " one grid a symbol and account"
            )
            yield ConfigProblem(("strategies", number, "symbol"), text)
        grids.setdefault(grid, one.strat_id)
        if account.is_embedded and config.paper is not None:
            listed = [market.symbol for market in config.paper.symbols]
            if one.symbol not in listed:
                text = f"{one.symbol} is no symbol of the section paper ({', '.join(listed)})"
                yield ConfigProblem(("strategies", number, "symbol"), text)


def _limit_problems(number: int, one: StrategySettings) -> Iterator[ConfigProblem]:
    """Yield limits that guard nothing, or keep everything from happening."""
    if one.min_liq_ratio >= 1:
        text = (
            f"is {one.min_liq_ratio:g}; a long leg is liquidated below the market, so that its"
            " liquidation / last price stays below 1 and this never guards it; use 0.8, for example"
        )
        yield ConfigProblem(("strategies", number, "min_liq_ratio"), text)
    if one.max_liq_ratio <= 1:
        text = (
            f"is {one.max_liq_ratio:g}; a short leg is liquidated above the market, so that its"
            " liquidation / last price stays above 1 and this never guards it; use 1.2, for example"
        )
        yield ConfigProblem(("strategies", number, "max_liq_ratio"), text)
    if not one.max_margin:
        text = "is 0; no leg would ever open anything, use 8, for example"
        yield ConfigProblem(("strategies", number, "max_margin"), text)
