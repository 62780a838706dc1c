"""Who calls: keys, signatures, clocks. Source: docs/exchange.md, "Signing and clock"."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from exchange_model.rules.codes import RefusalError, RetCode
from paper_exchange.book.account import ApiKey, PaperAccount
from paper_exchange.exchange.exchange import PaperExchange

DEFAULT_WINDOW_MS = 5_000
AHEAD_MS = 1_000
LONGEST = 20


def signature(secret: str, text: bytes) -> str:
    """Return the hex HMAC-SHA256 of a text."""
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The headers of a signed call, as they came."""

    key: str
    timestamp: str
    window: str
    sign: str

    @property
    def is_complete(self) -> bool:
        """Whether key, timestamp and signature were sent."""
        return bool(self.key and self.timestamp and self.sign)


class Gatekeeper:
    """Checks keys, signatures and clocks against the exchange's own."""

    def __init__(self, exchange: PaperExchange) -> None:
        self._exchange = exchange

    def admit(
        self, given: Credentials, payload: bytes, server_ms: int, ip: str
    ) -> tuple[PaperAccount, ApiKey]:
        """Return whose call it is. `payload` is the raw query string or the raw body.

        Raises RefusalError with 10001, 10002, 10003, 10004, 10010 or 33004.
        """
        if not given.is_complete:
            raise RefusalError(
                RetCode.PARAMETER_ERROR,
                "X-BAPI-API-KEY, X-BAPI-TIMESTAMP and X-BAPI-SIGN are required",
            )
        account, key = self.known_key(given.key, ip, server_ms)
        timestamp, window = _whole(given.timestamp), _whole(given.window or str(DEFAULT_WINDOW_MS))
        if timestamp is None or window is None:
            raise RefusalError(
                RetCode.PARAMETER_ERROR, "X-BAPI-TIMESTAMP and X-BAPI-RECV-WINDOW are whole ms"
            )
        if not server_ms - window <= timestamp < server_ms + AHEAD_MS:
            raise RefusalError(
                RetCode.TIMESTAMP_OUTSIDE_WINDOW,
                "invalid request, please check your server timestamp or recv_window param."
                f" req_timestamp[{timestamp}],server_timestamp[{server_ms}],recv_window[{window}]",
            )
        origin = f"{given.timestamp}{given.key}{given.window}".encode() + payload
        if not hmac.compare_digest(signature(key.secret, origin), given.sign.lower()):
            shown = origin.decode(errors="replace")[:500]
            raise RefusalError(RetCode.BAD_SIGNATURE, f"error sign! origin_string[{shown}]")
        return account, key

    def known_key(self, text: str, ip: str, server_ms: int) -> tuple[PaperAccount, ApiKey]:
        """Return whose key it is. Raises RefusalError with 10003, 10010 or 33004."""
        found = self._exchange.key(text)
        if found is None or found[1].revoked:
            raise RefusalError(RetCode.INVALID_API_KEY, "API key is invalid.")
        account, key = found
        if key.expires_ms is not None and server_ms >= key.expires_ms:
            raise RefusalError(RetCode.KEY_EXPIRED, "Your api key has expired.")
        if key.ips and ip not in key.ips:
            raise RefusalError(
                RetCode.IP_NOT_BOUND,
                "Unmatched IP, please check the IP addresses of your API key.",
            )
        return account, key

    def admit_stream(
        self, key_text: str, expires: str, sign: str, server_ms: int, ip: str
    ) -> tuple[PaperAccount, ApiKey]:
        """Return whose stream it is. Raises RefusalError."""
        account, key = self.known_key(key_text, ip, server_ms)
        expires_ms = _whole(expires)
        if expires_ms is None or expires_ms <= server_ms:
            raise RefusalError(RetCode.TIMESTAMP_OUTSIDE_WINDOW, "Params Error: expires is over")
        if not hmac.compare_digest(
            signature(key.secret, f"GET/realtime{expires}".encode()), sign.lower()
        ):
            raise RefusalError(RetCode.BAD_SIGNATURE, "error sign!")
        return account, key


def _whole(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() and len(text) <= LONGEST else None
