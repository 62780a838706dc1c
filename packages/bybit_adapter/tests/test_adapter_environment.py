from __future__ import annotations

import pytest

from bybit_adapter.basics.environment import DEMO, MAINNET, TESTNET, Environment


def test_the_three_environments_of_the_exchange() -> None:
    assert MAINNET.rest_url == "https://api.bybit.com"
    assert TESTNET.ws_private_url == "wss://stream-testnet.bybit.com/v5/private"
    assert DEMO.rest_url == "https://api-demo.bybit.com"
    assert DEMO.ws_public_url == MAINNET.ws_public_url  # demo has no market data of its own
    assert DEMO.ws_private_url == "wss://stream-demo.bybit.com/v5/private"
    assert not any(env.is_loopback for env in (MAINNET, TESTNET, DEMO))


def test_environments_by_name() -> None:
    assert Environment.named("testnet") is TESTNET
    with pytest.raises(ValueError, match="mainnet, testnet, demo"):
        Environment.named("production")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_a_local_exchange_is_reached_without_encryption(host: str) -> None:
    local = Environment.local(8899, host)
    assert local.is_loopback
    assert local.rest_url.endswith(":8899")
    assert local.ws_public_url.endswith("/v5/public/linear")
    assert local.ws_private_url.endswith("/v5/private")


def test_a_trailing_slash_is_dropped() -> None:
    env = Environment.custom("http://127.0.0.1:1/", "ws://127.0.0.1:1/a", "ws://127.0.0.1:1/b")
    assert env.rest_url == "http://127.0.0.1:1"


GOOD = ("https://exchange.example", "wss://exchange.example/p", "wss://exchange.example/q")


@pytest.mark.parametrize(
    ("position", "url", "complaint"),
    [
        (0, "http://exchange.example", "not encrypted"),
        (0, "http://127.0.0.1.exchange.example", "not encrypted"),
        (0, "http://10.0.0.1", "not encrypted"),
        (0, "https://exchange.example/api", "path"),
        (0, "wss://exchange.example", "https://"),
        (0, "exchange.example", "https://"),
        (0, "https://", "https://"),
        (0, "https://key:secret@exchange.example", "credentials"),
        (0, "https://exchange.example:port", "no URL"),
        (1, "ws://exchange.example/p", "not encrypted"),
        (1, "https://exchange.example/p", "wss://"),
        (2, "wss://exchange.example/p?max_active_time=30s", "query"),
    ],
)
def test_wrong_urls_are_refused(position: int, url: str, complaint: str) -> None:
    urls = list(GOOD)
    urls[position] = url
    with pytest.raises(ValueError, match=complaint) as raised:
        Environment.custom(*urls)
    assert "key:secret" not in str(raised.value)
