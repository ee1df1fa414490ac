"""Labels that each chunk gave by itself, as labels of the volume."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.cut import Names
from lchunk.operators.graph import Table
from lchunk.operators.labels import look_up


def named_voxels(
    chunks: Iterable[Table], names: Iterable[Table], grid: Grid, bbox: Bbox, dust_threshold: int = 0
) -> npt.NDArray[np.uint64]:
    """The voxels of a box.

    Args:
        chunks: of the grid, those that meet the box, z-major; columns labels (z, y, x) and ids, by label.
        names: of the same chunks, what their ids become.
        grid: of the chunks.
        bbox: what to give back.
        dust_threshold: what has fewer voxels in the volume is background.
    """
    voxels = np.empty(bbox.shape, np.uint64)
    for index, chunk, table in zip(grid.meeting(bbox), chunks, names, strict=True):
        ends = Names.of_table(table)
        ids = chunk["ids"]
        known = np.flatnonzero(ids)
        place = np.searchsorted(ends.labels, ids[known])
        if (np.append(ends.labels, np.uint64(0))[place] != ids[known]).any():
            raise ValueError(
                f"names of the chunk {grid.chunk(index)} must hold each of its labels, and do not: one of the two "
                "files is of another run; remove its layer and run again"
            )
        ids[known] = np.where(ends.sizes[place] < dust_threshold, 0, ends.roots[place])
        box = grid.chunk(index)
        part = box.clipped(bbox)
        look_up(ids, chunk["labels"][part.slices(box.start)], voxels[part.slices(bbox.start)])
    return voxels
