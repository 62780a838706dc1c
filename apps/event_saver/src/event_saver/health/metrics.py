"""The counters as Prometheus scrapes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from grid_service.endpoint import HealthReport

_ROWS = ("received", "written", "duplicate", "failed", "dropped", "spooled")
_STREAM_COUNTS = ("received", "malformed", "reconnects", "conflated", "ignored")


class SaverMetrics(Collector):
    """Reads the counters whenever somebody scrapes. All names begin with event_saver_."""

    def __init__(self, stats: Callable[[], Mapping[str, Any]]) -> None:
        self._stats = stats
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> bytes:
        """Return the text of /metrics."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand: the registry would otherwise read the counters at once."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        stats = self._stats()
        rows = CounterMetricFamily("event_saver_rows", "Rows by what became of them.",
                                   labels=["kind", "outcome"])  # fmt: skip
        buffered = GaugeMetricFamily("event_saver_buffered_rows", "Rows in memory.",
                                     labels=["kind"])  # fmt: skip
        age = GaugeMetricFamily("event_saver_oldest_row_seconds", "Wait of the oldest row.",
                                labels=["kind"])  # fmt: skip
        for kind, one in stats["writers"].items():
            for outcome in _ROWS:
                rows.add_metric([kind, outcome], one[outcome])
            buffered.add_metric([kind], one["buffered"])
            age.add_metric([kind], one["oldest_age_s"])
        yield from (rows, buffered, age)
        updates = CounterMetricFamily("event_saver_stream", "Updates and events of connections.",
                                      labels=["stream", "event"])  # fmt: skip
        up = GaugeMetricFamily("event_saver_stream_up", "1 while connected.", labels=["stream"])
        lag = GaugeMetricFamily("event_saver_stream_lag_seconds", "From frame to writer.",
                                labels=["stream"])  # fmt: skip
        for name, stream in stats["streams"].items():
            for event in _STREAM_COUNTS:
                updates.add_metric([name, event], stream[event])
            up.add_metric([name], float(stream["is_connected"]))
            lag.add_metric([name], stream["lag_s"])
        yield from (updates, up, lag)
        gaps = GaugeMetricFamily("event_saver_open_gaps", "Gaps to be tried again.",
                                 labels=["stream"])  # fmt: skip
        for stream_name, count in stats["gaps"]["open"].items():
            gaps.add_metric([stream_name], count)
        yield gaps
        singles = {
            "database_up": ("1 while it takes rows.", float(stats["database"]["error"] is None)),
            "commit_seconds": ("How long the last took.", stats["database"]["last_commit_s"]),
            "journal_bytes": ("SQLite's write-ahead log.", stats["database"]["journal_bytes"]),
            "journal_held_seconds": (
                "How long a reader has kept it from being emptied.",
                stats["database"]["journal_held_s"],
            ),
            "spool_bytes": ("On disk.", stats["spool"]["bytes"]),
            "spool_max_bytes": ("Its bound.", stats["spool"]["max_bytes"]),
            "not_captured": ("Symbols and accounts that cannot be.", len(stats["out"])),
            "losses_waiting": ("Losses without a row yet.", stats["losses_waiting"]),
            "spool_damages": ("Losses by damage on disk.", stats["spool"]["damages"]),
            "gaps_in_work": ("Breaks that are being looked at.", stats["gaps"]["working"]),
            "loop_lag_seconds": ("Worst of a minute.", stats["loop_lag_s"]),
            "alarms": ("In force.", len(stats["alarms"])),
            "healthy": ("0 while data is lost or a part has stopped.", float(stats["is_healthy"])),
            "uptime_seconds": ("Since the start.", stats["uptime_s"]),
        }
        for name, (text, value) in singles.items():
            yield GaugeMetricFamily(f"event_saver_{name}", text, value=value)


def health_report(stats: Mapping[str, Any]) -> HealthReport:
    """Return what /healthz says of the counters and states."""
    return HealthReport(
        stats["is_healthy"],
        {
            "status": "ok" if stats["is_healthy"] else "failing",
            "alarms": [sentence for _, sentence in stats["alarms"]],
            "uptime_s": stats["uptime_s"],
        },
    )
