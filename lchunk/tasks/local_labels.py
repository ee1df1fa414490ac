"""From labels of single chunks to labels of the whole volume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.cut import Names
from lchunk.operators.graph import Table
from lchunk.operators.label_steps import from_steps
from lchunk.operators.labels import look_up


def named_voxels(
    chunks: Iterable[Table], names: Iterable[Table], grid: Grid, bbox: Bbox, dust_threshold: int = 0
) -> npt.NDArray[np.uint64]:
    """The voxels of a box.

    Args:
        chunks: tables of the chunks that the box touches, z-major; columns labels (z, y, x), and ids by label.
        names: tables of the same chunks: the final label of each id.
        grid: the chunks.
        bbox: the box to return.
        dust_threshold: objects of fewer voxels, in the whole volume, become background.
    """
    voxels = np.empty(bbox.shape, np.uint64)
    for index, chunk, table in zip(grid.meeting(bbox), chunks, names, strict=True):
        ends = Names.of_table(table)
        ids = chunk["ids"]
        known = np.flatnonzero(ids)
        place = np.searchsorted(ends.labels, ids[known])
        if (np.append(ends.labels, np.uint64(0))[place] != ids[known]).any():
            raise ValueError(
                f"the names of the chunk {grid.chunk(index)} must hold each of its labels, but do not: one of the two "
                "files comes from another run; remove its layer and run again"
            )
        ids[known] = np.where(ends.sizes[place] < dust_threshold, 0, ends.roots[place])
        box = grid.chunk(index)
        part = box.clipped(bbox)
        look_up(ids, labels_of(chunk)[part.slices(box.start)], voxels[part.slices(bbox.start)])
    return voxels


def labels_of(table: Table) -> npt.NDArray[Any]:
    """The labels (z, y, x) of a chunk: fragments are stored as steps, components as they are."""
    return from_steps(table) if "steps" in table else table["labels"]
