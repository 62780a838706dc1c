"""/metrics and /healthz over HTTP, on a thread: they answer even while the event loop hangs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 5.0
MOST_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether a daemon does its work, and why not."""

    is_healthy: bool
    details: Mapping[str, Any]


class PortTakenError(Exception):
    """The port cannot be listened on; one sentence says why and what to do."""


class MetricsEndpoint:
    """Answers from `start` until `close`.

    Args:
        page: Returns the text of /metrics, as Prometheus scrapes it.
        health: Returns what /healthz says; 200 when healthy, 503 otherwise.
        port: 0 takes a free one.
        advice: What somebody does whose port cannot be listened on.
    """

    def __init__(
        self,
        page: Callable[[], bytes],
        health: Callable[[], HealthReport],
        *,
        port: int,
        host: str = "127.0.0.1",
        advice: str,
    ) -> None:
        self.health = health
        self._page = page
        self._address = host, port
        self._advice = advice
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. Raises PortTakenError."""
        host, port = self._address
        try:
            self._server = _Server(self._address, self._page, self.health)
        except OSError as error:
            raise PortTakenError(
                f"cannot listen on {host}:{port} for metrics ({error.strerror or error});"
                f" {self._advice}"
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True
        )
        self._thread.start()
        log.info("metrics at http://%s:%d/metrics", host, self.port)

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return int(self._server.server_address[1]) if self._server is not None else 0

    def close(self) -> None:
        """Stop listening."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()
        self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        address: tuple[str, int],
        page: Callable[[], bytes],
        health: Callable[[], HealthReport],
    ) -> None:
        self.page = page
        self.health = health
        self._where = address
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # the base class asks the name server for the host's full name, which may take long
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self._where

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a reader of the metrics went away")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = READ_TIMEOUT_S
    server_version = "metrics"
    sys_version = ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, self.server.page())
            case "/healthz":
                report = self.server.health()
                body = json.dumps(dict(report.details)).encode() + b"\n"
                self._answer(200 if report.is_healthy else 503, "application/json", body)
            case _:
                self._answer(404, "text/plain", b"there is /metrics and /healthz\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        log.debug(format, *args)
