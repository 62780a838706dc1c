"""Connections by requests itself, where proxies or certificates of one's own are set."""

from __future__ import annotations

import http.cookiejar
from dataclasses import dataclass

import requests

from bybit_adapter.basics.environment import Environment
from bybit_adapter.http.connections import (
    ConnectionFailed,
    Connections,
    DirectConnections,
    NoAnswerInTime,
    NotSent,
)
from bybit_adapter.http.signer import SignedRequest

# the reasons of a connection that was never made
_NEVER_SENT = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


@dataclass(slots=True)
class RequestsConnections:
    """What DirectConnections does, but for writing without waiting. Thread-safe."""

    rest_url: str
    timeout_s: float
    session: requests.Session

    def exchange(self, request: SignedRequest) -> requests.Response:
        """Send a request, once, and wait for its answer.

        Raises ConnectionFailed, OSError for certificates that cannot be read.
        """
        plain = requests.Request(
            request.method,
            self.rest_url + request.target,
            data=request.body,
            headers=request.headers,
        )
        try:
            return self.session.send(self.session.prepare_request(plain), timeout=self.timeout_s)
        except requests.RequestException as error:
            raise _kind(error)(type(error).__name__) from error

    def free_line(self) -> None:
        """Return None: not now."""

    def close(self) -> None:
        """Close all connections."""
        self.session.close()


def open_connections(environment: Environment, timeout_s: float, connections: int) -> Connections:
    """Return the direct connections to an exchange, or those of requests where they are needed."""
    if not environment.is_loopback:
        session = requests.Session()
        found = session.merge_environment_settings(environment.rest_url, {}, None, None, None)
        found["proxies"].pop("no", None)  # whom not to reach through a proxy that there is not
        if found["proxies"] or found["verify"] is not True:
            # The environment is asked once: with every call it would take as long as making the
            # call, and a .netrc that knows the host would replace headers.
            session.trust_env = False
            session.proxies.update(found["proxies"])
            session.verify = found["verify"]
            return by_requests(environment.rest_url, timeout_s, connections, session)
        session.close()
    return DirectConnections(environment.rest_url, timeout_s, connections)


def by_requests(
    rest_url: str, timeout_s: float, connections: int, session: requests.Session
) -> RequestsConnections:
    """Return connections by a session, which from now on goes nowhere else and keeps nothing."""
    session.max_redirects = 0  # a redirect would carry key and signature to another host
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return RequestsConnections(rest_url, timeout_s, session)


def _kind(error: requests.RequestException) -> type[ConnectionFailed]:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    never = requests.exceptions.ProxyError | requests.exceptions.InvalidURL
    if type(reason).__name__ in _NEVER_SENT or isinstance(error, never):
        return NotSent
    return NoAnswerInTime if isinstance(error, requests.Timeout) else ConnectionFailed
