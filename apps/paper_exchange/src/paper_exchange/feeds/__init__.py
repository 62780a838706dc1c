"""Feeds: synthetic, archive, database, live and scripted markets, and several merged into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grid_service.package_names import names_of

if TYPE_CHECKING:
    from paper_exchange.feeds.archive import ArchiveFeed
    from paper_exchange.feeds.database import DatabaseFeed
    from paper_exchange.feeds.feed import Feed, MergedFeed, merged
    from paper_exchange.feeds.live import FeedOverflowError, LiveFeed
    from paper_exchange.feeds.scripted import ScriptedFeed
    from paper_exchange.feeds.synthetic import SyntheticFeed
    from paper_exchange.feeds.synthetic_settings import SyntheticSettings, WalkKind

__all__ = [
    "ArchiveFeed",
    "DatabaseFeed",
    "Feed",
    "FeedOverflowError",
    "LiveFeed",
    "MergedFeed",
    "ScriptedFeed",
    "SyntheticFeed",
    "SyntheticSettings",
    "WalkKind",
    "merged",
]

__getattr__ = names_of(
    __name__,
    {
        "ArchiveFeed": "paper_exchange.feeds.archive",
        "DatabaseFeed": "paper_exchange.feeds.database",
        "Feed": "paper_exchange.feeds.feed",
        "FeedOverflowError": "paper_exchange.feeds.live",
        "LiveFeed": "paper_exchange.feeds.live",
        "MergedFeed": "paper_exchange.feeds.feed",
        "ScriptedFeed": "paper_exchange.feeds.scripted",
        "SyntheticFeed": "paper_exchange.feeds.synthetic",
        "SyntheticSettings": "paper_exchange.feeds.synthetic_settings",
        "WalkKind": "paper_exchange.feeds.synthetic_settings",
        "merged": "paper_exchange.feeds.feed",
    },
)
