"""A daily file that unfolds into one endless line costs no memory and no process."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from event_saver.reconcile.archive import ArchiveError, read_trades

pytestmark = pytest.mark.integration

DAY = datetime(2025, 1, 1, tzinfo=UTC)


def bomb() -> bytes:
    packed = io.BytesIO()
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(b"timestamp,symbol,side,size,price,tickDirection,trdMatchID\n")
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    return packed.getvalue()


@pytest.fixture
def url() -> Iterator[str]:
    body = bomb()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_line_without_an_end_is_refused(url: str) -> None:
    with pytest.raises(ArchiveError, match="cannot be read") as refusal:
        list(read_trades(url, "BTCUSDT", DAY, DAY))
    assert "a line of more than 1,048,576 bytes" in str(refusal.value.__cause__)
