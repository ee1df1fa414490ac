"""Labels that each chunk gave by itself, as labels of the volume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.union import relabelled

Table = dict[str, npt.NDArray[Any]]


def joined(chunks: Iterable[Table], grid: Grid, bbox: Bbox, union: Table) -> npt.NDArray[np.uint64]:
    """The voxels of a box.

    Args:
        chunks: of the grid, those that meet the box, z-major; columns labels (z, y, x) and ids, by label.
        grid: of the chunks.
        bbox: what to give back.
        union: columns changed and roots: the ids that become others.
    """
    voxels = np.zeros(bbox.shape, np.uint64)
    for index, chunk in zip(grid.meeting(bbox), chunks, strict=True):
        ids = relabelled(chunk["ids"], union["changed"], union["roots"])
        place = grid.chunk(index)
        part = place.clipped(bbox)
        voxels[part.slices(bbox.start)] = ids[chunk["labels"][part.slices(place.start)]]
    return voxels
