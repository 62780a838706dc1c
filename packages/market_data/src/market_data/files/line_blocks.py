"""Blocks of whole text lines from a plain or gzip file, hashed while they are read.

A file that somebody brings may unfold into far more than it is. What it may take in memory is
bounded here: by the length of a line, and by how much larger than the file its text is.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from market_data.basics.data_errors import TruncatedFileError, UnreadableFileError
from market_data.basics.quality import SourceFile

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's code for a gzip header, 32 KiB window, checksum verified
_READ_BYTES = 1 << 20
DEFAULT_BLOCK_BYTES = 16 << 20
LONGEST_LINE_BYTES = 1 << 20  # a row of any of these files has a few hundred
MOST_JSON_BYTES = 32 << 20  # one answer of REST is one line; the largest have 2 MB
MOST_WHOLE_BYTES = 512 << 20  # of a file that is read at once; ten years of one-minute bars
LARGEST_RATIO = 200  # of text to file; archives of trades have 5 to 20
RATIO_FROM_BYTES = 256 << 20  # a small file of one value may be that regular


class LineBlocks:
    """Iterate over a file's text in blocks of about `block_bytes` that end at a line's end.

    Gzip is recognised by its first bytes, not by name. A last line without a line end belongs to
    the last block. `sha256` and `size_bytes` (of the file as stored) are complete after the
    iteration. Raises TruncatedFileError, after all whole lines came out, where gzip ends early;
    UnreadableFileError where its contents are damaged, a line is longer than `longest_line`
    bytes, the text is out of all proportion to the file, or the file cannot be opened.
    """

    def __init__(
        self,
        path: str | Path,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        longest_line: int = LONGEST_LINE_BYTES,
    ) -> None:
        self._path = Path(path)
        self._block_bytes = block_bytes
        self._longest_line = longest_line
        self._text_bytes = 0
        self._digest = hashlib.sha256()
        self._lines = 0
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Return the hexadecimal digest of what was read so far."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        held: list[bytes] = []
        held_bytes = open_bytes = 0  # `open_bytes`: since the last line end
        try:
            for piece in self._pieces():
                held.append(piece)
                held_bytes += len(piece)
                line_end = piece.rfind(b"\n")
                open_bytes = open_bytes + len(piece) if line_end < 0 else len(piece) - line_end - 1
                if open_bytes > self._longest_line:
                    before = self._lines + b"".join(held).count(b"\n")
                    raise UnreadableFileError(
                        f"{self._path.name}: a line of more than {self._longest_line:,} bytes"
                        f" after {before:,} lines; this is no file of market data, get it again"
                        " from where it came"
                    )
                if held_bytes < self._block_bytes:
                    continue
                text = b"".join(held)
                whole = text.rfind(b"\n") + 1
                held, held_bytes = [text[whole:]], len(text) - whole
                if whole:
                    yield self._counted(text[:whole])
        except TruncatedFileError:
            text = b"".join(held)
            whole = text.rfind(b"\n") + 1
            if whole:
                yield self._counted(text[:whole])
            raise TruncatedFileError(
                f"{self._path.name}: the gzip data ends early, after {self._lines:,} whole lines;"
                " download the file again",
                self._lines,
            ) from None
        if held_bytes:
            yield self._counted(b"".join(held))

    def _counted(self, block: bytes) -> bytes:
        self._lines += block.count(b"\n")
        return block

    def _raw(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                while raw := file.read(_READ_BYTES):
                    self._digest.update(raw)
                    self.size_bytes += len(raw)
                    yield raw
        except OSError as error:
            raise UnreadableFileError(f"{self._path}: {error.strerror or error}") from error

    def _pieces(self) -> Iterator[bytes]:
        raw = self._raw()
        first = next(raw, b"")
        if first.startswith(GZIP_MAGIC):
            yield from self._inflated(chain([first], raw))
        else:
            yield from chain([first] if first else [], raw)

    def _inflated(self, raw: Iterable[bytes]) -> Iterator[bytes]:
        inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
        for piece in raw:
            rest = piece
            while rest:
                if inflater.eof:  # gzip files may be several members, one after the other
                    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
                try:
                    text = inflater.decompress(rest, _READ_BYTES)
                except zlib.error as error:
                    raise UnreadableFileError(
                        f"{self._path.name}: damaged gzip data after {self._lines:,} lines"
                        f" ({error}); download the file again"
                    ) from error
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                if text:
                    self._check_ratio(len(text))
                    yield text
        if not inflater.eof:
            raise TruncatedFileError("cut", 0)

    def _check_ratio(self, more: int) -> None:
        self._text_bytes += more
        most = max(RATIO_FROM_BYTES, LARGEST_RATIO * self.size_bytes)
        if self._text_bytes > most:
            raise UnreadableFileError(
                f"{self._path.name}: {self.size_bytes:,} bytes of gzip unfold into more than"
                f" {most:,}; no market data is that regular, get the file again from where it came"
            )


def read_whole(path: str | Path) -> tuple[bytes, SourceFile]:
    """Return the text of a small file and its fingerprint; `rows` is left at 0.

    Raises TruncatedFileError, UnreadableFileError.
    """
    path = Path(path)
    blocks = LineBlocks(path, longest_line=MOST_JSON_BYTES)
    parts: list[bytes] = []
    size = 0
    for part in blocks:
        parts.append(part)
        size += len(part)
        most = MOST_JSON_BYTES if parts[0].lstrip()[:1] == b"{" else MOST_WHOLE_BYTES
        if size > most:
            raise UnreadableFileError(
                f"{path.name}: more than {most:,} bytes of text; split the file"
            )
    text = b"".join(parts)
    return text, SourceFile(
        name=path.name, sha256=blocks.sha256, size_bytes=blocks.size_bytes, rows=0
    )
