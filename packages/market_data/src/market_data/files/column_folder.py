"""Columns on disk that appear all at once or not at all.

A named set of columns is a folder of .npy files beside `NAME.json`, which names the folder. Readers
follow the JSON file, which is replaced atomically after every column lies on disk: a half-written
set is never seen, and a reader of the old set keeps its memory maps.
"""

import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from market_data.basics.data_errors import UnreadableFileError

SCHEMA_VERSION = 1
_OPEN_ATTEMPTS = 5

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ColumnFolder:
    """One published set. `facts` is what the writer had to say about it."""

    path: Path
    rows: int
    checksums: Mapping[str, str]
    facts: Mapping[str, Any]

    def map(self, column: str) -> NDArray[Any]:
        """Return a column as a read-only memory map. Raises UnreadableFileError if damaged."""
        file = self.path / f"{column}.npy"
        try:
            # numpy cannot map a file without rows.
            values: NDArray[Any] = np.load(file, mmap_mode="r" if self.rows else None)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise UnreadableFileError(f"{file}: {error}; import the data again") from error
        if len(values) != self.rows:
            raise UnreadableFileError(
                f"{file}: {len(values):,} rows instead of {self.rows:,}; import the data again"
            )
        return values

    def damaged(self) -> list[str]:
        """Return the columns whose bytes no longer have the checksum they were written with."""
        return [name for name, digest in self.checksums.items() if self._digest(name) != digest]

    def _digest(self, column: str) -> str:
        try:
            with (self.path / f"{column}.npy").open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ""


def publish(directory: str | Path, name: str, columns: Columns, facts: Mapping[str, Any]) -> None:
    """Write `columns`, all of one length, and make them the set `name` in one step.

    The caller holds `locked(directory, name)` if others may write it too.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f".draft-{name}-{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        checksums = {key: _write_column(draft / f"{key}.npy", c) for key, c in columns.items()}
        version = hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()[:12]
        # The random part keeps a republished equal set apart from the one readers have open.
        folder = directory / f"{name}.{version}-{uuid.uuid4().hex[:8]}"
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "folder": folder.name,
        "rows": len(next(iter(columns.values()))),
        "checksums": checksums,
        "facts": dict(facts),
    }
    write_atomically(directory / f"{name}.json", json.dumps(manifest, indent=1).encode())
    _sweep(directory, name, folder.name)


def open_folder(directory: str | Path, name: str) -> ColumnFolder | None:
    """Return the published set `name`, or None. Raises UnreadableFileError."""
    directory = Path(directory)
    file = directory / f"{name}.json"
    try:
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UnreadableFileError(f"{file}: {error}; import the data again") from error
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise UnreadableFileError(
            f"{file}: layout version {manifest.get('schema_version')}, this program reads"
            f" {SCHEMA_VERSION}; import the data again"
        )
    path = directory / manifest["folder"]
    return ColumnFolder(path, manifest["rows"], manifest["checksums"], manifest["facts"])


def map_columns(
    directory: str | Path, name: str, columns: tuple[str, ...]
) -> tuple[ColumnFolder, dict[str, NDArray[Any]]]:
    """Return the set `name` with the named columns mapped. Raises UnreadableFileError."""
    directory = Path(directory)
    for _ in range(_OPEN_ATTEMPTS):
        folder = open_folder(directory, name)
        if folder is None:
            break
        try:
            return folder, {column: folder.map(column) for column in columns}
        except FileNotFoundError:
            continue  # replaced between reading its name and opening its files
    raise UnreadableFileError(f"{directory / name}: columns are missing; import the data again")


def names(directory: str | Path) -> list[str]:
    """Return the names of the published sets, sorted."""
    directory = Path(directory)
    return sorted(file.stem for file in directory.glob("*.json"))


@contextmanager
def locked(directory: str | Path, name: str) -> Iterator[None]:
    """Hold the set `name` against other writers, of this process and of others."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(file: str | Path, contents: bytes) -> None:
    """Replace `file` in one step; after a crash it is the old one or the new one, whole."""
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    with draft.open("wb") as out:
        out.write(contents)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _write_column(file: Path, column: NDArray[Any]) -> str:
    with file.open("wb") as out:
        np.save(out, np.ascontiguousarray(column), allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())
    with file.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()


def _sweep(directory: Path, name: str, keep: str) -> None:
    """Remove older versions of a set and drafts that a crash left behind."""
    for pattern in (f"{name}.*-*", f".draft-{name}-*"):
        for old in directory.glob(pattern):
            if old.is_dir() and old.name != keep:
                shutil.rmtree(old, ignore_errors=True)
