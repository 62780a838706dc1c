"""Both databases for every test here."""

import socket
from contextlib import closing

import pytest


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
