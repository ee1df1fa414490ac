"""A chunk file as a Luigi target."""

from __future__ import annotations

import luigi

from lchunk.volumes.store import Store


class ChunkTarget(luigi.Target):
    """One file of a layer. The file is the only state: no other record says that a chunk is complete."""

    def __init__(self, store: Store, key: str) -> None:
        self.store = store
        self.key = key

    def exists(self) -> bool:
        """Whether the file is in the store, and not empty."""
        return self.store.exists(self.key)

    def __str__(self) -> str:
        return f"{self.store.url}/{self.key}"
