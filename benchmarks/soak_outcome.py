"""What a long run of event_saver brought: what was sent, what came, what is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

TABLES = {
    "trades": "public_trades",
    "tickers": "ticker_snapshots",
    "executions": "private_executions",
    "orders": "orders",
    "positions": "position_snapshots",
    "wallet": "wallet_snapshots",
}


KIND_OF_TOPIC = {"publicTrade": "trades", "execution": "executions", "order": "orders",
                 "position": "positions", "wallet": "wallet", "tickers": "tickers"}  # fmt: skip


@dataclass
class Outcome:
    """What the exchange, the daemon and the database say at the end."""

    exit_code: int
    status: dict[str, Any]
    connections: list[dict[str, Any]]
    closing: dict[str, Any]
    stored: dict[str, int]
    keys: dict[str, set[tuple[Any, ...]]]
    said: dict[str, set[tuple[Any, ...]]] = field(default_factory=dict)
    gaps: int = 0

    def table(self) -> tuple[Table, list[str]]:
        """Return the comparison, and a sentence for each difference."""
        table = Table(title="what was sent, what came, what is stored", title_justify="left")
        for name in ("rows", "sent", "different", "received", "of REST", "written", "known",
                     "stored", "missing"):  # fmt: skip
            table.add_column(name, justify="left" if name == "rows" else "right")
        sent, wrong = _sent(self.connections), self._of_the_whole()
        for kind in TABLES:
            line = self.closing.get(kind, {"received": 0, "written": 0, "known": 0})
            stored = self.stored[kind]
            if kind in self.said:
                different: int | None = len(self.said[kind])
                missing = len(self.said[kind] - self.keys.get(kind, set()))
            else:
                different, missing = None, sent[kind] - line["known"] - stored
            from_rest = line["received"] - sent[kind]
            table.add_row(
                kind,
                *("" if n is None else f"{n:,}" for n in (
                    sent[kind], different, line["received"], from_rest, line["written"],
                    line["known"], stored, missing,
                )),
            )  # fmt: skip
            if missing:
                wrong.append(f"{missing} {kind} that the exchange sent are not in the database")
            if line["received"] != line["written"] + line["known"]:
                wrong.append(f"{kind}: received is not written + known")
            if line["written"] != stored:
                wrong.append(f"{kind}: {line['written']} written, but {stored} stored")
            if kind in ("trades", "tickers") and from_rest:
                wrong.append(f"{kind}: {from_rest} more received than sent")
            if kind == "trades" and line["known"]:
                wrong.append(f"{line['known']} trades came twice")
            if kind in ("executions", "orders") and stored != different:
                wrong.append(f"{kind}: {different} different ones sent, {stored} stored")
        return table, wrong

    def _of_the_whole(self) -> list[str]:
        wrong = []
        if self.exit_code:
            wrong.append(f"the daemon ended with code {self.exit_code}")
        sent: Counter[str] = Counter()
        for one in self.connections:
            sent[one["account"] or "public"] += sum(one["rows"].values())
        heard = sorted(self.closing.get("heard", {}).values())
        if sorted(sent.values()) != heard:
            wrong.append(f"connections were sent {dict(sent)} rows and heard {heard}")
        executions = sum(one["executions"] for one in self.status["accounts"].values())
        if executions != self.stored["executions"]:
            wrong.append(
                f"the exchange has {executions} executions, stored are {self.stored['executions']}"
            )
        wrong += [
            f"{name}: {self.closing[name]}"
            for name in ("reconnects", "gaps_noted", "conflated")
            if self.closing.get(name)
        ]
        if self.gaps:
            wrong.append(f"{self.gaps} entries in capture_gaps")
        return wrong


def _sent(connections: list[dict[str, Any]]) -> Counter[str]:
    sent: Counter[str] = Counter()
    for one in connections:
        for topic, rows in one["rows"].items():
            sent[KIND_OF_TOPIC[topic.partition(".")[0]]] += rows
    return sent
