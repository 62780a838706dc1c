"""A key pair, which shows itself nowhere."""

from __future__ import annotations

from dataclasses import dataclass

from bybit_adapter.basics.hidden import Hidden


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair of one account; neither half shows itself anywhere."""

    api_key: str
    api_secret: str

    def __post_init__(self) -> None:
        for name in ("api_key", "api_secret"):
            text = Hidden(getattr(self, name))
            object.__setattr__(self, name, text)
            if not (text.isascii() and text.isprintable()) or " " in text:
                raise ValueError(f"{name} holds a space or a character that no key has")

    def __repr__(self) -> str:
        return "Keys(***)" if self.api_key else "Keys()"

    def hide_in(self, text: str) -> str:
        """Return `text` without either half."""
        for secret in (self.api_key, self.api_secret):
            if secret:
                text = text.replace(secret, "***")
        return text
