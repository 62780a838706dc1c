"""Keeps secrets out of every text that leaves the process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN = "***"
SHORTEST = 4  # characters; hiding anything shorter would tear ordinary words apart

_PATTERNS = (
    # the token of a Telegram bot, alone or inside a URL
    re.compile(r"(?<![0-9])\d{6,12}:[A-Za-z0-9_-]{30,}"),
    # name=value, "name": "value", name: value
    re.compile(
        r"(?i)((?:api[_-]?(?:key|secret)|secret|passw(?:or)?d|bot[_-]?token|x-bapi-(?:sign|api-key))"
        r"[\"']?\s*[=:]\s*[\"']?)(?!\*\*\*)([^\s\"',;&)}\]]+)"
    ),
    # the password of a URL
    re.compile(r"(://[^\s/:@]*:)(?!\*\*\*)([^\s@/]+)(?=@)"),
    # Bybit answers a bad signature with the text that was signed
    re.compile(r"(origin_string\[)(?!\*\*\*)([^\]]*)"),
)


class Redactor:
    """Hides registered secrets and whatever looks like one. Thread-safe once it is built."""

    def __init__(self, secrets: Iterable[str | SecretStr] = ()) -> None:
        found: set[str] = set()
        for secret in secrets:
            text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
            if len(text) >= SHORTEST:
                found.update(_spellings(text))
        # longest first, so that a secret that contains another one disappears as a whole
        ordered = sorted(found, key=len, reverse=True)
        known = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        # a pattern shows its text to whoever prints the attributes; a function does not
        self._without_known: Callable[[str], str] = (
            str if known is None else lambda text: known.sub(HIDDEN, text)
        )

    def __repr__(self) -> str:
        return "Redactor(secrets hidden)"

    @classmethod
    def of_config(cls, config: BaseModel) -> Redactor:
        """Return one that knows every SecretStr of a configuration."""
        return cls(_secrets(config))

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        text = self._without_known(text)
        for pattern in _PATTERNS:
            text = pattern.sub(_hide, text)
        return text


def _hide(match: re.Match[str]) -> str:
    return f"{match.group(1)}{HIDDEN}" if match.groups() else HIDDEN


def _spellings(text: str) -> Iterator[str]:
    """Yield a secret as it stands in plain text, JSON, URLs and reprs."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(text, safe="")
    yield quote_plus(text)
    yield repr(text)[1:-1]


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        if "://" not in text:
            yield text
            return
        # of a URL the password is secret, the rest helps whoever reads the log
        try:
            password = urlsplit(text).password
        except ValueError:
            password = text
        if password:
            yield password
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)
