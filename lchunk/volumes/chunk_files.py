"""Files of a layer, one a chunk: which are there, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Protocol

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.store import Store

FEW = 8
"""Files that are asked for one by one."""

Recipe = dict[str, Any]
"""What a layer was made of: JSON."""


class ChunkFiles(Protocol):
    """A layer as its stage sees it, whatever the chunk files hold."""

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
        """The files of a chunk; it is made when all are there."""

    def recipe(self) -> Recipe | None:
        """The recipe of the first write; None while there is no layer."""

    def create(self, recipe: Recipe) -> None:
        """Write the metadata, recipe included, where it is not there yet."""

    def write(self, bbox: Bbox, content: Any) -> None:
        """Write one chunk."""

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> Any:
        """What lies in a box."""


def missing(files: ChunkFiles, region: Bbox) -> Iterator[Triple]:
    """Chunks of a region that have no file, z-major; each plane of chunks is listed once, and forgotten.

    Few files are asked for one by one; a plane that the region covers whole is one listing, a part of it one a row.
    """
    grid = files.grid
    if len(list(islice(grid.meeting(region), FEW + 1))) <= FEW:
        yield from (index for index in grid.meeting(region) if not all(map(files.store.exists, files.keys(index))))
        return
    for _, plane in groupby(grid.meeting(region), key=itemgetter(0)):
        keys = {index: files.keys(index) for index in plane}
        levels = 2 if len(keys) == grid.counts[1] * grid.counts[2] else 1
        folders = sorted({key.rsplit("/", levels)[0] for wanted in keys.values() for key in wanted})
        present = {key for folder in folders for key in files.store.list(folder)}
        yield from (index for index, wanted in keys.items() if not present.issuperset(wanted))


def require(files: ChunkFiles, bbox: Bbox) -> None:
    """Raise unless every chunk that a box touches is there.

    Raises:
        FileNotFoundError: a chunk is not.
    """
    lacking = list(missing(files, bbox.clipped(files.grid.bounds)))
    if lacking:
        raise FileNotFoundError(
            f"layer {files.path} in {files.store.url} must have every chunk of {bbox}, "
            f"but {len(lacking)} are missing, the first at {files.grid.chunk(lacking[0])}; "
            "run its stage again, it makes only what is missing"
        )
