"""Where accounts are, and the clients that go there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bybit_adapter import (
    BybitAsyncClient,
    BybitRestClient,
    Hidden,
    PrivateWebSocketClient,
    PublicWebSocketClient,
)
from bybit_adapter import Environment as Place
from gridbot.ports import Stream, StreamCallbacks
from gridbot.settings.account_config import AccountConfig


@dataclass(frozen=True, slots=True)
class Connector:
    """Makes the clients of one account. `place` is where its exchange is."""

    account: AccountConfig
    place: Place

    def _keys(self) -> tuple[Hidden, Hidden]:
        keys = self.account.keys
        if keys is None:
            raise ValueError(f"account {self.account.name} has no keys")
        return keys.hidden()

    def rest(self) -> BybitAsyncClient:
        """Return the REST client, not yet used."""
        key, secret = self._keys()
        return BybitAsyncClient(BybitRestClient(key, secret, self.place))

    def open_private(self, *, arm_dcp: bool) -> Callable[[StreamCallbacks], Stream]:
        """Return what makes the private stream."""
        key, secret = self._keys()

        def open_stream(callbacks: StreamCallbacks) -> Stream:
            return PrivateWebSocketClient(
                key,
                secret,
                self.place,
                on_event=callbacks.on_event,
                on_disconnect=callbacks.on_disconnect,
                on_reconnect=callbacks.on_reconnect,
                arm_dcp=arm_dcp,
            )

        return open_stream


def open_public(
    place: Place, *, trades: bool
) -> Callable[[Sequence[str], StreamCallbacks], Stream]:
    """Return what makes the public stream of an exchange; trades only where somebody needs them."""

    def open_stream(symbols: Sequence[str], callbacks: StreamCallbacks) -> Stream:
        return PublicWebSocketClient(
            place,
            ticker_symbols=symbols,
            trade_symbols=symbols if trades else (),
            on_event=callbacks.on_event,
            on_disconnect=callbacks.on_disconnect,
            on_reconnect=callbacks.on_reconnect,
        )

    return open_stream
