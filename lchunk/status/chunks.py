"""The state of each chunk of a layer: done, failed or missing, as arrays over its grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.failures import Failure
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.geometry.grid import Grid
from lchunk.status.folders import Followed
from lchunk.volumes.chunk_files import missing

MISSING, DONE, FAILED = 0, 1, 2
"""States of a chunk."""

States = npt.NDArray[np.uint8]
"""(z, y, x) of a grid: `MISSING`, `DONE` or `FAILED`."""


def chunk_states(layer: Followed, failures: Iterable[Failure]) -> States:
    """The state of every chunk. A chunk is failed if it is missing, and a record of a failure names it.

    Args:
        layer: the layer.
        failures: records of failures in its log folder.
    """
    states: States = np.full(layer.grid.counts, DONE, np.uint8)
    if layer.part.grid is None:
        states[...] = DONE if any(True for key in _own_files(layer)) else MISSING
    else:
        for index in missing(layer, layer.grid.bounds):
            states[index] = MISSING
    for failure in failures:
        for box in failure.chunks or (failure.region,):
            place = index_at(layer.grid, box)
            if place is not None and states[place] == MISSING:
                states[place] = FAILED
    return states


def _own_files(layer: Followed) -> Iterable[str]:
    """The files of a folder that is not divided into chunks."""
    path, metadata = layer.part.path, layer.part.metadata
    return (key for key in layer.store.list(path) if key.rpartition("/")[0] == path and key not in metadata)


def index_at(grid: Grid, box: str) -> Triple | None:
    """The index of the chunk with a box, as text; None if there is no such chunk.

    The box may end before the chunk does: the end of an external volume is not always known. A text that is no box, as
    `whole`, means all of the grid.

    >>> grid = Grid(Bbox((0, 0, 0), (8, 8, 8)), (4, 4, 4))
    >>> index_at(grid, "0-4_4-7_0-4"), index_at(grid, "0-8_4-8_0-4"), index_at(grid, "1-4_4-8_0-4")
    ((0, 1, 0), None, None)
    """
    try:
        bbox = Bbox.parse(box)
    except ValueError:
        bbox = grid.bounds
    if not bbox.size or not grid.bounds.contains(bbox):
        return None
    sides = zip(bbox.start, grid.bounds.start, grid.chunk_shape, strict=True)
    index = triple((start - first) // side for start, first, side in sides)
    chunk = grid.chunk(index)
    return index if chunk.start == bbox.start and chunk.contains(bbox) else None


def voxels_of(grid: Grid, chunks: npt.NDArray[np.bool_]) -> int:
    """The voxels of some chunks; those at the end of the grid are smaller.

    Args:
        grid: the chunks.
        chunks: (z, y, x) of the grid, which of them count.

    >>> grid = Grid(Bbox((0, 0, 0), (4, 4, 6)), (4, 4, 4))
    >>> voxels_of(grid, np.array([[[True, True]]])), voxels_of(grid, np.array([[[False, True]]]))
    (96, 32)
    """
    sides: Any = [
        np.diff(np.minimum(np.arange(count + 1) * side, extent)).astype(float)
        for count, side, extent in zip(grid.counts, grid.chunk_shape, grid.bounds.shape, strict=True)
    ]
    z, y, x = sides
    return int(z @ (chunks @ x) @ y)
