"""Many private connections in a burst: every frame once, in order, to its account alone."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from websocket import WebSocket, create_connection

from paper_exchange.exchange.driver import wall_ms
from paper_exchange.host.server import as_text_frame
from paper_exchange.rest.auth import signature
from testkit.paper import PaperHost, order_params, paper_account, signed

ACCOUNTS = 50
ORDERS = 12
TOPICS = ("order", "execution", "position", "wallet")


def key(account: int) -> str:
    return f"key-{account}"


def connect(host: PaperHost, account: int) -> WebSocket:
    client = create_connection(f"{host.ws_url}/v5/private", timeout=10)
    expires = wall_ms() + 10_000
    sign = signature(key(account), f"GET/realtime{expires}".encode())
    client.send(json.dumps({"op": "auth", "args": [key(account), expires, sign]}))
    client.send(json.dumps({"op": "subscribe", "args": TOPICS}))
    assert json.loads(client.recv())["success"]
    assert json.loads(client.recv())["success"]
    return client


def place(host: PaperHost, account: int, number: int) -> None:
    params = order_params(price=f"{59_000 - number * 10}", orderLinkId=f"{account}-{number}")
    call = signed(
        "POST", "/v5/order/create", params, wall_ms(), key=key(account), secret=key(account)
    )
    assert host.parts.rest.answer(call).envelope["retCode"] == 0


def frames_of(client: WebSocket, account: int) -> list[dict[str, Any]]:
    """Read until the wallet that follows the last fill."""
    found: list[dict[str, Any]] = []
    filled = 0
    while filled < ORDERS or found[-1]["topic"] != "wallet":
        frame = json.loads(client.recv())
        found.append(frame)
        if frame["topic"] == "order":
            filled += sum(row["orderStatus"] == "Filled" for row in frame["data"])
    numbers = [int(frame["id"].removeprefix(f"{1000 + account}_")) for frame in found]
    assert all(earlier < later for earlier, later in pairwise(numbers))
    return found


@pytest.mark.slow
def test_fifty_connections_get_every_frame_of_a_burst_once_and_in_order() -> None:
    accounts = [
        paper_account(f"a{n}", key=key(n), secret=key(n), uid=1000 + n) for n in range(ACCOUNTS)
    ]
    with PaperHost(accounts=accounts) as host:
        host.trade("60000")
        clients = [connect(host, account) for account in range(ACCOUNTS)]
        for number in range(ORDERS):
            host.do(lambda number=number: [place(host, n, number) for n in range(ACCOUNTS)])
        end = time.monotonic() + 10
        while any(len(one.books["BTCUSDT"].orders) < ORDERS for one in accounts):
            assert time.monotonic() < end
            time.sleep(0.01)
        host.trade("58000")  # through everything at once; nobody has read a frame yet
        every = [frames_of(client, account) for account, client in enumerate(clients)]
        pushed = host.do(lambda: host.parts.hub.subscriptions.frames)
        for client in clients:
            client.shutdown()
    sequences = []
    for account, frames in enumerate(every):
        states: defaultdict[str, list[str]] = defaultdict(list)
        fills: Counter[str] = Counter()
        for frame in frames:
            for row in frame["data"]:
                if frame["topic"] == "order":
                    states[row["orderLinkId"]].append(row["orderStatus"])
                elif frame["topic"] == "execution":
                    fills[row["orderLinkId"]] += 1
                    sequences.append(row["seq"])
        mine = [f"{account}-{number}" for number in range(ORDERS)]
        assert states == {name: ["New", "Filled"] for name in mine}
        assert fills == Counter(mine)
    # fills of all accounts and the two trades of the market share one sequence
    assert sorted(sequences) == list(range(3, 3 + ACCOUNTS * ORDERS))
    assert sum(map(len, every)) == pushed


@pytest.mark.parametrize(
    ("length", "head"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65_535, "817effff"),
     (65_536, "817f0000000000010000")],
)  # fmt: skip
def test_a_text_frame_has_the_shortest_length_there_is(length: int, head: str) -> None:
    text = b"x" * length
    assert as_text_frame(text) == bytes.fromhex(head) + text
