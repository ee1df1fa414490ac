"""The pieces of a surface as one surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3) and triangles (m, 3)."""


def weld(pieces: Sequence[Surface]) -> Surface:
    """Join pieces, and make one vertex of those at the same place.

    Args:
        pieces: at least one.

    Returns:
        The vertices in the order in which they first occur, and the triangles in the order of the pieces.

    >>> square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    >>> corner = np.array([[0, 1, 2]], np.uint32)
    >>> vertices, triangles = weld([(square, corner), (square[::-1] * [1, 1, 0] + [0, 0, -0.0], corner)])
    >>> len(vertices), triangles.tolist()
    (3, [[0, 1, 2], [2, 1, 0]])
    """
    if len(pieces) == 1:
        return pieces[0]
    vertices = np.concatenate([vertices for vertices, _ in pieces]).astype(np.float32) + np.float32(0)  # no -0
    x, y, z = np.ascontiguousarray(vertices).view(np.uint32).astype(np.uint64).T
    order = np.lexsort((z, x << np.uint64(32) | y))  # vertices at one place in the order of the pieces
    ordered = vertices[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(len(order), np.int64)
    first[order] = order[new][np.cumsum(new) - 1]  # for each vertex, the first one at its place
    kept = first == np.arange(len(first))
    numbers = (np.cumsum(kept) - 1)[first].astype(np.uint32)
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    triangles = [numbers[own.astype(np.int64) + start] for (_, own), start in zip(pieces, starts, strict=False)]
    return vertices[kept], np.concatenate(triangles)
