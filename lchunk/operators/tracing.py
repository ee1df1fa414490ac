"""The skeleton of one connected object, by TEASAR, as machine code.

Sato et al. 2000 (Pacific Graphics, 281), with two changes. Thin and thick parts are centred alike, because the cost of
a step depends on the distances to the boundary at its ends, and not on the largest one of the object. And each path
ends where it meets the paths before it in the cheapest way, not only where it meets them on its way to the root.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit
from lchunk.operators.queue_of_places import rise, spread


@njit
def trace(object_: Any, weight: Any, budget: Any, root: int, ends: Any) -> Any:
    """The skeleton of an object.

    Args:
        object_: its voxels: (n,) positions in a flat array, that array of the numbers of all voxels (those of one
            object follow each other, and others are negative), the number of the object's first voxel, (26,) the steps
            from a voxel to those around it, and (26,) their lengths in nanometres.
        weight: (n,) cost of a nanometre at each voxel.
        budget: (n,) how far, in nanometres, a path covers the object around each of its voxels.
        root: the voxel at which the skeleton begins.
        ends: voxels that it must reach. Where there are none, it reaches at least the voxel that is farthest away.

    Returns:
        The voxels of the skeleton, (m,) numbers from 0 to n, the root first; and for each of them the one that it is
        joined to, of those before it; of the root, itself.
    """
    count = len(object_[0])
    queue = np.full((2, count), -1, np.int32)
    before = np.full(count, -1, np.int32)
    even = np.ones(count)
    away = _distances(object_, even, before, queue, root)
    near = _distances(object_, weight, before, queue, root)
    above = np.full(count, -1, np.int64)
    above[root] = root
    found = [np.int64(root)]
    covered = np.zeros(count)  # negative where a path covers the object
    covering = (even, budget, covered, np.empty(count, np.int32))
    if len(ends):
        _cover(object_, covering, queue, found)
    far_first = np.argsort(-away, kind="mergesort")
    wanted = np.concatenate((ends[np.argsort(-away[ends], kind="mergesort")], far_first))
    for number in range(len(wanted)):
        end = wanted[number]
        if above[end] >= 0 or (number >= len(ends) and covered[end] < 0):
            continue
        path = [np.int64(end)]
        while above[before[path[-1]]] < 0:
            path.append(np.int64(before[path[-1]]))
        path.reverse()
        size = 0
        for place in path:
            above[place] = before[place]
            near[place] = 0.0
            size = rise(queue[0], queue[1], near, size, place)
        spread(object_, weight, (near, before), queue, size)
        found.extend(path)
        path.append(np.int64(root))  # which the first path covers the object around, too
        _cover(object_, covering, queue, path)
    return np.array(found), above[np.array(found)]


@njit
def _distances(object_: Any, weight: Any, before: Any, queue: Any, root: int) -> Any:
    """The distance of each voxel from a root."""
    near = np.full(len(weight), np.inf)
    near[root] = 0.0
    size = rise(queue[0], queue[1], near, 0, root)
    spread(object_, weight, (near, before), queue, size)
    return near


@njit
def _cover(object_: Any, covering: Any, queue: Any, path: Any) -> None:
    """Cover the object around the voxels of a path."""
    even, budget, covered, nowhere = covering
    size = 0
    for place in path:
        if -budget[place] < covered[place]:
            covered[place] = -budget[place]
            size = rise(queue[0], queue[1], covered, size, place)
    spread(object_, even, (covered, nowhere), queue, size)
