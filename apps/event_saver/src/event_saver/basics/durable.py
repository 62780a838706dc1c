"""Files whose existence survives a power cut.

The content of a file is safe once the file is synced; its name is safe once its folder is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, *, before: Path | None = None) -> None:
    """Write a file in one piece: after a crash the old one or the new one is there, whole.

    The old one is kept as `before` where that is named. Raises OSError; the old one stays then.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if before is not None:
        with suppress(FileNotFoundError):
            path.replace(before)
    fresh.replace(path)
    sync_folder(path.parent)
