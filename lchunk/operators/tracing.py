"""The skeleton of one connected object, by TEASAR, as machine code.

Sato et al. 2000 (Pacific Graphics, 281), with two changes. Thin and thick parts are centred alike, because the cost of
a step depends on the distances to the boundary at its ends, and not on the largest one of the object. And each path
ends where it meets the paths before it in the cheapest way, not only where it meets them on its way to the root.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit
from lchunk.operators.even_distances import NOWHERE, spread_evenly
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
    links = np.full((2, count), NOWHERE, np.int32)
    queue = np.full((2, count), -1, np.int32)
    keys = np.empty(count)
    before = np.full(count, -1, np.int32)
    away = np.full(count, np.inf)
    away[root] = 0.0
    spread_evenly(object_, away, np.array([root]), links)
    near = np.full(count, np.inf)
    near[root] = 0.0
    size = rise(queue, keys, 0.0, 0, root)
    spread(object_, weight, (near, before), (queue, keys), size)
    above = np.full(count, -1, np.int64)
    above[root] = root
    found = [np.int64(root)]
    covered = np.zeros(count)  # negative where a path covers the object
    if len(ends):
        _cover(object_, budget, covered, links, np.array(found))
    far_first = np.argsort(-away, kind="mergesort")
    wanted = np.concatenate((ends[np.argsort(-away[ends], kind="mergesort")], far_first))
    last = np.empty(0, np.int64)  # the path from which distances have not been spread yet
    for number in range(len(wanted)):
        end = wanted[number]
        if above[end] >= 0 or (number >= len(ends) and covered[end] < 0):
            continue
        size = 0
        for place in last:
            near[place] = 0.0
            size = rise(queue, keys, 0.0, size, place)
        spread(object_, weight, (near, before), (queue, keys), size)
        path = [np.int64(end)]
        while above[before[path[-1]]] < 0:
            path.append(np.int64(before[path[-1]]))
        path.reverse()
        for place in path:
            above[place] = before[place]
        last = np.array(path)
        found.extend(path)
        path.append(np.int64(root))  # which the first path covers the object around, too
        _cover(object_, budget, covered, links, np.array(path))
    return np.array(found), above[np.array(found)]


@njit
def _cover(object_: Any, budget: Any, covered: Any, links: Any, path: Any) -> None:
    """Cover the object around the voxels of a path."""
    further = path[-budget[path] < covered[path]]
    if len(further):
        covered[further] = -budget[further]
        spread_evenly(object_, covered, further, links)
