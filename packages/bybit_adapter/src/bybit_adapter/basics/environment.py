"""Where the exchange is: the three URLs of one environment, set in one place.

A custom environment points every client at another server that speaks Bybit V5, for example the
paper exchange on this machine. Unencrypted URLs are accepted for loopback addresses only: what a
signed request says must not cross a network in the clear.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECURE = {"rest": "https", "ws": "wss"}
_PLAIN = {"rest": "http", "ws": "ws"}


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to trade. REST is a base URL without path, the stream URLs are complete.

    Raises ValueError for a URL of the wrong scheme, with credentials, a query or a fragment, and
    for a plain http or ws URL of a host that is not this machine.
    """

    name: str
    rest_url: str
    ws_public_url: str
    ws_private_url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "rest_url", self.rest_url.rstrip("/"))
        _check("rest_url", self.rest_url, "rest")
        if urlsplit(self.rest_url).path:
            raise ValueError(f"rest_url {self.rest_url!r} has a path; give scheme, host and port")
        for field in ("ws_public_url", "ws_private_url"):
            _check(field, getattr(self, field), "ws")

    @classmethod
    def custom(cls, rest_url: str, ws_public_url: str, ws_private_url: str) -> Environment:
        """Return an environment at any server that speaks Bybit V5.

        Example: `custom("http://127.0.0.1:8899", "ws://127.0.0.1:8899/v5/public/linear",
        "ws://127.0.0.1:8899/v5/private")`.
        """
        return cls("custom", rest_url, ws_public_url, ws_private_url)

    @classmethod
    def local(cls, port: int, host: str = "127.0.0.1") -> Environment:
        """Return the environment of a local exchange that serves everything at one port."""
        name = f"[{host}]" if ":" in host else host
        ws = f"ws://{name}:{port}/v5"
        return cls.custom(f"http://{name}:{port}", f"{ws}/public/linear", f"{ws}/private")

    @classmethod
    def named(cls, name: str) -> Environment:
        """Return mainnet, testnet or demo. Raises ValueError for another name."""
        try:
            return _NAMED[name]
        except KeyError:
            known = ", ".join(_NAMED)
            raise ValueError(f"environment {name!r} is unknown; take one of {known}") from None

    @property
    def is_loopback(self) -> bool:
        """Whether REST goes to this machine, where proxies of the surroundings do not apply."""
        return _is_loopback(urlsplit(self.rest_url).hostname or "")


def _check(field: str, url: str, kind: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{field} {url!r} is no URL: {error}") from None
    if parts.username or parts.password:
        raise ValueError(f"{field} holds credentials; keys are arguments of the clients")
    if parts.scheme not in (_SECURE[kind], _PLAIN[kind]) or not host:
        raise ValueError(f"{field} {url!r} does not start with {_SECURE[kind]}:// and a host")
    if parts.query or parts.fragment:
        raise ValueError(f"{field} {url!r} has a query or a fragment; leave it out")
    if parts.scheme == _PLAIN[kind] and not _is_loopback(host):
        raise ValueError(
            f"{field} {url!r} is not encrypted; use {_SECURE[kind]}://, plain"
            f" {_PLAIN[kind]}:// is for loopback addresses such as 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bybit(name: str, rest: str, public: str, private: str) -> Environment:
    return Environment(
        name,
        f"https://{rest}.bybit.com",
        f"wss://{public}.bybit.com/v5/public/linear",
        f"wss://{private}.bybit.com/v5/private",
    )


MAINNET = _bybit("mainnet", "api", "stream", "stream")
TESTNET = _bybit("testnet", "api-testnet", "stream-testnet", "stream-testnet")
# Demo has no market data of its own: its public stream is mainnet's.
DEMO = _bybit("demo", "api-demo", "stream", "stream-demo")

_NAMED = {environment.name: environment for environment in (MAINNET, TESTNET, DEMO)}
