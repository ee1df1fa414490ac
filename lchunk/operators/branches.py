"""Which branches of a skeleton's trees are worth keeping, as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit

CELL = 200.0
"""Nanometres of the cells in which vertices are looked up."""


@njit
def branches_kept(graph: Any, radius: Any, places: Any, least: float) -> Any:
    """Keep the longest path of each tree, and of the other branches, the longest first, those that reach far enough.

    A branch counts where it is outside of the balls around the vertices that were kept before it. The longest path is
    two branches that begin in its middle, so that it does not go back beside itself: half of the second one is enough.

    Args:
        graph: (n + 1,) where the neighbours of each vertex begin, (2 m,) the neighbours, and (2 m,) the lengths of the
            edges to them, nanometres.
        radius: (n,) of the ball around each vertex, nanometres.
        places: (n, 3) nanometres.
        least: the length that a branch must have outside of these balls, nanometres.

    Returns:
        (n,) whether a vertex is kept.
    """
    count = len(radius)
    cells = _cells(places)
    order = np.argsort(cells, kind="mergesort")
    lookup = (cells[order], order)
    kept = np.zeros(count, np.bool_)
    covered = np.zeros(count, np.bool_)
    away = np.full(count, -1.0)
    above = np.full(count, -1)
    step = np.zeros(count)
    walked = (away, above, step)
    for first in range(count):
        if away[first] >= 0:
            continue
        tree = _walk(graph, first, walked)
        root = tree[np.argmax(away[tree])]
        away[tree] = -1.0
        tree = _walk(graph, root, walked)
        other = tree[np.argmax(away[tree])]
        middle, half = other, away[other] / 2
        while away[middle] > half:
            middle = above[middle]
        away[tree] = -1.0
        tree = _walk(graph, middle, walked)
        kept[middle] = True
        ends = tree[np.diff(graph[0])[tree] == 1]
        ends = np.concatenate((np.array([other, root]), ends[np.argsort(-away[ends], kind="mergesort")]))
        for number, end in enumerate(ends):
            place, outside = end, 0.0
            while not kept[place]:
                if not covered[place]:
                    outside += step[place]
                place = above[place]
            if (number > 1 and outside < least) or (number == 1 and outside < min(least, away[end] / 2)):
                continue
            place = end
            while not kept[place]:
                kept[place] = True
                _cover(places, radius[place], place, lookup, covered)
                place = above[place]
            if number == 0:
                _cover(places, radius[middle], middle, lookup, covered)
    return kept


@njit
def _walk(graph: Any, root: int, walked: Any) -> Any:
    """The vertices of a tree from its root, with their distances, the vertex before each, and the edge to it."""
    begins, beside, lengths = graph
    away, above, step = walked
    away[root] = 0.0
    above[root] = root
    tree = [root]
    at = 0
    while at < len(tree):
        place = tree[at]
        at += 1
        for row in range(begins[place], begins[place + 1]):
            other = beside[row]
            if away[other] < 0:
                away[other] = away[place] + lengths[row]
                above[other] = place
                step[other] = lengths[row]
                tree.append(other)
    return np.array(tree)


BITS = 21
"""Of the number of a cell along one axis."""


@njit
def _cells(places: Any) -> Any:
    """The number of the cell of each vertex; the cells along x follow each other."""
    found = np.empty(len(places), np.int64)
    for row in range(len(places)):
        number = np.int64(0)
        for axis in range(3):
            number = (number << BITS) | np.int64(places[row, axis] // CELL)
        found[row] = number
    return found


@njit
def _cover(places: Any, radius: float, centre: int, lookup: Any, covered: Any) -> None:
    """Mark the vertices inside a ball."""
    near, order = lookup
    low = np.empty(3, np.int64)
    high = np.empty(3, np.int64)
    for axis in range(3):
        low[axis] = int(max((places[centre, axis] - radius) // CELL, 0.0))
        high[axis] = int((places[centre, axis] + radius) // CELL)
    for z in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            row = ((np.int64(z) << BITS) | np.int64(y)) << BITS
            begin = np.searchsorted(near, row | low[2])
            while begin < len(near) and near[begin] <= (row | high[2]):
                other = order[begin]
                begin += 1
                if covered[other]:
                    continue
                squared = 0.0
                for axis in range(3):
                    squared += (places[other, axis] - places[centre, axis]) ** 2
                covered[other] = squared <= radius * radius
