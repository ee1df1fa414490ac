"""A file or a folder in a store: readers of chunked formats are given one, whatever the store is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lchunk.volumes.stamp import Stamp
from lchunk.volumes.store import Store, open_store

_ABSENT = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True)
class Place:
    """A key of a store, with the few operations of a path that every store has.

    >>> str(on_disk(Path("/data/a.zarr")) / "0" / "zarr.json")
    '/data/a.zarr/0/zarr.json'

    Args:
        store: where it is.
        key: of the object, or of the folder; empty for the store itself.
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
        """The folder that it is in; the store itself is its own."""
        return Place(self.store, self.key.rpartition("/")[0])

    @property
    def path(self) -> Path | None:
        """Its path on the disk; None where the store is none."""
        return self.store.path(self.key)

    def stamp(self) -> Stamp | None:
        """Size and time of an object; None where there is none."""
        try:
            return self.store.stamp(self.key)
        except _ABSENT:
            return None

    def exists(self) -> bool:
        """Whether there is an object."""
        return self.stamp() is not None

    def body(self) -> bytes | None:
        """Bytes of an object; None where there is none."""
        try:
            return self.store.get(self.key)
        except _ABSENT:
            return None

    def folders(self) -> tuple[str, ...]:
        """Names of the folders directly in this one."""
        return self.store.folders(self.key)


def on_disk(path: Path) -> Place:
    """The place of a file or folder on a disk."""
    root = Path(path.anchor)
    return Place(open_store(str(root)), "" if path == root else str(path.relative_to(root)))
