"""`/metrics` and `/healthz` over HTTP, on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from event_saver.health.metrics import SaverMetrics

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class EndpointError(Exception):
    """The port cannot be listened on; one sentence says why and what to do."""


class Endpoint:
    """Listens from its making until `close`; `port` is the one it got."""

    def __init__(self, host: str, port: int, stats: Callable[[], Mapping[str, Any]]) -> None:
        """Begin to listen; port 0 takes a free one. Raises EndpointError."""
        metrics = SaverMetrics(stats)

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(HTTPStatus.OK, _TEXT, metrics.page())
                elif self.path == "/healthz":
                    now = stats()
                    status = HTTPStatus.OK if now["is_healthy"] else HTTPStatus.SERVICE_UNAVAILABLE
                    self._answer(status, "application/json", _health(now))
                else:
                    self._answer(HTTPStatus.NOT_FOUND, _TEXT, b"there is /metrics and /healthz\n")

            def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write no line for each scrape."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise EndpointError(
                f"cannot listen on {host}:{port} for metrics ({error.strerror or error}); correct"
                " EVENTSAVER_METRICS_HOST, or set EVENTSAVER_METRICS_PORT to a free port or to"
                " nothing"
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="event-saver-http", daemon=True
        )
        thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _health(stats: Mapping[str, Any]) -> bytes:
    body = {
        "status": "ok" if stats["is_healthy"] else "failing",
        "alarms": [sentence for _, sentence in stats["alarms"]],
        "uptime_s": stats["uptime_s"],
    }
    return orjson.dumps(body) + b"\n"
