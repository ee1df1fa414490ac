"""A scratch folder over a store: what is written goes to the folder, and what it does not hold is read below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lchunk.volumes.file_store import FileStore
from lchunk.volumes.ranges import Range
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store import Store


class OverlayStore:
    """A store that leaves the one below it as it is.

    Args:
        scratch: gets all that is written.
        below: is only read.
    """

    def __init__(self, scratch: FileStore, below: Store) -> None:
        self.scratch, self.below = scratch, below
        self.url, self.connections = below.url, below.connections

    def _holder(self, key: str) -> Store:
        return self.scratch if self.scratch.exists(key) else self.below

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        return self._holder(key).get(key, start, stop)

    def get_encoded(self, key: str) -> tuple[bytes, str]:
        return self._holder(key).get_encoded(key)

    def get_ranges(self, key: str, ranges: Sequence[Range]) -> list[memoryview]:
        return self._holder(key).get_ranges(key, ranges)

    def put(self, key: str, body: bytes | memoryview, *, durable: bool = True) -> None:
        self.scratch.put(key, body, durable=False)

    def settle(self, folder: str) -> None:
        """Do nothing: after a power cut, nobody reads the scratch folder."""

    def create(self, key: str, body: bytes | memoryview) -> bool:
        return not self.below.exists(key) and self.scratch.create(key, body)

    def append(self, key: str, body: bytes) -> None:
        self.scratch.append(key, body)

    def flush(self) -> None:
        self.scratch.flush()

    def size(self, key: str) -> int:
        return self._holder(key).size(key)

    def stamp(self, key: str) -> Stamp:
        return self._holder(key).stamp(key)

    def exists(self, key: str) -> bool:
        return self.scratch.exists(key) or self.below.exists(key)

    def remove(self, key: str) -> None:
        self.scratch.remove(key)

    def prune(self, folder: str) -> None:
        self.scratch.prune(folder)

    def list(self, prefix: str, *, empty: bool = False) -> Iterator[str]:
        own = set(self.scratch.list(prefix, empty=empty))
        yield from own
        yield from (key for key in self.below.list(prefix, empty=empty) if key not in own)

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        return tuple(sorted({*self.scratch.folders(prefix), *self.below.folders(prefix)}))

    def path(self, key: str) -> Path | None:
        return self._holder(key).path(key)

    def sweep(self, prefix: str, older_than: float) -> None:
        self.scratch.sweep(prefix, older_than)
