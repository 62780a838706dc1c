"""Who may reach /control: programs on this machine, and no web page that one of them shows.

A page of any site can make a browser post to a loopback port. It cannot choose the Host and the
Origin that the browser sends, and without a question in advance it cannot declare JSON. A name
that is made to point at 127.0.0.1 (DNS rebinding) shows in the Host.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from paper_exchange.basics.loopback import is_loopback

FORBIDDEN, WRONG_MEDIA = 403, 415
HTTP_PORT = 80


def why_forbidden(request: web.Request, port: int) -> tuple[int, str] | None:
    """Return status and sentence for a request that must not act, None for one that may.

    `port` is the exchange's own.
    """
    if not is_loopback(request.remote or ""):
        return FORBIDDEN, "the control endpoint is for loopback addresses"
    host = request.headers.get("Host", "")
    if not _is_own(f"http://{host}", port):
        return FORBIDDEN, (
            f"Host is {host[:80]!r}; the control endpoint answers to 127.0.0.1:{port} or another"
            " loopback name with that port"
        )
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(origin, port):
        return FORBIDDEN, (
            f"Origin is {origin[:80]!r}; pages of another origin have no access to the control"
            " endpoint"
        )
    if request.method == "POST" and request.content_type != "application/json":
        return WRONG_MEDIA, (
            f"Content-Type is {request.content_type[:80]!r}; send actions as application/json"
        )
    return None


def _is_own(url: str, port: int) -> bool:
    """Tell whether a URL names this machine's loopback and the exchange's port."""
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or parts.username is not None or parts.path not in ("", "/"):
        return False
    return is_loopback(parts.hostname or "") and (given or HTTP_PORT) == port
