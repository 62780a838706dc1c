"""One contract: its listing, prices, book and candles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from paper_exchange.market.market import FeedQuote, FeedTrade, Market, PublicTrade

__all__ = ["FeedQuote", "FeedTrade", "Market", "PublicTrade"]

__getattr__ = names_of(
    __name__,
    {
        "FeedTrade": "paper_exchange.market.market",
        "FeedQuote": "paper_exchange.market.market",
        "Market": "paper_exchange.market.market",
        "PublicTrade": "paper_exchange.market.market",
    },
)
