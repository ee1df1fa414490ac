"""Which rows of chunk files are complete, as far as that is known without listing them again.

.lchunk/complete/<first chunk file>.table    for each row of chunks, the time of the last change of its folders

A row is all chunks that differ only in x; its files are in folders of their own. On a disk, a row that a listing found
complete still is if its folders have not changed since then, because the system notes when a file is created, renamed
or removed. The table can be removed at any time: the rows are listed again. A bucket has no such times, so a process
keeps what it has listed to itself, and relies on it only if it was told to.
"""

from __future__ import annotations

import enum
import functools
import io
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from lchunk.geometry.grid import Grid
from lchunk.volumes.file_store import FileStore
from lchunk.volumes.store import Store
from lchunk.volumes.tables import TABLE

logger = logging.getLogger(__name__)

Row = tuple[int, int]
"""Index of a row of chunks along z and y."""

FOLDER = ".lchunk/complete"
SETTLED = 2_000_000_000
"""Nanoseconds after which a folder's time tells a later change apart; file systems round it, at most to 2 s."""
MASK = (1 << 63) - 1


class Look(enum.Enum):
    """Which rows are listed."""

    ALL = "all"
    """Every row."""
    CHANGED = "changed"
    """On a disk those that may have changed; in a bucket every row."""
    UNKNOWN = "unknown"
    """Those that may have changed; in a bucket those that this process has not found complete."""


looking: ContextVar[Look] = ContextVar("looking", default=Look.CHANGED)


@contextmanager
def look(at: Look) -> Iterator[None]:
    """A context in which rows are listed as `at` says."""
    token = looking.set(at)
    try:
        yield
    finally:
        looking.reset(token)


class CompleteRows:
    """What is known about the rows of a layer.

    Args:
        store: where the layer is.
        first: key of the first chunk file.
        grid: the chunks.
    """

    def __init__(self, store: Store, first: str, grid: Grid) -> None:
        self.store = store
        self.key = f"{FOLDER}/{first}{TABLE.suffix}"
        self.grid = grid
        self.times = self._stored()
        self.learned = False

    def holds(self, row: Row, folders: Sequence[str]) -> bool:
        """Whether a row is known to be complete.

        Args:
            row: index of the row.
            folders: the folders of its files.
        """
        known, at = int(self.times[row]), looking.get()
        if not known or at is Look.ALL:
            return False
        return self.time_of(folders) == known if isinstance(self.store, FileStore) else at is Look.UNKNOWN

    def time_of(self, folders: Sequence[str]) -> int:
        """A number that differs after a change in one of the folders; 0 if one is absent, or changed just now.

        In a bucket it says nothing, and is 1.
        """
        if not isinstance(self.store, FileStore):
            return 1
        combined = 0
        for folder in folders:
            changed = self.store.changed(folder)
            if changed is None or time.time_ns() - changed < SETTLED:
                return 0
            combined = (31 * combined + changed) & MASK
        return combined

    def learn(self, row: Row, when: int) -> None:
        """Keep that a row is complete.

        Args:
            row: index of the row.
            when: `time_of` its folders before it was listed.
        """
        if when and self.times[row] != when:
            self.times[row] = when
            self.learned = True

    def save(self) -> None:
        """Write what was learned for other processes; on a disk only. If that fails, it is learned again next time."""
        if not self.learned or not isinstance(self.store, FileStore):
            return
        self.learned = False
        theirs = self._stored()
        self.times = np.where(self.times == 0, theirs, self.times)
        try:
            self.store.put(self.key, TABLE.encode({"times": self.times, "grid": self._grid()}), durable=False)
        except OSError as error:
            logger.debug("complete rows could not be kept in %s: %s", self.key, error)

    def _grid(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.array([self.grid.bounds.start, self.grid.bounds.stop, self.grid.chunk_shape], np.int64)

    def _stored(self) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """What other processes have learned; nothing if there is no such file, or it is of another grid."""
        nothing = np.zeros(self.grid.counts[:2], np.int64)
        if not isinstance(self.store, FileStore):
            return nothing
        try:
            table = TABLE.decode(io.BytesIO(self.store.get(self.key)))
            times = table["times"] if np.array_equal(table["grid"], self._grid()) else nothing
        except Exception as error:
            logger.debug("complete rows of %s are not known: %s", self.key, error)
            return nothing
        return times if times.shape == nothing.shape else nothing


@functools.lru_cache(maxsize=256)
def rows_of(store: Any, first: str, grid: Grid) -> CompleteRows:
    """What this process knows about the rows of a layer, see `CompleteRows`."""
    return CompleteRows(store, first, grid)
