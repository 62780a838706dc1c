"""One file over HTTP, resumed where a connection was cut, until it is whole."""

import hashlib
import http.client
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from threading import Event
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from market_data.basics.data_errors import DataError
from market_data.files.column_folder import write_atomically

_CHUNK_BYTES = 1 << 16
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_WORTH_RETRYING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}

Progress = Callable[[int, int | None], None]  # bytes on disk, bytes in all if known


class DownloadError(DataError):
    """A file that could not be downloaded; what came is kept for the next attempt.

    `status` is what the server answered, None where it did not.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotPublishedError(DownloadError):
    """The server says that there is no such file."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how patiently a download is tried. Waits double from `first_wait_s`."""

    attempts: int = 5
    first_wait_s: float = 1.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Download:
    """A finished file."""

    path: Path
    sha256: str
    size_bytes: int
    resumed_at: int  # bytes that lay on disk already before this call


class Downloader:
    """Downloads files to disk. Usable from several threads."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._stop = Event()

    def stop(self) -> None:
        """Make every download end soon with DownloadError; what came stays on disk."""
        self._stop.set()

    def fetch(
        self, url: str, target: str | Path, progress: Progress = lambda _done, _total: None
    ) -> Download:
        """Download `url` to `target`; bytes in `target`.part from an earlier try are kept.

        Raises NotPublishedError for 404, DownloadError for anything else that stays wrong.
        """
        target = Path(target)
        part = _Part(target)
        resumed_at = part.size
        opener = _opener(url)
        failures = 0
        while not self._stop.is_set():
            before = part.size
            last = failures + 1 >= self._patience.attempts
            if self._try(opener, url, part, progress, last=last):
                return part.finish(resumed_at)
            # A connection that is cut again and again but brings bytes each time gets there.
            failures = 0 if part.size > before else failures + 1
            self._stop.wait(self._patience.first_wait_s * 2**failures)
        raise DownloadError(f"{url}: stopped; {part.size:,} bytes are kept for the next time")

    def _try(
        self, opener: OpenerDirector, url: str, part: "_Part", progress: Progress, *, last: bool
    ) -> bool:
        """Return whether the file is whole now. Raises DownloadError if trying on is no use."""
        before = part.size
        try:
            self._receive(opener, url, part, progress)
        except HTTPError as error:
            error.close()
            if error.code == HTTPStatus.NOT_FOUND:
                raise NotPublishedError(f"{url}: not there (HTTP 404)", error.code) from error
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and not last:
                part.restart()
            elif error.code not in _WORTH_RETRYING or last:
                raise DownloadError(
                    f"{url}: HTTP {error.code} {error.reason}", error.code
                ) from error
            return False
        except (URLError, http.client.HTTPException, OSError) as error:
            if last and part.size <= before:
                raise DownloadError(
                    f"{url}: {error} after {self._patience.attempts} attempts;"
                    f" {part.size:,} bytes are kept for the next time"
                ) from error
            return False
        return True

    def _receive(self, opener: OpenerDirector, url: str, part: "_Part", progress: Progress) -> None:
        request = Request(url, headers=part.headers())  # noqa: S310 - _opener refuses other schemes
        with opener.open(request, timeout=self._patience.timeout_s) as response:
            resuming = response.status == HTTPStatus.PARTIAL_CONTENT
            if not resuming:
                part.restart()
            length = response.headers.get("Content-Length")
            total = part.size + int(length) if length else None
            part.remember(response.headers.get("ETag") or response.headers.get("Last-Modified"))
            with part.file.open("ab") as out:
                while chunk := response.read(_CHUNK_BYTES):
                    out.write(chunk)
                    progress(out.tell(), total)
                    if self._stop.is_set():
                        raise DownloadError(f"{url}: stopped")
        if total is not None and part.size != total:
            raise http.client.IncompleteRead(b"", total - part.size)


class _Part:
    """A file that is not whole yet, and the ETag (or date) of the version that it is a part of."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.file = target.with_name(target.name + ".part")
        self._tag = target.with_name(target.name + ".etag")
        target.parent.mkdir(parents=True, exist_ok=True)

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def headers(self) -> dict[str, str]:
        # Without a tag nobody could tell whether the rest belongs to the same file.
        if not self.size or not self._tag.exists():
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._tag.read_text()}

    def remember(self, tag: str | None) -> None:
        if tag:
            write_atomically(self._tag, tag.encode())
        else:
            self._tag.unlink(missing_ok=True)

    def restart(self) -> None:
        self.file.unlink(missing_ok=True)

    def finish(self, resumed_at: int) -> Download:
        with self.file.open("rb") as whole:
            sha256 = hashlib.file_digest(whole, "sha256").hexdigest()
        size = self.size
        self.file.replace(self._target)
        self._tag.unlink(missing_ok=True)
        return Download(self._target, sha256, size, resumed_at)


def _opener(url: str) -> OpenerDirector:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise DownloadError(f"{url}: the address must begin with http:// or https://")
    # A proxy cannot reach this machine's own servers.
    return build_opener(ProxyHandler({})) if parts.hostname in _LOOPBACK else build_opener()
