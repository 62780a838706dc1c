"""Wrong input over sockets: a code, a close, never a traceback; and what a client may rely on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
import requests
from websocket import WebSocket, WebSocketException, create_connection

from paper_exchange.basics.loopback import is_loopback
from paper_exchange.host.server import PortInUseError
from testkit.paper import PaperHost

pytestmark = pytest.mark.exchange(priced=True)


@pytest.mark.parametrize(
    "path",
    ["/", "/v5", "/v5/market/nothing", "/v3/public/tickers", "/v5/order/create/", "/%00",
     "/v5/market/tickers?category=linear&symbol=%FF%FE", "/" + "x" * 4_000],
)  # fmt: skip
def test_any_path_gets_an_envelope(host: PaperHost, path: str) -> None:
    reply = requests.get(host.base_url + path, timeout=5)
    assert reply.status_code in (200, 404)
    assert reply.json()["retCode"] in (10017, 10001)
    assert "Traceback" not in reply.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_any_method_gets_an_envelope(host: PaperHost, method: str) -> None:
    reply = requests.request(method, f"{host.base_url}/v5/order/create", timeout=5)
    assert reply.status_code == 400
    assert reply.json()["retCode"] == 10001


def test_a_body_that_is_too_large_is_refused(host: PaperHost) -> None:
    reply = requests.post(f"{host.base_url}/v5/order/create", data=b"x" * (3 << 20), timeout=10)
    assert reply.status_code == 413
    assert reply.json()["retCode"] == 10001


@pytest.mark.parametrize("path", ["/v5/public/linear", "/v5/private", "/v5/trade"])
def test_a_plain_call_to_a_stream_is_told_so(host: PaperHost, path: str) -> None:
    reply = requests.get(host.base_url + path, timeout=5)
    assert reply.status_code == 400
    assert "WebSocket" in reply.json()["retMsg"]


def raw(host: PaperHost, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", host.server.port), timeout=5) as client:
        client.sendall(data)
        client.settimeout(2)
        try:
            return client.recv(65_536)
        except (TimeoutError, ConnectionError):
            return b""


BAD_LENGTH = b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, BAD_LENGTH])
def test_bytes_that_are_no_http_do_no_harm(host: PaperHost, data: bytes) -> None:
    assert b"Traceback" not in raw(host, data)
    assert requests.get(f"{host.base_url}/v5/market/time", timeout=5).json()["retCode"] == 0


def connect(host: PaperHost, path: str = "/v5/public/linear") -> WebSocket:
    return create_connection(host.ws_url + path, timeout=5)


def test_garbage_on_a_websocket_is_answered_or_closed(host: PaperHost) -> None:
    client = connect(host)
    client.send("garbage")
    assert '"success":false' in client.recv()
    client.send_binary(b"\xff\x00\xfe")
    assert '"success":false' in client.recv()
    client.sock.sendall(b"\xff" * 50)  # no frame at all
    # what comes back is a close frame, or nothing: the connection is over
    answer = client.recv()
    assert isinstance(answer, bytes) or answer == "" or len(answer) < 200
    client.shutdown()
    assert requests.get(f"{host.base_url}/v5/market/time", timeout=5).json()["retCode"] == 0


def test_a_message_that_is_too_large_closes_the_connection(host: PaperHost) -> None:
    client = connect(host)
    try:
        client.send("x" * (2 << 20))
        opcode, _ = client.recv_data()
        assert opcode == 8
    except ConnectionError:
        pass  # the close frame is lost when the message was not read to its end
    finally:
        client.shutdown()
    assert requests.get(f"{host.base_url}/v5/market/time", timeout=5).json()["retCode"] == 0


def test_protocol_pings_are_answered(host: PaperHost) -> None:
    client = connect(host, "/v5/private?max_active_time=1m")
    client.ping("are you there")
    opcode, frame = client.recv_data_frame(control_frame=True)
    assert opcode == 10
    assert frame.data == b"are you there"
    client.shutdown()


def test_connections_that_left_are_forgotten(host: PaperHost) -> None:
    clients = [connect(host) for _ in range(20)]
    for client in clients:
        client.send('{"op":"subscribe","args":["tickers.BTCUSDT"]}')
    for client in clients:
        client.recv()
    assert host.do(lambda: len(host.server.connections)) >= 20
    for client in clients[:10]:
        client.close()
    for client in clients[10:]:
        client.shutdown()
    end = time.monotonic() + 5
    while host.do(lambda: len(host.server.connections)) and time.monotonic() < end:
        time.sleep(0.05)
    assert host.do(lambda: len(host.server.connections)) == 0
    assert host.do(lambda: len(host.parts.hub.sessions)) == 0


@pytest.mark.slow
@pytest.mark.untraced
def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paper_exchange.host.server.MOST_WAITING", 500)
    with PaperHost() as host:
        host.trade("60000.0")
        lazy, eager = connect(host), connect(host)
        for client in (lazy, eager):
            client.send(
                '{"op":"subscribe","args":["orderbook.1000.BTCUSDT","publicTrade.BTCUSDT"]}'
            )
        received = []
        done = threading.Event()

        def read() -> None:
            with contextlib.suppress(WebSocketException, OSError):  # the end of the test
                while not done.is_set():
                    frame = eager.recv()
                    if "publicTrade" in frame:
                        received.append(frame)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        time.sleep(0.1)
        end = time.monotonic() + 20
        sent = 0
        while host.do(lambda: len(host.server.connections)) == 2 and time.monotonic() < end:
            for _ in range(50):
                sent += 1
                host.trade(60_000 + sent % 97 * 30)
        assert host.do(lambda: len(host.server.connections)) == 1
        end = time.monotonic() + 20
        while len(received) < sent and time.monotonic() < end:
            time.sleep(0.05)
        assert len(received) == sent
        done.set()
        host.trade("61000")
        reader.join(5)
        lazy.shutdown()
        eager.shutdown()


def test_a_taken_port_is_a_sentence(host: PaperHost) -> None:
    second = PaperHost(port=host.server.port)
    with pytest.raises(PortInUseError, match="choose another port"):
        second.__enter__()
    second.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True),
     ("::", False), ("192.168.1.5", False), ("example.org", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback
