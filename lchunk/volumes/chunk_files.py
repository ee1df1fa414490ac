"""The files of a layer, one or more per chunk: which exist, and which are missing."""

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
"""Up to this number, the store is asked for each file; for more files, folders are listed."""
ONE_LISTING = 1000
"""Most chunks of a grid that is listed at once: as many objects as a bucket lists per request."""

MOST_LISTED = 100_000
"""Chunks of planes that are listed in parallel."""

Recipe = dict[str, Any]
"""What a layer was made from, as JSON."""


def is_external(source: str) -> bool:
    """Whether a source in a recipe is an external volume, which is described, not a layer, which has a digest."""
    return ": " in source


class ChunkFiles(Protocol):
    """A layer as the stage that writes it sees it, independent of the content of the chunk files."""

    @property
    def store(self) -> Store:
        """Where the files are."""

    @property
    def path(self) -> str:
        """Folder of the layer in the store."""

    @property
    def grid(self) -> Grid:
        """The voxels that belong to each file."""

    def keys(self, index: Triple) -> list[str]:
        """The files of a chunk; the chunk is complete when all exist."""

    def recipe(self) -> Recipe | None:
        """The recipe of the first write; None while there is no layer."""

    def create(self, recipe: Recipe) -> Recipe:
        """Write the metadata, with the recipe, unless another writer was first.

        Returns:
            The recipe of the writer that was first: compare it with your own.
        """

    def write(self, bbox: Bbox, content: Any) -> None:
        """Write one chunk."""


class Records(Protocol):
    """A layer whose chunks hold tables or documents. A layer of voxels is a `Volume`."""

    def records(self, bbox: Bbox) -> Iterator[Any]:
        """The record of every chunk that a box touches, z-major, one at a time.

        Raises:
            FileNotFoundError: a chunk is missing.
            ValueError: a file is damaged.
        """


def holds_records(source: Any) -> TypeGuard[Records]:
    """Whether the chunks of a layer hold records instead of voxels."""
    return hasattr(source, "records")


def missing(files: ChunkFiles, region: Bbox) -> Iterator[Triple]:
    """Chunks of a region that have no file, z-major; memory holds the listing of a few planes of chunks at a time.

    The store is asked for each of a few files. For more, a small grid is one listing, or a plane of chunks that the
    region covers completely; a part of a plane is one listing per row. In a bucket, several planes of at most
    `MOST_LISTED` chunks are listed in parallel.
    """
    grid = files.grid
    few = list(islice(grid.meeting(region), FEW + 1))
    if len(few) <= FEW:

        def complete(index: Triple) -> bool:
            return all(map(files.store.exists, files.keys(index)))

        found = parallel(complete, few, files.store.connections, "exists")
        yield from (index for index, there in zip(few, found, strict=True) if not there)
        return
    whole = len(grid) <= ONE_LISTING and region.contains(grid.bounds)

    def missing_of(plane: list[Triple]) -> list[Triple]:
        keys = {index: files.keys(index) for index in plane}
        levels = 3 if whole else 2 if len(keys) == grid.counts[1] * grid.counts[2] else 1
        folders = sorted({key.rsplit("/", levels)[0] for wanted in keys.values() for key in wanted})
        present = {key for folder in folders for key in files.store.list(folder)}
        return [index for index, wanted in keys.items() if not present.issuperset(wanted)]

    planes = (list(plane) for _, plane in groupby(grid.meeting(region), (lambda _: 0) if whole else itemgetter(0)))
    together = min(files.store.connections, MOST_LISTED // (grid.counts[1] * grid.counts[2]))
    for absent in parallel(missing_of, planes, together, "planes"):
        yield from absent


def absent_chunk(files: ChunkFiles, index: Triple, bbox: Bbox) -> FileNotFoundError:
    """The error of a reader that found no file for a chunk.

    Args:
        files: the layer.
        index: index of the chunk.
        bbox: the box that was read.
    """
    count = sum(1 for _ in missing(files, bbox.clipped(files.grid.bounds)))
    return FileNotFoundError(
        f"layer {files.path} in {files.store.url} must have every chunk of {bbox}, "
        f"but {max(count, 1)} are missing, the first at {files.grid.chunk(index)}; "
        "run its stage again, which makes only what is missing"
    )
