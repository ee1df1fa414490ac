"""A file or a folder in a store, so that readers of chunked formats work with every store."""

from __future__ import annotations

import functools
import io
import time
from dataclasses import dataclass
from pathlib import Path

from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store import Store, open_store, scheme_of, split_url

_ABSENT = (FileNotFoundError, NotADirectoryError)
REMEMBERED_SECONDS = 10.0
"""How long stamps and documents are cached if the store is not on a disk, where each look is a request."""


@dataclass(frozen=True)
class Place:
    """A key in a store, with those operations of a path that every store supports.

    >>> str(on_disk(Path("/data/a.zarr")) / "0" / "zarr.json")
    '/data/a.zarr/0/zarr.json'

    Args:
        store: the store.
        key: key of the object or of the folder; empty for the store itself.
    """

    store: Store
    key: str

    def __truediv__(self, name: str) -> Place:
        return Place(self.store, "/".join(part for part in (self.key, name.strip("/")) if part))

    def __str__(self) -> str:
        return str(self.path or "/".join(part for part in (self.store.url, self.key) if part))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> Place:
        """The folder that contains it; the parent of the store is the store itself."""
        return Place(self.store, self.key.rpartition("/")[0])

    @property
    def path(self) -> Path | None:
        """Its path on the disk; None if the store is not on a disk."""
        return self.store.path(self.key)

    def stamp(self) -> Stamp | None:
        """Size and time of the object; None if it does not exist. In a bucket, the answer may be some seconds old."""
        return _stamp(self) if self.path is not None else _remembered_stamp(self, tick())

    def exists(self) -> bool:
        """Whether the object exists."""
        return self.stamp() is not None

    def body(self) -> bytes | None:
        """Bytes of the object; None if it does not exist."""
        try:
            return self.store.get(self.key)
        except _ABSENT:
            return None

    def document(self) -> bytes | None:
        """Like `body`, for small objects. In a bucket, the bytes may be some seconds old."""
        return self.body() if self.path is not None else _remembered_body(self, tick())

    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly in this one; empty if the store cannot list them, such as a web server."""
        try:
            return self.store.folders(self.key)
        except io.UnsupportedOperation:
            return ()


def place_of(url: str) -> Place:
    """The place that a path, or a URL of a file, a bucket or a web server names.

    Raises:
        ValueError: the URL does not name a bucket or a host, or has more parts than a path in it.
    """
    if scheme_of(url) in ("", "file"):
        return on_disk(Path(str(open_store(url).path(""))).absolute())
    top, key = split_url(url)
    return Place(open_store(top), key)


def on_disk(path: Path) -> Place:
    """The place of a file or folder on a disk."""
    root = Path(path.anchor)
    return Place(open_store(str(root)), "" if path == root else str(path.relative_to(root)))


def _stamp(place: Place) -> Stamp | None:
    try:
        return place.store.stamp(place.key)
    except _ABSENT:
        return None


@functools.lru_cache(maxsize=4096)
def _remembered_stamp(place: Place, tick: int) -> Stamp | None:
    return _stamp(place)


@functools.lru_cache(maxsize=256)
def _remembered_body(place: Place, tick: int) -> bytes | None:
    return place.body()


def tick() -> int:
    """A number that changes when what is remembered must be asked for again."""
    return int(time.monotonic() // REMEMBERED_SECONDS)
