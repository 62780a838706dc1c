"""Which topics of a stream are wanted, asked for, and refused."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Collection, Iterable

log = logging.getLogger(__name__)

_numbers = itertools.count(1)


class Subscriptions:
    """The topics of one stream, through all its connections. Not thread-safe."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = tuple(topics)
        self.rejected: dict[str, str] = {}  # topic -> the exchange's words
        self._pending: dict[str, str] = {}  # request id -> topic

    @property
    def unanswered(self) -> list[str]:
        """Topics whose subscription has had no answer yet."""
        return list(self._pending.values())

    @property
    def are_settled(self) -> bool:
        """Whether each was answered, and one at least is in force."""
        return not self._pending and not all(topic in self.rejected for topic in self.topics)

    def begin(self) -> dict[str, str]:
        """Return the messages that a new connection begins with, by request id."""
        messages = {topic: _subscription(topic) for topic in self.topics}
        self._pending = {request_id: topic for topic, (request_id, _) in messages.items()}
        return dict(messages.values())

    def add(self, topic: str) -> bool:
        """Want one more topic; False when it is wanted already."""
        if topic in self.topics:
            return False
        self.topics = (*self.topics, topic)
        return True

    def ask(self, topic: str) -> str:
        """Return the message that subscribes to a topic; its answer is waited for from now on."""
        request_id, message = _subscription(topic)
        self._pending[request_id] = topic
        return message

    def drop(self, topics: Collection[str]) -> dict[str, str]:
        """Want topics no more; return the messages that end them, by topic."""
        gone = [topic for topic in self.topics if topic in topics]
        self.topics = tuple(topic for topic in self.topics if topic not in topics)
        for topic in gone:
            self.rejected.pop(topic, None)
        return {
            topic: json.dumps(
                {"op": "unsubscribe", "req_id": f"end-{next(_numbers)}", "args": [topic]}
            )
            for topic in gone
        }

    def answered(self, request_id: object, words: str, *, is_fine: bool) -> None:
        """Take the answer to a subscription."""
        if isinstance(request_id, str) and request_id:
            topic = self._pending.pop(request_id, None)
        else:
            # Some refusals come without the id; answers come in the order of the requests.
            topic = self._pending.pop(next(iter(self._pending), ""), None)
        if topic is None:
            return
        if is_fine:
            self.rejected.pop(topic, None)
            return
        self.rejected[topic] = words
        log.error("subscription to %s refused: %s", topic, words)


def _subscription(topic: str) -> tuple[str, str]:
    """Return request id and message. One topic each: a bad one may silence its neighbours."""
    request_id = f"sub-{next(_numbers)}"
    return request_id, json.dumps({"op": "subscribe", "req_id": request_id, "args": [topic]})
