"""Faults of the wire, on demand: every choice comes from one seeded source.

A rule says what goes wrong, where, how often and for how long. Rules act on answers of REST and on
frames of streams; what happens inside the exchange (a jump, a halt) is an action, see `control`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from paper_exchange.exchange import PaperExchange
from paper_exchange.streams import Channel, StreamSession, send_if_open

REORDER_WAIT_MS = 200


class FaultKind(StrEnum):
    """What goes wrong."""

    HTTP_ERROR = "http_error"  # REST: a status without an envelope
    TIMEOUT = "timeout"  # REST: no answer
    RET_CODE = "ret_code"  # REST: an answer that says no
    RATE_LIMIT = "rate_limit"  # REST: 10006
    LATENCY = "latency"  # REST: a late answer
    REFUSE = "refuse"  # connections are cut before they say anything
    SILENCE = "silence"  # connected, and nothing comes, not even a pong
    DELAY = "delay"  # frames come late, in order
    REORDER = "reorder"  # a frame comes after the one that follows it
    DUPLICATE = "duplicate"  # a frame comes twice
    LOSE = "lose"  # a frame never comes


REST_KINDS = frozenset(
    {
        FaultKind.HTTP_ERROR, FaultKind.TIMEOUT, FaultKind.RET_CODE, FaultKind.RATE_LIMIT,
        FaultKind.LATENCY,
    }
)  # fmt: skip
FRAME_KINDS = frozenset({FaultKind.DELAY, FaultKind.REORDER, FaultKind.DUPLICATE, FaultKind.LOSE})
REST = "rest"


class FaultRule(BaseModel):
    """One rule. `channel` is rest, public, private, trade or `*`; `match` is a part of the path
    of a REST call, or of the topic of a frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind = Field(description="What goes wrong.")
    channel: str = Field(
        default="*",
        pattern=r"^(\*|rest|public|private|trade)$",
        description="rest, public, private, trade, or * for all that the kind can meet.",
    )
    match: str = Field(default="", description="Part of the REST path or of the topic.")
    probability: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="Of each call, frame or connection."
    )
    count: int | None = Field(default=None, ge=1, description="Ends after so many times.")
    duration_s: float | None = Field(default=None, gt=0, description="Ends after so long.")
    delay_ms: int = Field(default=1000, ge=0, le=600_000, description="Of latency and delay.")
    status: int = Field(default=503, ge=400, le=599, description="Of http_error.")
    code: int = Field(default=10016, description="Of ret_code.")
    message: str = Field(default="Server error.", description="Of ret_code.")
    executed: bool = Field(
        default=False,
        description="http_error, timeout, ret_code: the call is carried out before it fails.",
    )


class _Active:
    def __init__(self, number: int, rule: FaultRule, now_ms: int) -> None:
        self.number = number
        self.rule = rule
        self.left = rule.count
        self.until_ms = None if rule.duration_s is None else now_ms + int(rule.duration_s * 1000)
        self.times = 0


class FaultDesk:
    """Keeps the rules and decides by them."""

    def __init__(self, exchange: PaperExchange, seed: int) -> None:
        self.seed = seed
        self._exchange = exchange
        self._random = random.Random(seed)  # noqa: S311 - chance that can be repeated is the point
        self._numbers = 0
        self._active: dict[int, _Active] = {}
        self._held: dict[str, bytes] = {}
        self._late: dict[str, tuple[int, int]] = {}  # connection: last due, how many wait
        self.cut: Callable[[StreamSession], None] = lambda session: session.close()

    def add(self, rule: FaultRule) -> int:
        """Put a rule into force; return its number."""
        self._numbers += 1
        self._active[self._numbers] = _Active(self._numbers, rule, self._exchange.now_ms)
        return self._numbers

    def remove(self, number: int | None = None) -> int:
        """Take one rule, or all of them, out of force; return how many there were."""
        gone = list(self._active) if number is None else [number]
        return sum(self._active.pop(one, None) is not None for one in gone)

    def rules(self) -> list[tuple[int, FaultRule, int]]:
        """Return (number, rule, times it struck) of the rules in force."""
        self._expire()
        return [(one.number, one.rule, one.times) for one in self._active.values()]

    def _expire(self) -> None:
        now = self._exchange.now_ms
        for one in tuple(self._active.values()):
            if one.left == 0 or (one.until_ms is not None and now >= one.until_ms):
                del self._active[one.number]

    def strikes(self, kinds: frozenset[FaultKind], channel: str, text: str) -> FaultRule | None:
        """Return the first rule that strikes now, None when nothing goes wrong."""
        if not self._active:
            return None
        self._expire()
        for one in self._active.values():
            rule = one.rule
            if rule.kind not in kinds or rule.channel not in ("*", channel):
                continue
            if rule.match not in text:
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            one.times += 1
            if one.left is not None:
                one.left -= 1
            return rule
        return None

    def rest(self, path: str) -> FaultRule | None:
        """Return what goes wrong with a REST call."""
        return self.strikes(REST_KINDS, REST, path)

    def refuses(self, channel: str) -> bool:
        """Tell whether a connection is to be cut before it says anything."""
        return self.strikes(frozenset({FaultKind.REFUSE}), channel, "") is not None

    def is_silent(self, channel: Channel) -> bool:
        """Tell whether a connection says nothing at present. Does not use a count up."""
        self._expire()
        return any(
            one.rule.kind is FaultKind.SILENCE and one.rule.channel in ("*", channel.value)
            for one in self._active.values()
        )

    def deliver(self, session: StreamSession, frame: bytes) -> None:
        """Send a frame, or do to it what the rules want. Stands before every transport."""
        if not self._active and not self._held and not self._late:
            send_if_open(session, frame)
            return
        if self.is_silent(session.channel):
            return
        topic = _topic(frame)
        rule = self.strikes(FRAME_KINDS, session.channel.value, topic) if topic else None
        kind = None if rule is None else rule.kind
        if kind is FaultKind.LOSE:
            return
        if kind is FaultKind.REORDER and session.conn_id not in self._held:
            self._held[session.conn_id] = frame
            self._exchange.after(REORDER_WAIT_MS, lambda: self._release(session))
            return
        delay = rule.delay_ms if rule is not None and kind is FaultKind.DELAY else 0
        self._send(session, frame, delay)
        if kind is FaultKind.DUPLICATE:
            self._send(session, frame, 0)
        self._release(session)

    def _release(self, session: StreamSession) -> None:
        held = self._held.pop(session.conn_id, None)
        if held is not None:
            self._send(session, held, 0)

    def _send(self, session: StreamSession, frame: bytes, delay_ms: int) -> None:
        """Send now or later, never before what was sent earlier on the same connection."""
        last_due, waiting = self._late.get(session.conn_id, (0, 0))
        if not waiting and not delay_ms:
            send_if_open(session, frame)
            return
        due = max(self._exchange.now_ms + delay_ms, last_due)
        self._late[session.conn_id] = due, waiting + 1
        self._exchange.schedule.at(due, lambda: self._send_late(session, frame))

    def _send_late(self, session: StreamSession, frame: bytes) -> None:
        due, waiting = self._late.pop(session.conn_id)
        if waiting > 1:
            self._late[session.conn_id] = due, waiting - 1
        send_if_open(session, frame)


def _topic(frame: bytes) -> str:
    """Return the topic of a frame, "" for an acknowledgement."""
    start = frame.find(b'"topic":"', 0, 160)
    if start < 0:
        return ""
    start += len(b'"topic":"')
    return frame[start : frame.find(b'"', start)].decode()
