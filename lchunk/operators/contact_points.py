"""The voxels at which skeletons of neighbouring chunks meet: both choose the same ones.

Two chunks share one plane of voxels. A contact is what a label has in this plane, as far as it is connected close to
the plane in the first chunk and also in the second. Everything that a chunk must know lies in a slab around the plane,
which both read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.components import connected_components
from lchunk.operators.label_distances import label_distances


def depths(labels: npt.NDArray[Any], voxel_size: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Like `label_distances`, but where the whole array has one label, the faces of the array are its boundary."""
    found = label_distances(labels, voxel_size)
    if labels.size and np.isinf(found.flat[0]):
        around = np.pad(labels, 1, constant_values=labels.flat[0] ^ 1)
        return label_distances(around, voxel_size)[(slice(1, -1),) * labels.ndim]
    return found


def contact_points(
    labels: npt.NDArray[np.uint64],
    *,
    seen: Bbox,
    chunk: Bbox,
    bounds: Bbox,
    reach: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
) -> npt.NDArray[np.intp]:
    """The deepest voxel of each contact in the planes that a chunk shares, and in the volume's faces.

    Args:
        labels: (z, y, x), 0 is background.
        seen: the box of these labels: the chunk, and `reach` voxels more where the volume continues, and one more on
            the high sides.
        chunk: the box without the planes that belong to the next chunks.
        bounds: those of the volume.
        reach: how far, in voxels zyx, voxels are looked at on both sides of a plane.
        voxel_size: nanometres zyx.

    Returns:
        (n, 3) voxels zyx, in the volume. The depth is the distance to the boundary within the plane; of equal ones, the
        first voxel is chosen.
    """
    part = shared_part(chunk, bounds)
    found = [np.empty((0, 3), np.intp)]
    for axis, plane in _planes(part):
        low, high = list(part.start), list(part.stop)
        low[axis], high[axis] = plane - reach[axis], plane + 1 + reach[axis]
        slab = Bbox(triple(low), triple(high)).clipped(seen)
        voxels = np.moveaxis(labels[slab.slices(seen.start)], axis, 0)
        middle = plane - slab.start[axis]
        before, after = connected_components(voxels[: middle + 1])[-1], connected_components(voxels[middle:])[0]
        sizes = tuple(size for other, size in enumerate(voxel_size) if other != axis)
        whole = depths(np.take(labels, plane - seen.start[axis], axis), sizes)
        inside = part.slices(seen.start)
        deep = whole[tuple(side for other, side in enumerate(inside) if other != axis)]
        rows, columns = _deepest(before.astype(np.uint64) << np.uint64(32) | after, deep)
        points = np.insert(np.stack([rows, columns], 1), axis, 0, axis=1) + np.array(part.start)
        points[:, axis] = plane
        found.append(points)
    return np.unique(np.concatenate(found), axis=0)


def shared_part(chunk: Bbox, bounds: Bbox) -> Bbox:
    """A chunk with the first plane of the next chunk on each axis."""
    return chunk.grown((0, 0, 0), (1, 1, 1)).clipped(bounds)


def _planes(part: Bbox) -> Iterator[tuple[int, int]]:
    """The axis and the place of each plane in which contacts are: the first and the last one of each axis.

    Objects end at the volume's faces as they would at a chunk's: in the middle of their cross-section.
    """
    for axis in range(3):
        yield axis, part.start[axis]
        yield axis, part.stop[axis] - 1


def _deepest(groups: npt.NDArray[np.uint64], deep: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.intp], ...]:
    """The deepest place of each group but 0."""
    places = np.flatnonzero(groups)
    order = places[np.lexsort((places, -deep.ravel()[places], groups.ravel()[places]))]
    firsts = np.flatnonzero(np.diff(groups.ravel()[order], prepend=np.uint64(0)))
    return np.unravel_index(order[firsts], groups.shape)
