"""Merges in doubt: those that a slightly different threshold would decide otherwise, with the voxels of both sides."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lchunk.operators.agglomeration import Merges
from lchunk.operators.graph import Labels, Numbers


def near_threshold(parts: Iterable[Merges], threshold: float, margin: float) -> Merges:
    """The merges whose score, 1 - mean affinity, differs from a threshold by at most a margin. Links never do.

    Args:
        parts: the parts of a tree, one at a time.
        threshold: in [0, 1].
        margin: at least 0.

    >>> tree = Merges(*(np.array(c) for c in ([3, 5, 9], [1, 3, 5], [0.5, 0.9, 0.7], [9, 6, 2])))
    >>> near_threshold([tree], 0.4, 0.11).size.tolist()
    [9, 2]
    """
    merged, into = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    mean, size = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    for merges in parts:
        near = np.abs(1 - merges.mean.astype(np.float64) - threshold) <= margin
        merged.append(merges.merged[near])
        into.append(merges.into[near])
        mean.append(merges.mean[near])
        size.append(merges.size[near])
    labels = np.concatenate(merged)
    order = np.argsort(labels)
    return Merges(labels[order], np.concatenate(into)[order], np.concatenate(mean)[order], np.concatenate(size)[order])


def sides(merges: Merges, known: Iterable[tuple[Labels, Numbers]]) -> tuple[Numbers, Numbers]:
    """The voxels of the two clusters that each merge joins, just before it.

    Args:
        merges: some merges of a tree, with `merged` ascending.
        known: labels, and voxels of clusters that have had this label: of every fragment and every merge of the tree.
            A cluster grows until it is merged, so the largest number is what it had then.

    Returns:
        Voxels of the cluster `merged`, and voxels of the cluster `into`.

    >>> tree = Merges(*(np.array(c) for c in ([3, 5, 9], [1, 3, 5], [0.5, 0.9, 0.7], [9, 6, 2])))
    >>> fragments = np.array([1, 3, 5, 9], np.uint64), np.array([3, 4, 1, 1])
    >>> [side.tolist() for side in sides(tree, [fragments, (tree.into, tree.size)])]
    [[6, 2, 1], [3, 4, 1]]
    """
    merged: npt.NDArray[np.int64] = np.zeros(len(merges.merged), np.int64)
    for labels, voxels in known:
        if len(merged):
            place = np.minimum(np.searchsorted(merges.merged, labels), len(merged) - 1)
            same = merges.merged[place] == labels
            np.maximum.at(merged, place[same], voxels[same])
    return merged, merges.size - merged
