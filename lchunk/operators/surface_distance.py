"""Which vertices are far from a surface: the cells of a grid list the triangles whose boxes touch them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit

MOST_CELLS = 128
"""Cells along an axis."""


def far_vertices(
    places: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32], bound: float
) -> npt.NDArray[np.bool_]:
    """Which vertices are farther from a surface than a bound; all of them if it has no triangle.

    Args:
        places: (n, 3) vertices, those of the surface among them.
        triangles: (m, 3) numbers of vertices.
        bound: in the unit of `places`, above 0.

    >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [2, 2, 1], [2, 2, 3], [9, 9, 0]], np.float32)
    >>> far_vertices(corners, np.array([[0, 1, 2]], np.uint32), 2.0).tolist()
    [False, False, False, False, True, True]
    """
    low, high = ends_of_box(places)
    # about as many cells as a surface of so many triangles touches, and none smaller than the bound
    most = min(MOST_CELLS, 1 + int(np.sqrt(len(triangles))))
    side = np.maximum((high - low) / most, bound)
    counts = ((high - low) / side).astype(np.int64) + 1
    lists = _lists(_boxes(places, triangles, low, side, counts), counts)
    found: npt.NDArray[np.bool_] = _far((places, triangles), float(bound), (low, side, counts), lists)
    return found


@njit
def ends_of_box(places: Any) -> Any:
    """The least and the largest coordinates (3,) of vertices (n, 3), n at least 1; numpy is slower by far."""
    low, high = places[0].astype(np.float64), places[0].astype(np.float64)
    for row in range(1, len(places)):
        for axis in range(3):
            low[axis], high[axis] = min(low[axis], places[row, axis]), max(high[axis], places[row, axis])
    return low, high


@njit
def _cell(place: Any, low: Any, side: Any, count: Any) -> Any:
    return min(max(np.int64((place - low) / side), 0), count - 1)


@njit
def _boxes(places: Any, triangles: Any, low: Any, side: Any, counts: Any) -> Any:
    """(m, 2, 3) first cell of each triangle's box, and the cell after its last one."""
    boxes = np.empty((len(triangles), 2, 3), np.int64)
    for row in range(len(triangles)):
        for axis in range(3):
            a, b, c = places[triangles[row, 0], axis], places[triangles[row, 1], axis], places[triangles[row, 2], axis]
            boxes[row, 0, axis] = _cell(min(a, b, c), low[axis], side[axis], counts[axis])
            boxes[row, 1, axis] = _cell(max(a, b, c), low[axis], side[axis], counts[axis]) + 1
    return boxes


@njit
def _lists(boxes: Any, counts: Any) -> Any:
    """The first entry of each cell's list, or -1; for each entry, the next one, or -1, and its triangle."""
    entries = 0
    for row in range(len(boxes)):
        sides = boxes[row, 1] - boxes[row, 0]
        entries += sides[0] * sides[1] * sides[2]
    firsts = np.full((counts[0], counts[1], counts[2]), -1, np.int64)
    nexts, rows = np.empty(entries, np.int64), np.empty(entries, np.int64)
    entry = 0
    for row in range(len(boxes)):
        for x in range(boxes[row, 0, 0], boxes[row, 1, 0]):
            for y in range(boxes[row, 0, 1], boxes[row, 1, 1]):
                for z in range(boxes[row, 0, 2], boxes[row, 1, 2]):
                    nexts[entry], rows[entry] = firsts[x, y, z], row
                    firsts[x, y, z] = entry
                    entry += 1
    return firsts, nexts, rows


@njit
def _far(surface: Any, bound: Any, cells: Any, lists: Any) -> Any:
    (places, triangles), (low, side, counts) = surface, cells
    far = np.ones(len(places), np.bool_)
    for row in range(len(triangles)):
        for corner in range(3):
            far[triangles[row, corner]] = False
    around = np.empty((2, 3), np.int64)
    for vertex in range(len(places)):
        for reach in (0.0, bound):  # the cell of the vertex first: most often it is enough
            if far[vertex]:
                for axis in range(3):
                    place = np.float64(places[vertex, axis])
                    around[0, axis] = _cell(place - reach, low[axis], side[axis], counts[axis])
                    around[1, axis] = _cell(place + reach, low[axis], side[axis], counts[axis]) + 1
                far[vertex] = not _is_near(surface, bound, lists, vertex, around)
    return far


@njit
def _is_near(surface: Any, bound: Any, lists: Any, vertex: Any, around: Any) -> Any:
    """Whether a triangle that some cells list, `around` a vertex, is within the bound."""
    (places, triangles), (firsts, nexts, rows) = surface, lists
    for x in range(around[0, 0], around[1, 0]):
        for y in range(around[0, 1], around[1, 1]):
            for z in range(around[0, 2], around[1, 2]):
                entry = firsts[x, y, z]
                while entry >= 0:
                    if _is_near_one(places, triangles, rows[entry], vertex, bound * bound):
                        return True
                    entry = nexts[entry]
    return False


@njit
def _is_near_one(places: Any, triangles: Any, row: Any, vertex: Any, square: Any) -> Any:
    """Whether a vertex is near a triangle: its plane if the vertex projects into it, else its nearest edge.

    The corners come first: where the bound is as long as edges are, one of them is most often enough.
    """
    a, b, c = triangles[row, 0], triangles[row, 1], triangles[row, 2]
    if _square_of(places, a, vertex) <= square or _square_of(places, b, vertex) <= square:
        return True
    ux, uy, uz = _from_to(places, a, b)
    vx, vy, vz = _from_to(places, a, c)
    wx, wy, wz = _from_to(places, a, vertex)
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    area = nx * nx + ny * ny + nz * nz
    # barycentric coordinates, times the area
    second = (wy * vz - wz * vy) * nx + (wz * vx - wx * vz) * ny + (wx * vy - wy * vx) * nz
    third = (uy * wz - uz * wy) * nx + (uz * wx - ux * wz) * ny + (ux * wy - uy * wx) * nz
    if area > 0:
        above = wx * nx + wy * ny + wz * nz
        if second >= 0 and third >= 0 and second + third <= area:
            return above * above / area <= square
        if above * above / area > 2 * square:  # of the plane, so of the edges; twice, as both are rounded
            return False
    nearest = min(_from_edge(places, a, b, vertex), _from_edge(places, b, c, vertex), _from_edge(places, c, a, vertex))
    return nearest <= square


@njit(inline=True)
def _square_of(places: Any, one: Any, other: Any) -> Any:
    x, y, z = _from_to(places, one, other)
    return x * x + y * y + z * z


@njit
def _from_edge(places: Any, one: Any, other: Any, vertex: Any) -> Any:
    ux, uy, uz = _from_to(places, one, other)
    wx, wy, wz = _from_to(places, one, vertex)
    length = ux * ux + uy * uy + uz * uz
    part = min(max((ux * wx + uy * wy + uz * wz) / length, 0.0), 1.0) if length > 0 else 0.0
    return (wx - part * ux) ** 2 + (wy - part * uy) ** 2 + (wz - part * uz) ** 2


@njit(inline=True)
def _from_to(places: Any, one: Any, other: Any) -> Any:
    return (
        np.float64(places[other, 0]) - np.float64(places[one, 0]),
        np.float64(places[other, 1]) - np.float64(places[one, 1]),
        np.float64(places[other, 2]) - np.float64(places[one, 2]),
    )
