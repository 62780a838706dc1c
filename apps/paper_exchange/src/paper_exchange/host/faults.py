"""Faults of the wire, on demand: every choice comes from one seeded source.

A rule says what goes wrong, where, how often and for how long. Rules act on answers of REST and on
frames of streams; what happens inside the exchange (a jump, a halt) is an action, see `control`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from exchange_model.rules.codes import RefusalError
from paper_exchange.basics.wire import Row
from paper_exchange.exchange.exchange import PaperExchange
from paper_exchange.rest.calls import HIDING_PATHS, LAGGING_PATHS
from paper_exchange.rest.rest_orders import BATCHES, BatchSpoiler
from paper_exchange.stream.session import Channel, StreamSession

REORDER_WAIT_MS = 200


class FaultKind(StrEnum):
    """What goes wrong."""

    HTTP_ERROR = "http_error"  # REST: a status without an envelope
    TIMEOUT = "timeout"  # REST: no answer
    RET_CODE = "ret_code"  # REST: an answer that says no
    RATE_LIMIT = "rate_limit"  # REST: 10006
    RESET = "reset"  # REST: the connection is cut instead of an answer
    LATENCY = "latency"  # REST: a late call, or a late answer
    LAG = "lag"  # REST: a list shows an older state
    HIDE = "hide"  # REST: a list leaves rows out
    BATCH_ITEMS = "batch_items"  # some items of a batch fail
    REFUSE = "refuse"  # connections are cut before they say anything
    SILENCE = "silence"  # connected, and nothing comes, not even a pong
    DELAY = "delay"  # frames come late, in order
    REORDER = "reorder"  # a frame comes after the one that follows it
    DUPLICATE = "duplicate"  # a frame comes twice
    LOSE = "lose"  # a frame never comes


REST_KINDS = frozenset(
    {
        FaultKind.HTTP_ERROR, FaultKind.TIMEOUT, FaultKind.RET_CODE, FaultKind.RATE_LIMIT,
        FaultKind.RESET, FaultKind.LATENCY,
    }
)  # fmt: skip
FRAME_KINDS = frozenset({FaultKind.DELAY, FaultKind.REORDER, FaultKind.DUPLICATE, FaultKind.LOSE})
LIST_KINDS = {FaultKind.LAG: LAGGING_PATHS, FaultKind.HIDE: HIDING_PATHS}
BATCH_PATHS = frozenset(f"/v5/order/{name}" for name in BATCHES)
WITH_ROWS = FRAME_KINDS | {FaultKind.HIDE}
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
    delay_ms: int = Field(
        default=1000, ge=0, le=600_000, description="Of latency and delay; how old a lag shows."
    )
    status: int = Field(default=503, ge=400, le=599, description="Of http_error.")
    code: int = Field(default=10016, description="Of ret_code and batch_items.")
    message: str = Field(default="Server error.", description="Of ret_code and batch_items.")
    executed: bool = Field(
        default=False,
        description="The call, or the item of a batch, is carried out although it fails; with"
        " latency it is carried out at once and its answer is late.",
    )
    every: int = Field(default=2, ge=1, description="batch_items: which items fail.")
    where: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Of hide and of faults of frames: fields of a row with the values that fit.",
    )

    @field_validator("where", mode="before")
    @classmethod
    def _one_value(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {name: (one,) if isinstance(one, str) else one for name, one in value.items()}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        paths = BATCH_PATHS if self.kind is FaultKind.BATCH_ITEMS else LIST_KINDS.get(self.kind)
        if paths is not None and not any(self.match in path for path in paths):
            raise ValueError(
                f"{self.kind} meets no call with {self.match!r} in its path; it meets"
                f" {', '.join(sorted(path.removeprefix('/v5/') for path in paths))}"
            )
        if self.kind in LIST_KINDS and self.channel not in ("*", REST):
            raise ValueError(f"{self.kind} is a fault of rest, not of {self.channel}")
        if self.kind is FaultKind.LAG and not self.delay_ms:
            raise ValueError("lag needs a delay_ms above 0: how old the lists are that it shows")
        if self.where and self.kind not in WITH_ROWS:
            raise ValueError(f"{self.kind} has no where; {', '.join(sorted(WITH_ROWS))} have")
        if not all(self.where.values()):
            raise ValueError("where has a field without a value that fits")
        return self

    def fits(self, row: Row) -> bool:
        """Tell whether `where` names a row; without one it names all."""
        return all(_text(row.get(name)) in values for name, values in self.where.items())


def _text(value: object) -> str:
    """Return a value as JSON has it, a text without quotes; "" for a field that is not there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


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
        if rule.kind is FaultKind.LAG:
            self._exchange.past.remember(rule.delay_ms)
        return self._numbers

    def remove(self, number: int | None = None) -> int:
        """Take one rule, or all of them, out of force; return how many there were."""
        gone = list(self._active) if number is None else [number]
        return sum(self._end(one) for one in gone)

    def _end(self, number: int) -> bool:
        ended = self._active.pop(number, None)
        if ended is None:
            return False
        if ended.rule.kind is FaultKind.LAG and not any(
            one.rule.kind is FaultKind.LAG for one in self._active.values()
        ):
            self._exchange.past.forget()
        return True

    def rules(self) -> list[tuple[int, FaultRule, int]]:
        """Return (number, rule, times it struck) of the rules in force."""
        self._expire()
        return [(one.number, one.rule, one.times) for one in self._active.values()]

    def _expire(self) -> None:
        now = self._exchange.now_ms
        for one in tuple(self._active.values()):
            if one.left == 0 or (one.until_ms is not None and now >= one.until_ms):
                self._end(one.number)

    def strikes(
        self,
        kinds: frozenset[FaultKind],
        channel: str,
        text: str,
        rows: Callable[[], list[Row]] = list,
    ) -> FaultRule | None:
        """Return the first rule that strikes now, None when nothing goes wrong.

        `rows` is asked for what a frame holds when a rule wants to know.
        """
        if not self._active:
            return None
        self._expire()
        for one in self._active.values():
            rule = one.rule
            if rule.kind not in kinds or rule.channel not in ("*", channel):
                continue
            if rule.match not in text:
                continue
            if rule.where and rule.kind in FRAME_KINDS and not any(map(rule.fits, rows())):
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

    def lag_ms(self, path: str) -> int:
        """Return how old the list is that a REST call shows; 0 for the present."""
        rule = self.strikes(frozenset({FaultKind.LAG}), REST, path)
        return 0 if rule is None else rule.delay_ms

    def hides(self, path: str) -> Callable[[Row], bool] | None:
        """Return what tells the rows that a list leaves out, None when it shows all."""
        rule = self.strikes(frozenset({FaultKind.HIDE}), REST, path)
        return None if rule is None else rule.fits

    def spoils(self, path: str) -> BatchSpoiler | None:
        """Return which items of a batch fail, None when all go their way."""
        rule = self.strikes(frozenset({FaultKind.BATCH_ITEMS}), REST, path)
        if rule is None:
            return None
        return BatchSpoiler(rule.every, RefusalError(rule.code, rule.message), rule.executed)

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
            session.send_if_open(frame)
            return
        if self.is_silent(session.channel):
            return
        topic = _topic(frame)
        rule = None
        if topic:
            rule = self.strikes(
                FRAME_KINDS, session.channel.value, topic, lambda: _rows(orjson.loads(frame))
            )
        kind = None if rule is None else rule.kind
        if rule is not None and kind is FaultKind.LOSE:
            left = _without(frame, rule)
            if left is None:
                return
            frame = left
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
            session.send_if_open(frame)
            return
        due = max(self._exchange.now_ms + delay_ms, last_due)
        self._late[session.conn_id] = due, waiting + 1
        self._exchange.schedule.at(due, lambda: self._send_late(session, frame))

    def _send_late(self, session: StreamSession, frame: bytes) -> None:
        due, waiting = self._late.pop(session.conn_id)
        if waiting > 1:
            self._late[session.conn_id] = due, waiting - 1
        session.send_if_open(frame)


def _rows(frame: Row) -> list[Row]:
    """Return the rows of a frame; a ticker and a book have one."""
    data = frame["data"]
    return data if isinstance(data, list) else [data]


def _without(frame: bytes, rule: FaultRule) -> bytes | None:
    """Return a frame without the rows that a rule names, None when none is left."""
    if not rule.where:
        return None
    content = orjson.loads(frame)
    left = [row for row in _rows(content) if not rule.fits(row)]
    return orjson.dumps({**content, "data": left}) if left else None


def _topic(frame: bytes) -> str:
    """Return the topic of a frame, "" for an acknowledgement."""
    start = frame.find(b'"topic":"', 0, 160)
    if start < 0:
        return ""
    start += len(b'"topic":"')
    return frame[start : frame.find(b'"', start)].decode()
