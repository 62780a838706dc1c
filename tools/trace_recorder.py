"""Which files of the workspace a way through the code is in, one after the other.

Who reads along turns a page with every call into another file; a call into a file that was visited
before is a return.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# what stands for the world around the code that is looked at
_WORLD = {"backtest", "exchange_model", "market_data", "paper_exchange", "testkit"}


@dataclass(frozen=True, slots=True)
class Step:
    """The way is in another file than before: by a call, or back where the call came from."""

    file: str
    function: str
    is_call: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """The files of a way, in the order in which it is in them."""

    steps: tuple[Step, ...]

    @property
    def files(self) -> int:
        """Return how many files are visited."""
        return len({step.file for step in self.steps})

    @property
    def returns(self) -> int:
        """Return how often a call leads into a file that was visited before."""
        return sum(step.is_call for step in self.steps) - self.files

    @property
    def packages(self) -> list[str]:
        """Return the packages that it is in, in alphabetical order."""
        return sorted({step.file.partition("/")[0] for step in self.steps})

    def within(self, package: str) -> Trace:
        """Return the part of the way that is in one package."""
        return Trace(tuple(one for one in self.steps if one.file.startswith(f"{package}/")))


def file_of(filename: str, world: Set[str] = frozenset(_WORLD)) -> str | None:
    """Return a file of the workspace by its package, None for any other file and for the world."""
    with suppress(ValueError):
        parts = Path(filename).relative_to(ROOT).parts
        if "src" in parts:
            inner = parts[parts.index("src") + 1 :]
            return None if inner[0] in world else "/".join(inner)
    return None


@dataclass(slots=True)
class Recorder:
    """Notes the steps of threads that begin while it watches, from a frame of a stream on.

    Of a thread that reads a socket those steps count that a frame of `topic` leads to; `followers`
    are the names of the threads that go on from there. A frame that comes before they do is noted
    instead of the one before; one that comes later spoils the way, as it cannot be told what led
    where. What threads do at the same time is noted one after the other, in the order in which
    they began.
    """

    topic: str
    followers: Sequence[str]
    _files: dict[str, str | None] = field(default_factory=dict)
    _readers: set[int] = field(default_factory=set)
    _steps: dict[int, list[Step]] = field(default_factory=dict)  # by thread
    _frame: FrameType | None = None  # the call that takes the frame of the stream, while it lasts
    _reader: int = 0  # the thread that makes it
    _is_spoiled: bool = False
    _is_on: bool = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all threads that begin meanwhile."""
        threading.setprofile(self._profile)
        try:
            yield
        finally:
            threading.setprofile(None)

    def begin(self) -> None:
        """Note steps from the next frame of the topic on."""
        self._steps, self._frame, self._is_spoiled, self._is_on = {}, None, False, True

    def end(self) -> Trace | None:
        """Note no more; return the way so far, None where it is spoiled."""
        self._is_on = False
        if self._is_spoiled:
            return None
        steps: list[Step] = []
        for step in (step for thread in self._steps.values() for step in thread):
            if not steps or steps[-1].file != step.file:
                steps.append(step)
        return Trace(tuple(steps))

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        file = self._file(frame)
        thread = threading.get_ident()
        if file is None:
            if "/websocket/" in frame.f_code.co_filename:
                self._readers.add(thread)
            return
        if not self._is_on or not self._belongs(frame, event, thread):
            return
        if event == "call":
            self._note(thread, Step(file, frame.f_code.co_qualname, is_call=True))
        elif frame is self._frame:
            self._frame = None
        else:
            self._note_return(thread, frame.f_back)

    def _note(self, thread: int, step: Step) -> None:
        self._steps.setdefault(thread, []).append(step)

    def _belongs(self, frame: FrameType, event: str, thread: int) -> bool:
        """Tell whether what a thread does now is part of the way."""
        if threading.current_thread().name in self.followers:
            return bool(self._steps)
        if (
            thread in self._readers
            and self._frame is None
            and event == "call"
            and self._has_topic(frame)
        ):
            self._is_spoiled = any(known != self._reader for known in self._steps)
            self._steps, self._frame, self._reader = {}, frame, thread
        return self._frame is not None and thread == self._reader

    def _has_topic(self, frame: FrameType) -> bool:
        for value in frame.f_locals.values():
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if isinstance(text, str) and self.topic in text[:80]:
                return True
        return False

    def _note_return(self, thread: int, caller: FrameType | None) -> None:
        while caller is not None:
            file = self._file(caller)
            if file is not None:
                self._note(thread, Step(file, caller.f_code.co_qualname, is_call=False))
                return
            caller = caller.f_back  # such as a constructor that is made at run time

    def _file(self, frame: FrameType) -> str | None:
        filename = frame.f_code.co_filename
        if filename not in self._files:
            self._files[filename] = file_of(filename)
        return self._files[filename]


@dataclass(slots=True)
class CallRecorder:
    """Notes the steps within each call of one function on this thread, by its qualified name.

    Those calls are kept that lead to exactly one call of the function `once`.
    """

    function: str
    once: str
    world: Set[str]
    found: list[Trace] = field(default_factory=list)
    _files: dict[str, str | None] = field(default_factory=dict)
    _steps: list[Step] = field(default_factory=list)
    _outer: FrameType | None = None
    _count: int = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch this thread meanwhile."""
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        if self._outer is None:
            if event != "call" or frame.f_code.co_qualname != self.function:
                return
            self._outer, self._steps, self._count = frame, [], 0
        filename = frame.f_code.co_filename
        if filename not in self._files:
            self._files[filename] = file_of(filename, self.world)
        file, is_call = self._files[filename], event == "call"
        if frame is self._outer and not is_call:
            self._outer = None
            if self._count == 1:
                self.found.append(Trace(tuple(self._steps)))
        elif not is_call:
            caller = frame.f_back
            while caller is not None and caller.f_code.co_filename not in self._files:
                caller = caller.f_back
            back = None if caller is None else self._files[caller.f_code.co_filename]
            if file is not None and back is not None and caller is not None:
                self._note(Step(back, caller.f_code.co_qualname, is_call=False))
        elif file is not None:
            self._count += frame.f_code.co_qualname == self.once
            self._note(Step(file, frame.f_code.co_qualname, is_call=True))

    def _note(self, step: Step) -> None:
        if not self._steps or self._steps[-1].file != step.file:
            self._steps.append(step)
