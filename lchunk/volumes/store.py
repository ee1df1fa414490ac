"""A store of objects under a URL: the one place where a disk or a bucket is plugged in."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from lchunk.volumes.file_store import PARTIAL, FileStore
from lchunk.volumes.stamp import Stamp

__all__ = ["PARTIAL", "FileStore", "Store", "open_store"]


class Store(Protocol):
    """Objects by key (`folder/name`). A put is one atomic step: readers see the old object or the new one."""

    url: str

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes `[start, stop)` of an object; a negative start counts from its end.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        """Write a whole object. When `durable`, it survives a power cut once this returns."""

    def create(self, key: str, body: bytes | memoryview) -> bool:
        """Write a whole object unless there is one: of several writers at one time exactly one succeeds.

        Returns:
            Whether this call wrote the object; if not, read what the other writer wrote.
        """

    def append(self, key: str, body: bytes) -> None:
        """Add bytes to the end of an object that one process writes, such as a log. A crash may lose them."""

    def size(self, key: str) -> int:
        """Bytes of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def stamp(self, key: str) -> Stamp:
        """By what a change of an object shows, without reading it.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def exists(self, key: str) -> bool:
        """Whether the object exists and is not empty: a crashed disk leaves files without bytes."""

    def remove(self, key: str) -> None:
        """Remove an object. Removing an object that does not exist is not an error."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys of all objects in the folder `prefix` and below, in no order, without empty objects."""

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly in the folder `prefix`, sorted."""

    def path(self, key: str) -> Path | None:
        """The file of an object, for libraries that read nothing else; None where the store is no disk."""

    def sweep(self, prefix: str, older_than: float) -> None:
        """Remove what killed writers left under `prefix` more than `older_than` seconds ago."""


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
