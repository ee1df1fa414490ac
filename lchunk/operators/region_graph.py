"""The region graph: which fragments touch, over how many edges, with what affinity in all."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.operators.affinities import as_float, check_affinities
from lchunk.operators.pair_sums import Table, doubled, empty_table, mixed, row_of, sorted_table

AFFINITY_BITS = 20
TIE_BITS = 12
ONE = float(1 << (AFFINITY_BITS + TIE_BITS))
"""An affinity of 1 as it stands in the sums: 20 bits of affinity, then 12 bits of a hash of the edge's place.

Whole numbers add up the same in any order, and the hash makes ties between means all but impossible.
"""


def region_graph(
    fragments: npt.NDArray[np.uint64], affinities: npt.NDArray[Any], *, start: Triple, volume_shape: Triple
) -> Table:
    """Edges that a box owns: those between its voxels and the ones before them along z, y, x.

    Args:
        fragments: (z + 1, y + 1, x + 1), the box with one plane before it on each axis (0 before the volume).
        affinities: (3, z, y, x) of the box, channels x, y, z, in [0, 1] or uint8.
        start: first voxel of the box, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx.

    Returns:
        Columns u < v, sum (fixed point, see `ONE`) and count, ordered by u, then v. Background has no edge.
        Tables of boxes that tile a volume add up to the table of the volume, exactly.

    Raises:
        ValueError: shapes do not fit.
    """
    check_affinities(affinities)
    if fragments.shape != tuple(side + 1 for side in affinities.shape[1:]):
        raise ValueError(
            "fragments must be one voxel longer than affinities on each axis, "
            f"got {fragments.shape} and {affinities.shape}"
        )
    table = _edges(np.ascontiguousarray(fragments), as_float(affinities), np.array(start), np.array(volume_shape))
    return sorted_table(table)


def fragment_sizes(fragments: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The fragments of an array, ascending, without background, and the voxels of each."""
    labels, sizes = np.unique(fragments, return_counts=True)
    real = labels != 0
    return labels[real], sizes[real].astype(np.int64)


def face_labels(fragments: npt.NDArray[np.uint64], start: Triple, volume_shape: Triple) -> Table:
    """The fragments at the faces of a box: those that the box does not see whole.

    Args:
        fragments: (z + 1, y + 1, x + 1), the box with one plane before it on each axis.
        start: first voxel of the box, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx.

    Returns:
        Columns low0 to low2: labels in the first planes, and in the planes before them; high0 to high2: in the last
        planes. Empty where the face is the volume's.
    """
    inside = fragments[1:, 1:, 1:]
    faces: Table = {}
    for axis in range(3):
        shape = inside.shape[axis]
        before = np.take(fragments, 0, axis)[1:, 1:]
        low = np.unique(np.concatenate([before.ravel(), np.take(inside, 0, axis).ravel()]))
        high = np.unique(np.take(inside, -1, axis))
        none = np.empty(0, np.uint64)
        faces[f"low{axis}"] = low[low != 0] if start[axis] > 0 else none
        faces[f"high{axis}"] = high[high != 0] if start[axis] + shape < volume_shape[axis] else none
    return faces


@numba.njit(cache=True, nogil=True)
def _edges(fragments: Any, edges: Any, start: Any, volume_shape: Any) -> Any:
    table = empty_table(1 << 12)
    used = 0
    depth, height, width = edges.shape[1:]
    for z in range(depth):
        for y in range(height):
            row_start = ((z + start[0]) * volume_shape[1] + y + start[1]) * volume_shape[2] + start[2]
            for x in range(width):
                here = fragments[z + 1, y + 1, x + 1]
                if here == 0:
                    continue
                before = (fragments[z, y + 1, x + 1], fragments[z + 1, y, x + 1], fragments[z + 1, y + 1, x])
                for axis in range(3):
                    there = before[axis]
                    if there == 0 or there == here:  # noqa: PLR1714 - numba
                        continue
                    strength = np.int64(np.rint(np.float64(edges[2 - axis, z, y, x]) * (1 << AFFINITY_BITS)))
                    tie = np.int64(mixed(3 * (row_start + x) + axis) >> np.uint64(64 - TIE_BITS))
                    u, v = min(here, there), max(here, there)
                    row = row_of(table, u, v)
                    if table[3][row] == 0:
                        table[0][row], table[1][row] = u, v
                        used += 1
                    table[2][row] += (strength << TIE_BITS) + tie
                    table[3][row] += 1
                    if 2 * used > table[0].size:
                        table = doubled(table)
    return table
