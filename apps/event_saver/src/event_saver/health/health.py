"""What the daemon says of itself: counters for JSON, one line a minute, and whether it is well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from event_saver.basics.loop_lag import LoopLag
from event_saver.collectors import CollectorStatus
from event_saver.reconcile.reconciler import GapReconciler
from event_saver.spool.spool import Spool
from event_saver.writers import DatabaseState, WriterStats
from event_saver.writers.ledger import count_open

DOWN_ALARM_S = 60.0
SPOOL_ALARM = 0.5  # of its bound
LAG_ALARM_S = 0.5


def saver_stats(
    *,
    uptime_s: float,
    writers: Mapping[str, WriterStats],
    spool: Spool,
    database: DatabaseState,
    is_writing: bool,
    losses_waiting: int,
    out: Mapping[str, str],
    streams: Sequence[CollectorStatus],
    reconciler: GapReconciler,
    working: int,
    lag: LoopLag,
) -> dict[str, Any]:
    """Return everything that is known, ready for JSON. `working` breaks are being looked at.

    `out` has symbols and accounts that cannot be captured now, with reasons.
    """
    stats: dict[str, Any] = {
        "uptime_s": round(uptime_s, 1),
        "writers": {name: asdict(one) for name, one in writers.items()},
        "spool": {
            "bytes": spool.size,
            "max_bytes": spool.max_bytes,
            "batches": spool.batches,
            "corrupt_lines": spool.corrupt_lines,
            "damages": spool.damages,
            "rejected_rows": spool.rejected_rows,
        },
        "database": asdict(database),
        "is_writing": is_writing,
        "losses_waiting": losses_waiting,
        "out": dict(out),
        "streams": {
            one.name: {
                "is_connected": one.is_connected,
                "down_s": round(one.down_s, 1),
                "lag_s": round(one.lag_s, 4),
                "waiting": one.waiting,
                "conflated": one.conflated,
                "is_paused": one.is_paused,
                "ignored": one.ignored,
                "received": one.connection.received,
                "malformed": one.connection.malformed + one.unhandled,
                "reconnects": one.connection.reconnects,
                "auth_error": one.connection.auth_error,
                "rejected_topics": sorted(one.connection.rejected_topics),
            }
            for one in streams
        },
        "gaps": {
            "working": working,
            "closed": reconciler.closed,
            "noted": reconciler.noted,
            "open": count_open(reconciler.open_gaps),
        },
        "loop_lag_s": round(lag.worst_s, 4),
    }
    stats["alarms"] = alarms(stats)
    stats["is_healthy"] = not any(is_grave for is_grave, _ in stats["alarms"])
    return stats


def alarms(stats: Mapping[str, Any]) -> list[tuple[bool, str]]:
    """Return (is_grave, sentence) of what somebody should look at; docs/event_saver.md explains.

    Grave is what loses data or has stopped; the rest is handled and may pass by itself.
    """
    found: list[tuple[bool, str]] = []
    if not stats["is_writing"]:
        found.append((True, "writer_stopped: the writing thread has ended"))
    database, spool = stats["database"], stats["spool"]
    if database["error"] is not None:
        grave = database["down_s"] > DOWN_ALARM_S
        found.append((grave, f"database_down: for {database['down_s']:.0f} s"))
    if database["journal_held_s"]:
        size, held = database["journal_bytes"] >> 20, database["journal_held_s"]
        found.append((False, f"journal_held: {size} MB, by a reader, for {held:.0f} s"))
    if spool["bytes"] > SPOOL_ALARM * spool["max_bytes"]:
        found.append((True, f"spool_filling: {spool['bytes']} of {spool['max_bytes']} bytes"))
    if spool["corrupt_lines"] or spool["damages"]:
        lines, losses = spool["corrupt_lines"], spool["damages"]
        found.append((False, f"spool_corrupt: {lines} lines unreadable, {losses} losses by damage"))
    if stats["losses_waiting"]:
        found.append((True, f"losses_waiting: {stats['losses_waiting']} are not written down yet"))
    dropped = sum(one["dropped"] for one in stats["writers"].values())
    if dropped:
        found.append((True, f"rows_dropped: {dropped} rows found no room"))
    failed = sum(one["failed"] for one in stats["writers"].values())
    if failed:
        found.append((False, f"rows_refused: {failed} rows are in rejected.lines"))
    found += [(False, f"not_captured: {name}: {why}") for name, why in stats["out"].items()]
    for name, stream in stats["streams"].items():
        found += _stream_alarms(name, stream)
    if stats["gaps"]["open"]:
        found.append((False, f"gaps_open: {stats['gaps']['open']}"))
    if stats["loop_lag_s"] > LAG_ALARM_S:
        found.append((False, f"loop_late: {stats['loop_lag_s']:.2f} s"))
    return found


def _stream_alarms(name: str, stream: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    if stream["auth_error"]:
        yield True, f"auth_refused: {name}: {stream['auth_error']}"
    elif stream["down_s"] > DOWN_ALARM_S and not stream["is_paused"]:
        yield True, f"stream_down: {name} for {stream['down_s']:.0f} s"
    if stream["rejected_topics"]:
        yield True, f"topic_refused: {name}: {', '.join(stream['rejected_topics'])}"
    if stream["malformed"]:
        yield False, f"malformed_frames: {name}: {stream['malformed']}"


def totals(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return what came and what became of it since the start: the fields of the closing line.

    What is zero in a good session is named only when it is not.
    """
    fields: dict[str, Any] = {}
    for name, one in stats["writers"].items():
        fields[name] = {
            "received": one["received"], "written": one["written"], "known": one["duplicate"],
            **{word: one[word] for word in ("spooled", "failed", "dropped") if one[word]},
        }  # fmt: skip
    streams = stats["streams"]
    return {
        **fields,
        "heard": {name: one["received"] for name, one in streams.items()},
        "conflated": sum(one["conflated"] for one in streams.values()),
        "reconnects": sum(one["reconnects"] for one in streams.values()),
        "gaps_noted": stats["gaps"]["noted"],
    }


def summary(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the line that is logged once a minute."""
    streams = stats["streams"].values()
    return {
        **totals(stats),
        "buffered": sum(one["buffered"] for one in stats["writers"].values()),
        "spool_bytes": stats["spool"]["bytes"],
        "connected": f"{sum(one['is_connected'] for one in streams)} of {len(streams)}",
        "loop_lag_ms": round(stats["loop_lag_s"] * 1000, 1),
        "alarms": [sentence for _, sentence in stats["alarms"]],
    }
