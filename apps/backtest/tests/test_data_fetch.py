"""Downloading archives from a server on loopback that is not always kind."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from backtest.data import main
from market_data.providers.store_provider import StoreDataProvider

HEADER = (
    "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
    "foreignNotional\n"
)


def archive(day: int, rows: int = 3000) -> bytes:
    start = 1_704_067_200 + (day - 1) * 86_400  # 2024-01-01 UTC
    lines = [
        f"{start + n * 20}.{n % 10000:04},BTCUSDT,Buy,0.00{n % 9 + 1},{42_000 + n / 10:.1f},"
        f"PlusTick,id-{day}-{n},0,0,0\n"
        for n in range(rows)
    ]
    return gzip.compress((HEADER + "".join(lines)).encode())


class Archives(BaseHTTPRequestHandler):
    """Days 1 and 3 are there, day 2 is not; the first answer for day 3 is cut in the middle."""

    cuts: int
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append((self.path, wanted))
        day = int(self.path[-9:-7])
        if day == 2:
            self.send_error(404)
            return
        content = archive(day)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = content[first:]
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{day}"')
        self.end_headers()
        if day == 3 and type(self).cuts:
            type(self).cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Archives]]]:
    handler = type("Fresh", (Archives,), {"cuts": 1, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}", handler
        httpd.shutdown()
        thread.join()


def fetch(url: str, store: Path, end: str) -> int:
    arguments = ["--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", end]
    return main(["fetch", *arguments, "--base-url", url, "--store", str(store)])


def test_a_missing_day_is_named_and_the_others_go_on(
    server: tuple[str, type[Archives]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url, handler = server
    assert fetch(url, tmp_path, "2024-01-03") == 2
    said = capfd.readouterr()
    assert "2024-01-02" in said.out + said.err
    assert "1 of 3 days" in said.out + said.err
    ticks = StoreDataProvider(tmp_path).load("BTCUSDT")
    assert len(ticks) == 6000
    resumed = [asked for path, asked in handler.asked if path.endswith("03.csv.gz")]
    assert any(resumed), "the cut download starts again where it stopped"
    before = len(handler.asked)
    assert fetch(url, tmp_path, "2024-01-01") == 0
    assert len(handler.asked) == before


def test_a_server_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["--symbol", "BTCUSDT", "--start", "2024-01-01", "--end", "2024-01-01"]
    url = ["--base-url", "http://127.0.0.1:9", "--attempts", "1"]
    assert main(["fetch", *arguments, *url, "--store", str(tmp_path)]) == 2
    assert "2024-01-01" in "".join(capfd.readouterr())


def test_a_symbol_that_bybit_does_not_write(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--symbol", "btc/usdt", "--start", "2024-01-01", "--end", "2024-01-01"]
    assert main(["fetch", *arguments, "--store", str(tmp_path)]) == 1
    assert "write it as BTCUSDT" in "".join(capfd.readouterr())
