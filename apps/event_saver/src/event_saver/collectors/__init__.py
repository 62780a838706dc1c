"""From connections to writers."""

from __future__ import annotations

from event_saver.collectors.private import PrivateCollector
from event_saver.collectors.public import PublicCollector
from event_saver.collectors.stream import CollectorStatus, StreamCollector

__all__ = ["CollectorStatus", "PrivateCollector", "PublicCollector", "StreamCollector"]
