"""Identifiers that the same seed makes again, and a later start of the exchange does not repeat."""

from __future__ import annotations

from hashlib import blake2b


class Ids:
    """Counts everything; `epoch` is the number of the start, so that a restart makes new ids."""

    def __init__(self, seed: int, epoch: int = 0, last: int = 0) -> None:
        self._prefix = f"{seed}/{epoch}/"
        self.last = last

    def number(self) -> int:
        """Return the next number; they grow for ever."""
        self.last += 1
        return self.last

    def uuid(self) -> str:
        """Return a new id in the form of a UUID."""
        text = blake2b(f"{self._prefix}{self.number()}".encode(), digest_size=16).hexdigest()
        # version 4 and its variant as RFC 9562 has them, without the way through uuid.UUID
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
