"""A store of objects under a URL: the one seam where a disk or a bucket goes in."""

from __future__ import annotations

import functools
import io
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

PARTIAL = ".partial"
"""Suffix of a file that is being written; no reader ever takes one for an object."""


class Store(Protocol):
    """Objects by key (`folder/name`). A put is one atomic step: readers see the old object or the new one."""

    url: str

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes `[start, stop)` of an object; a negative start counts from its end.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        """Write a whole object; what may be lost with the machine need not be waited for until it is on the disk."""

    def size(self, key: str) -> int:
        """Bytes of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def exists(self, key: str) -> bool:
        """Whether the object is there and not empty: a file of no bytes is what a torn disk leaves."""

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects in the folder `prefix` and below, in no order; those of no bytes left out."""

    def folders(self) -> tuple[str, ...]:
        """Names of the folders at the top."""

    def sweep(self, prefix: str, older_than: float) -> None:
        """Remove what killed writers left under `prefix` more than `older_than` seconds ago."""


class FileStore:
    """A folder of a local or shared file system.

    A put writes beside the target, flushes to the disk, and renames: a kill or a full disk leaves the
    old file or none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        with open(self.root / key, "rb") as file:
            if start < 0:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size + start)
            file.seek(start)
            return file.read() if stop is None else file.read(stop - start)

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        path = os.path.join(self.root, key)
        folder, name = os.path.split(path)
        partial = os.path.join(folder, f".{name}.{uuid.uuid4().hex}{PARTIAL}")
        try:
            try:
                file = open(partial, "wb", buffering=0)  # noqa: SIM115 - closed below
            except FileNotFoundError:
                os.makedirs(folder, exist_ok=True)
                file = open(partial, "wb", buffering=0)  # noqa: SIM115
            with file:
                _write(file, body)
                if durable:
                    os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        if durable:
            _to_disk(folder)

    def size(self, key: str) -> int:
        return os.stat(self.root / key).st_size

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) > 0
        except (FileNotFoundError, NotADirectoryError):
            return False

    def remove(self, key: str) -> None:
        (self.root / key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        before = len(os.path.join(self.root, ""))
        for entry in self._walk(os.path.join(self.root, prefix)):
            if not entry.name.endswith(PARTIAL) and entry.stat().st_size > 0:
                yield entry.path[before:]

    def folders(self) -> tuple[str, ...]:
        if not self.root.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir()))

    def sweep(self, prefix: str, older_than: float) -> None:
        before = time.time() - older_than
        for entry in self._walk(self.root / prefix):
            if entry.name.endswith(PARTIAL) and entry.stat().st_mtime < before:
                Path(entry.path).unlink(missing_ok=True)

    def _walk(self, folder: Path | str) -> Iterator[os.DirEntry[str]]:
        try:
            entries = os.scandir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path)
                else:
                    yield entry


def _write(file: io.FileIO, body: bytes | memoryview) -> None:
    left = memoryview(body).cast("B")
    while left:
        left = left[file.write(left) :]


def _to_disk(folder: str) -> None:
    """A rename is on the disk when its folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@functools.lru_cache(maxsize=64)
def open_store(url: str) -> Store:
    """The store of a folder URL: a path or `file://…`.

    Raises:
        ValueError: the URL has another scheme.
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        return FileStore(Path(unquote(parts.path) if parts.scheme else url))
    raise ValueError(f"a store must be a path or file://…, got {url!r}; copy it to a disk first")
