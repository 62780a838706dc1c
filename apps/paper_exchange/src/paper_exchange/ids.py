"""Identifiers that the same seed makes again, and a later start of the exchange does not repeat."""

from __future__ import annotations

from hashlib import blake2b
from uuid import UUID


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
        digest = blake2b(f"{self._prefix}{self.number()}".encode(), digest_size=16).digest()
        return str(UUID(bytes=digest, version=4))
