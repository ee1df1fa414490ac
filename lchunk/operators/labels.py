"""Labels that are the same for every grid: their ids, and relabelling."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.compiled import njit

Labels = npt.NDArray[np.uint64]


def canonical_ids(labels: npt.NDArray[np.uint32], start: Triple, volume_shape: Triple) -> npt.NDArray[np.uint64]:
    """The id of each label: 1 + the smallest linear index, in the whole volume, of its voxels.

    Args:
        labels: (z, y, x), part of a volume.
        start: its first voxel, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx.

    Returns:
        ids by label; entry 0 is 0.

    >>> canonical_ids(np.array([[[1, 0, 2], [2, 2, 1]]], np.uint32), (0, 0, 5), (1, 4, 10))
    array([0, 6, 8], dtype=uint64)
    """
    firsts, _ = firsts_and_sizes(np.ascontiguousarray(labels).ravel(), int(labels.max(initial=0)) + 1)
    return ids_of(firsts, triple(labels.shape), start, volume_shape)


def ids_of(firsts: npt.NDArray[np.int64], shape: Triple, start: Triple, volume_shape: Triple) -> Labels:
    """The id of each label of a box from its first voxel there.

    Args:
        firsts: linear index, in the box, of each label's first voxel.
        shape: voxels of the box.
        start: its first voxel, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx.

    Returns:
        1 + linear index of that voxel in the volume; entry 0 is 0.
    """
    z, y, x = np.unravel_index(firsts, shape)
    linear = ((z + start[0]) * volume_shape[1] + (y + start[1])) * volume_shape[2] + (x + start[2])
    ids: Labels = (linear + 1).astype(np.uint64)
    ids[0] = 0
    return ids


def relabelled(labels: Labels, changed: Labels, roots: Labels) -> Labels:
    """Replace each label that is in `changed` (ascending) by its entry of `roots`; the others stay.

    >>> relabelled(np.array([1, 7, 0], np.uint64), np.array([7], np.uint64), np.array([3], np.uint64))
    array([1, 3, 0], dtype=uint64)
    """
    if not len(changed):
        return labels
    place = np.minimum(np.searchsorted(changed, labels), len(changed) - 1)
    others: Labels = np.where(changed[place] == labels, roots[place], labels)
    return others


def kept_labels(labels: Labels, kept: Labels) -> Labels:
    """The labels of a list; all others become 0.

    Args:
        labels: of any shape.
        kept: labels in any order.

    >>> kept_labels(np.array([1, 7, 3, 0], np.uint64), np.array([7, 1], np.uint64)).tolist()
    [1, 7, 0, 0]
    """
    return np.where(np.isin(labels, kept), labels, np.uint64(0))


@njit
def look_up(table: Any, labels: Any, into: Any) -> None:
    """Replace each label by its entry in a table; numpy's `take` would convert small labels to 64-bit indices first.

    Args:
        table: by label.
        labels: (z, y, x).
        into: (z, y, x), the array to fill.
    """
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                into[z, y, x] = table[labels[z, y, x]]


@njit
def firsts_and_sizes(labels: Any, count: int) -> Any:
    """The first place of each label, and its number of voxels; a run of voxels is added at once.

    Args:
        labels: flat, each below `count`.
        count: number of labels; a label that does not occur has place 0 and 0 voxels.
    """
    firsts, sizes = np.zeros(count, np.int64), np.zeros(count, np.int64)
    begin = 0
    for place in range(1, labels.size + 1):
        if place == labels.size or labels[place] != labels[begin]:
            label = labels[begin]
            if sizes[label] == 0:
                firsts[label] = begin
            sizes[label] += place - begin
            begin = place
    return firsts, sizes
