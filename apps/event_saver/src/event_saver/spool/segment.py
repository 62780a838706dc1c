"""One segment of the spool, read back: its batches, and what of it is damaged.

Beside each segment lies an index with an entry for every line: the line's checksum, and which rows
of which streams it has. What the index names and the segment does not give is lost, and known to
the moment, whatever happened to the segment: a byte that flipped, a tail cut off, two lines that
became one, the whole file gone. Where the index is damaged or missing too (an older version wrote
none) the loss is estimated from the lines around it, for every stream that may be in it.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from event_saver.basics.durable import sync_folder
from event_saver.spool.codec import CorruptLineError, NewerFormatError, decode
from event_saver.spool.rows import GAPS, Batch
from event_saver.spool.spans import Span, StreamOf, span_as_list, span_of_list, spans_of

log = logging.getLogger(__name__)

# A row waits in memory for less than that before it goes to disk: the longest flush interval.
LONGEST_WAIT = timedelta(minutes=10)
CLOCK_MARGIN = timedelta(seconds=2)
# How far back a file reaches of which nothing can be read, and nothing before it.
WHOLE_FILE = timedelta(days=1)

# The end of the name of a file that a newer version of the program wrote.
NEWER = "newer"
_CHECKSUM_LENGTH = 8
Streams = Callable[[], Iterable[StreamOf]]


def index_entry(line: bytes, batch: Batch) -> bytes:
    """Return the entry of a batch that is written as `line`."""
    return _entry(
        [line[:_CHECKSUM_LENGTH].decode("ascii"), [span_as_list(one) for one in spans_of(batch)]]
    )


def index_head(before: int | None) -> bytes:
    """Return the first entry of an index: which segment waited when this one was begun."""
    return _entry(before)


def _entry(content: Any) -> bytes:
    body = orjson.dumps(content)
    return b"%08x %b\n" % (zlib.crc32(body), body)


@dataclass(slots=True)
class _Index:
    """What the index says: the spans of each line, and how many entries cannot be read."""

    is_there: bool
    has_head: bool = False
    lines: dict[bytes, list[list[Span]]] = field(default_factory=dict)
    broken: int = 0

    def take(self, line: bytes) -> bool:
        """Tick off a line that was read; False if it is not among the entries."""
        checksum = line[:_CHECKSUM_LENGTH]
        entries = self.lines.get(checksum)
        if not entries:
            return False
        entries.pop()
        return True

    def rest(self) -> list[list[Span]]:
        """Return the spans of the lines that were not read."""
        return [spans for entries in self.lines.values() for spans in entries]


def _read_index(path: Path) -> _Index:
    try:
        content = path.read_bytes()
    except OSError:
        return _Index(is_there=False)
    found = _Index(is_there=True)
    for line in content.splitlines(keepends=True):
        try:
            entry = _content(line)
            if entry is None or isinstance(entry, int):
                found.has_head = True
                continue
            checksum, spans = entry
            found.lines.setdefault(checksum.encode(), []).append(
                [span_of_list(one) for one in spans]
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            found.broken += 1
    return found


def _content(line: bytes) -> Any:
    """Return the content of an entry. Raises ValueError where it is damaged."""
    body = line[_CHECKSUM_LENGTH + 1 :].rstrip(b"\n")
    if int(line[:_CHECKSUM_LENGTH], 16) != zlib.crc32(body):
        raise ValueError("it does not fit its checksum")
    return orjson.loads(body)


def segment_before(index: Path) -> int | None:
    """Return which segment waited when the one of this index was begun; None if that is unknown."""
    try:
        with index.open("rb") as file:
            head = _content(file.readline())
    except (OSError, ValueError):
        return None
    return head if isinstance(head, int) else None


@dataclass(slots=True)
class Seen:
    """The last rows of each stream that were read; carried on from segment to segment."""

    batches: dict[tuple[str, str | None], Batch] = field(default_factory=dict)

    def note(self, batch: Batch) -> None:
        """Remember a batch as the last one of its kind and user."""
        self.batches[batch.kind.name, batch.user_id] = batch

    def ends(self) -> dict[StreamOf, datetime]:
        """Return the end of each stream as far as it was read."""
        return {
            span.of: span.end for batch in self.batches.values() for span in _when_received(batch)
        }


@dataclass(slots=True)
class SegmentFiles:
    """Where a segment and its index lie. `changed_at` is when the segment was written last."""

    path: Path

    @property
    def index(self) -> Path:
        """The index."""
        return self.path.with_suffix(".index")

    def exist(self) -> bool:
        """Tell whether one of them is there."""
        return self.path.exists() or self.index.exists()

    def size(self) -> int:
        """Return the bytes of both."""
        return sum(one.stat().st_size for one in (self.path, self.index) if one.exists())

    def count_lines(self) -> int:
        """Return how many lines the segment has, as far as it can be read."""
        try:
            return self.path.read_bytes().count(b"\n")
        except OSError:
            return 0

    def remove(self) -> None:
        """Remove both, the index first. Raises OSError."""
        self.index.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def set_aside(self, word: str = "unreadable") -> None:
        """Give both names, ending in a word, that the spool reads nothing of. Raises OSError.

        What lies there from an earlier time under such a name stays.
        """
        number = ""
        while self._aside(self.path, number, word).exists():
            number = f".{int(number[1:] or 1) + 1}"
        for path in (self.index, self.path):
            if path.exists():
                path.replace(self._aside(path, number, word))

    @staticmethod
    def _aside(path: Path, number: str, word: str) -> Path:
        return path.with_name(f"{path.name}{number}.{word}")

    def changed_at(self) -> datetime:
        """Return the time of the last change, of now where there is no file."""
        for path in (self.path, self.index):
            try:
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except OSError:
                continue
        return datetime.now(UTC)


def segment_name(number: int) -> str:
    """Return the name of the segment of a number, without the end that tells what it is."""
    return f"{number:010d}"


def take_back(folder: Path) -> None:
    """Give files that a newer version wrote their place among the segments, if they can be read."""
    for path in sorted(folder.glob(f"*.{NEWER}")):
        if ".spool" not in path.name or not _can_be_read(path):
            continue
        taken = [int(one.stem) for one in folder.glob("*.spool") if one.stem.isdecimal()]
        path.replace(folder / f"{segment_name(max(taken, default=0) + 1)}.spool")
        # which segment waited before it tells nothing any more
        path.with_name(path.name.replace(".spool", ".index")).unlink(missing_ok=True)
        sync_folder(folder)
        log.warning("spool %s can be read by this version and is stored now", path.name)


def _can_be_read(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not any(map(_is_newer, file))
    except OSError:
        return False


def _is_newer(line: bytes) -> bool:
    try:
        decode(line)
    except CorruptLineError as error:
        return isinstance(error, NewerFormatError)
    return False


class SegmentReader:
    """Reads one segment. `damage` is told what is lost, `hole` what may be, where nothing tells;
    `keep` of the lines that are unreadable.

    All damage is told by the time the last batch has been handed out and the reader is exhausted.
    """

    def __init__(
        self,
        files: SegmentFiles,
        seen: Seen,
        streams: Streams,
        damage: Callable[[list[Span], str], None],
        hole: Callable[[list[Span], str], None],
        keep: Callable[[bytes], None],
    ) -> None:
        self._files = files
        self._seen = seen
        self._streams = streams
        self._damage = damage
        self._hole = hole
        self._keep = keep
        self._name = files.path.name
        self.unreadable = 0
        self.is_refused = False  # the disk does not give the file, or not all of it
        self.is_newer = False  # a newer version of the program wrote it, or some of it

    def batches(self) -> Iterator[Batch]:
        """Yield the batches in their order."""
        index = _read_index(self._files.index)
        begin = self._seen.ends()
        strange = 0  # lines that can be read and have no entry
        holes: list[_Hole] = []
        for line in self._lines():
            try:
                batch = decode(line)
            except CorruptLineError as error:
                self.unreadable += 1
                if not isinstance(error, NewerFormatError):
                    self._keep(line)
                    log.error("spool %s: %s", self._name, error)
                elif not self.is_newer:
                    self.is_newer = True  # the whole file is kept for that version
                    log.error("spool %s is kept as %s.%s: %s", self._name, self._name, NEWER, error)
                if not index.is_there and not (holes and holes[-1].is_last):
                    holes.append(_Hole(self._seen.ends()))
                continue
            strange += not index.take(line)
            for hole in holes:
                hole.go_on(batch)
            self._seen.note(batch)
            yield batch
        lost = index.rest()
        if lost:
            spans = [span for entry in lost for span in entry]
            self._damage(spans, f"{len(lost)} lines of {self._name} {self._why()}")
        if not holes and self._lacks_more(index, len(lost), strange):
            holes.append(_Hole(begin))
        for hole in holes:
            self._estimate(hole)

    def _lacks_more(self, index: _Index, lost: int, strange: int) -> bool:
        """Tell whether something is lost that no entry names."""
        if not index.is_there:
            # a file without an index is from an older version, and ends where it ends
            return not self._is_there() or (self.unreadable == 0 and self._is_empty())
        # an entry that is broken belongs to a line without one, unless there is none left
        return index.broken > 0 and (
            not index.has_head or self.unreadable > lost or index.broken > strange
        )

    def _is_there(self) -> bool:
        return self._files.path.exists()

    def _is_empty(self) -> bool:
        return self._files.path.stat().st_size == 0

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._files.path.open("rb") as file:
                yield from file
        except OSError as error:
            log.error("spool %s cannot be read on: %s", self._name, error.strerror)
            self.is_refused = self._files.path.exists()

    def _estimate(self, hole: _Hole) -> None:
        """Tell of a loss of which nothing is known but what lies around it."""
        before, after = hole.before, hole.after
        until = self._files.changed_at() + CLOCK_MARGIN
        first = min([until, *after.values()]) - WHOLE_FILE
        begun = max(before.values(), default=first) - LONGEST_WAIT
        spans = []
        for of in dict.fromkeys((*self._streams(), *before, *after)):
            start, end = before.get(of, begun), after.get(of, until)
            spans.append(Span(of, start, end if end >= start else max(start, until)))
        self._hole(spans, f"a part of {self._name} {self._why()}, and nothing tells what it had")

    def _why(self) -> str:
        if self.is_newer:
            return "is of a newer version of event_saver, which reads it once it is started"
        return "cannot be read"


@dataclass(slots=True)
class _Hole:
    """Lines that nothing describes: the end of each stream before them, the begin after them."""

    before: dict[StreamOf, datetime]
    after: dict[StreamOf, datetime] = field(default_factory=dict)
    is_last: bool = True

    def go_on(self, batch: Batch) -> None:
        self.is_last = False
        for span in _when_received(batch):
            self.after.setdefault(span.of, span.start)


def _when_received(batch: Batch) -> list[Span]:
    """Return the spans of a batch; rows of the ledger tell of the past, not of when they came."""
    return [] if batch.kind.name == GAPS.name else spans_of(batch)
