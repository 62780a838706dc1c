"""Feeds: synthetic, archive, database, live and scripted markets, and several merged into one."""

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
