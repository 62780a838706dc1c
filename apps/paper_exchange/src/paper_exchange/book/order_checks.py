"""What the state of a market allows."""

from __future__ import annotations

from exchange_model.rules.codes import RefusalError
from paper_exchange.market.market import Market


def check_trading(market: Market) -> None:
    """Raise RefusalError while a contract takes no new orders and no changes of them."""
    stopped = market.stopped
    if stopped is not None:
        raise RefusalError(stopped.code, stopped.why)
