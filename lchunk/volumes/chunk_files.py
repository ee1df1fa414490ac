"""Files of a layer, one or more for each chunk: which exist, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Protocol, TypeGuard

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.parallel import parallel
from lchunk.volumes.store import Store

FEW = 8
"""Files that are asked for one by one."""

Recipe = dict[str, Any]
"""What a layer was made of: JSON."""


class ChunkFiles(Protocol):
    """A layer as the stage that writes it sees it, whatever the chunk files hold."""

    @property
    def store(self) -> Store:
        """Where the files are."""

    @property
    def path(self) -> str:
        """Folder of the layer in the store."""

    @property
    def grid(self) -> Grid:
        """Which voxels belong to which file."""

    def keys(self, index: Triple) -> list[str]:
        """The files of a chunk; the chunk is complete when all exist."""

    def recipe(self) -> Recipe | None:
        """The recipe of the first write; None while there is no layer."""

    def create(self, recipe: Recipe) -> Recipe:
        """Write the metadata, with the recipe, unless another writer was first.

        Returns:
            The recipe of whoever was first: compare it with your own.
        """

    def write(self, bbox: Bbox, content: Any) -> None:
        """Write one chunk."""


class Records(Protocol):
    """A layer whose chunks hold tables or documents. (A layer of voxels is a `Volume`.)"""

    def records(self, bbox: Bbox) -> Iterator[Any]:
        """The record of every chunk that a box touches, z-major, one at a time.

        Raises:
            FileNotFoundError: a chunk is missing.
            ValueError: a file is damaged.
        """


def holds_records(source: Any) -> TypeGuard[Records]:
    """Whether the chunks of a layer hold records, and not voxels."""
    return hasattr(source, "records")


def missing(files: ChunkFiles, region: Bbox) -> Iterator[Triple]:
    """Chunks of a region that have no file, z-major; each plane of chunks is listed once, and forgotten.

    Few files are asked for one by one; a plane that the region covers whole is one listing, a part of it one a row.
    """
    grid = files.grid
    few = list(islice(grid.meeting(region), FEW + 1))
    if len(few) <= FEW:

        def complete(index: Triple) -> bool:
            return all(map(files.store.exists, files.keys(index)))

        found = parallel(complete, few, files.store.connections, "exists")
        yield from (index for index, there in zip(few, found, strict=True) if not there)
        return
    for _, plane in groupby(grid.meeting(region), key=itemgetter(0)):
        keys = {index: files.keys(index) for index in plane}
        levels = 2 if len(keys) == grid.counts[1] * grid.counts[2] else 1
        folders = sorted({key.rsplit("/", levels)[0] for wanted in keys.values() for key in wanted})
        present = {key for folder in folders for key in files.store.list(folder)}
        yield from (index for index, wanted in keys.items() if not present.issuperset(wanted))


def absent_chunk(files: ChunkFiles, index: Triple, bbox: Bbox) -> FileNotFoundError:
    """The error of a reader that found no file for a chunk.

    Args:
        files: the layer.
        index: of the chunk.
        bbox: what was to be read.
    """
    count = sum(1 for _ in missing(files, bbox.clipped(files.grid.bounds)))
    return FileNotFoundError(
        f"layer {files.path} in {files.store.url} must have every chunk of {bbox}, "
        f"but {max(count, 1)} are missing, the first at {files.grid.chunk(index)}; "
        "run its stage again, which makes only what is missing"
    )
