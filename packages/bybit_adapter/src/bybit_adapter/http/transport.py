"""One request, signed, sent once, and its answer or failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bybit_adapter.basics.clock import Clock
from bybit_adapter.basics.environment import Environment
from bybit_adapter.basics.errors import AuthError, BybitError
from bybit_adapter.basics.keys import Keys
from bybit_adapter.http.answers import AnswerReader, Failure, Reply
from bybit_adapter.http.connections import ConnectionFailed
from bybit_adapter.http.endpoints import Endpoint
from bybit_adapter.http.rate_limiter import LimitHeaders
from bybit_adapter.http.signer import Signer


class Transport:
    """Two sets of connections, for queries and for writes with their own timeouts. Thread-safe.

    What a thread that must not wait needs is open to it: `signer`, and a line of `writes`.
    timeouts are seconds to connect and between two bytes of the answer.
    """

    def __init__(
        self,
        keys: Keys,
        environment: Environment,
        clock: Clock,
        *,
        query_timeout_s: float,
        write_timeout_s: float,
        recv_window_ms: int,
        connections: int,
    ) -> None:
        self._reader = AnswerReader(keys, clock)
        self.signer = Signer(keys, environment.rest_url, recv_window_ms)
        # requests is slow to load, and who makes no calls needs none of it
        from bybit_adapter.http.by_requests import open_connections  # noqa: PLC0415

        self.queries = open_connections(environment, query_timeout_s, connections)
        self.writes = open_connections(environment, write_timeout_s, connections)

    def close(self) -> None:
        """Close all connections."""
        self.queries.close()
        self.writes.close()

    def send(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Reply | Failure:
        """Make one call and wait for its answer.

        Never raises for what the exchange or the network does.
        """
        try:
            request = self.signer.sign(endpoint, params)
        except AuthError as error:
            return Failure(error, LimitHeaders())
        connections = self.writes if endpoint.is_write else self.queries
        return self.answer(endpoint, params, lambda: connections.exchange(request))

    def answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], read: Callable[[], Any]
    ) -> Reply | Failure:
        """Return what `read` brings of the answer to a call, or why it brings nothing."""
        try:
            response = read()
        except (ConnectionFailed, OSError) as error:
            return Failure(self.no_answer(endpoint, params, error), LimitHeaders())
        return self._reader.read(endpoint, params, response)

    def no_answer(
        self, endpoint: Endpoint, params: Mapping[str, Any], error: ConnectionFailed | OSError
    ) -> BybitError:
        """Return what a failed connection means for a call."""
        return self._reader.no_answer(endpoint, params, error)
