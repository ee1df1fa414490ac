"""Files of a layer, one a chunk: which are there, and which are missing."""

from __future__ import annotations

from typing import Any, Protocol

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.store import Store

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


def missing(files: ChunkFiles, region: Bbox) -> list[Triple]:
    """Chunks of a region that have no file, z-major, from one listing of the region's folders."""
    keys = {index: files.keys(index) for index in files.grid.meeting(region)}
    if len(keys) <= 8:
        return [index for index, wanted in keys.items() if not all(map(files.store.exists, wanted))]
    folders = sorted({key.rsplit("/", 1)[0] for wanted in keys.values() for key in wanted})
    present = {key for folder in folders for key in files.store.list(folder)}
    return [index for index, wanted in keys.items() if not present.issuperset(wanted)]


def require(files: ChunkFiles, bbox: Bbox) -> None:
    """Raise unless every chunk that a box touches is there.

    Raises:
        FileNotFoundError: a chunk is not.
    """
    lacking = missing(files, bbox.clipped(files.grid.bounds))
    if lacking:
        raise FileNotFoundError(
            f"layer {files.path} in {files.store.url} must have every chunk of {bbox}, "
            f"but {len(lacking)} are missing, the first at {files.grid.chunk(lacking[0])}; "
            "run its stage again, it makes only what is missing"
        )
