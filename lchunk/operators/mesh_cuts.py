"""Surfaces cut at planes, and their vertices as whole numbers of a grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lchunk.operators.welding import numbered, used

Cut = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Vertices (n, 3) and triangles (m, 3)."""
_HALF = 32
"""Bits of a vertex's number where an edge is one number."""


def cut_at(vertices: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64], middle: npt.NDArray[np.float64]) -> Cut:
    """Cut triangles at three planes, so that none has vertices on both sides of one.

    The two triangles at an edge get the same new vertex, whose coordinate is exactly that of the plane: a surface that
    is closed stays so. Edges that touch a plane, or lie in it, are not cut.

    Args:
        vertices: (n, 3).
        triangles: (m, 3) numbers of vertices.
        middle: (3,) coordinate of the plane across each axis.

    Returns:
        The vertices, with the new ones at the end, and the triangles: first those that were not cut.

    >>> corner = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0]], float)
    >>> vertices, triangles = cut_at(corner, np.array([[0, 1, 2]]), np.array([1.0, 9.0, 9.0]))
    >>> vertices[3:].tolist(), triangles.tolist()
    ([[1.0, 0.0, 0.0], [1.0, 3.0, 0.0]], [[1, 4, 3], [4, 2, 3], [2, 0, 3]])
    """
    for axis in range(3):
        vertices, triangles = _cut_across(vertices, triangles, axis, float(middle[axis]))
    return vertices, triangles


def _cut_across(vertices: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64], axis: int, middle: float) -> Cut:
    sides = np.sign(vertices[:, axis] - middle).astype(np.int64)[triangles]
    crossing = (sides.min(axis=1) < 0) & (sides.max(axis=1) > 0)
    if not crossing.any():
        return vertices, triangles
    touching = crossing & (sides == 0).any(axis=1)
    alone = crossing & ~touching  # one vertex is alone on its side
    # first the vertex in the plane, or the one alone
    halves = _turned(triangles[touching], np.argmax(sides[touching] == 0, axis=1))
    others = _turned(triangles[alone], np.argmax(sides[alone] == -np.sign(sides[alone].sum(axis=1))[:, None], axis=1))
    edges = np.concatenate([halves[:, 1:], others[:, :2], others[:, ::2]])
    cut, numbers = np.unique(edges.min(axis=1) << _HALF | edges.max(axis=1), return_inverse=True)
    low, high = vertices[cut >> _HALF], vertices[cut & (1 << _HALF) - 1]
    part = (middle - low[:, axis]) / (high[:, axis] - low[:, axis])
    new = low + part[:, None] * (high - low)
    new[:, axis] = middle
    numbers += len(vertices)
    within, after, before = np.split(numbers, [len(halves), len(halves) + len(others)])
    a, b, c = others.T
    parts = [
        triangles[~crossing],
        np.stack([halves[:, 0], halves[:, 1], within], axis=1), np.stack([halves[:, 0], within, halves[:, 2]], axis=1),
        np.stack([a, after, before], axis=1), np.stack([after, b, before], axis=1), np.stack([b, c, before], axis=1),
    ]  # fmt: skip
    return np.concatenate([vertices, new]), np.concatenate(parts)


def _turned(triangles: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Triangles that begin with another vertex, with the same orientation."""
    return np.take_along_axis(triangles, (first[:, None] + np.arange(3)) % 3, axis=1)


def on_grid(
    vertices: npt.NDArray[np.float64], triangles: npt.NDArray[np.int64], side: npt.NDArray[np.float64], bits: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
    """Vertices as numbers from 0, at the low face of a box, to 2^bits - 1, at its high face, the nearest ones.

    The middle of the box, halfway between two numbers, becomes 2^(bits - 1), where Neuroglancer divides it. Vertices
    with the same numbers become one; triangles that have no area then are left out.

    Args:
        vertices: (n, 3), whole numbers, or between two of them where a surface was cut.
        triangles: (m, 3) numbers of vertices.
        side: (3,) sides of the box, whole numbers; its low corner is 0.
        bits: how many bits a number has.

    Returns:
        Vertices and triangles in the order in which they were.

    >>> ends = np.array([[0, 0, 0], [4, 4, 4], [8, 0, 0], [0, 0.01, 0]])
    >>> vertices, triangles = on_grid(ends, np.array([[0, 1, 2], [0, 2, 3]]), np.array([8.0, 8.0, 8.0]), 10)
    >>> vertices.tolist(), triangles.tolist()
    ([[0, 0, 0], [512, 512, 512], [1023, 0, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    """
    most = 2**bits - 1
    # whole numbers below 2^53 as long as `vertices` are: nothing is rounded before the division
    numbers = np.floor((2 * vertices * most + side) / (2 * side)).astype(np.int64)
    codes = (numbers[:, 2] << 2 * bits) + (numbers[:, 1] << bits) + numbers[:, 0]
    place, first = numbered(codes.view(np.uint32).reshape(-1, 2))
    corners = place[triangles]
    a, b, c = corners.T
    kept, corners = used(codes[first], corners[(a != b) & (b != c) & (c != a)])
    found = np.stack([kept & most, kept >> bits & most, kept >> 2 * bits], axis=1)
    return found.astype(np.int32), corners
