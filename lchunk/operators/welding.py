"""The pieces of a surface as one surface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.hashing import firsts

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3) and triangles (m, 3)."""


def used(
    vertices: npt.NDArray[Any], triangles: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint32]]:
    """A surface without the vertices that no triangle has; the others keep their order.

    >>> vertices, triangles = used(np.array([[0, 0], [1, 1], [2, 2], [3, 3]]), np.array([[3, 0, 1]]))
    >>> vertices[:, 0].tolist(), triangles.tolist()
    ([0, 1, 3], [[2, 0, 1]])
    """
    kept = np.zeros(len(vertices), np.bool_)
    kept[triangles] = True
    return vertices[kept], (np.cumsum(kept, dtype=np.uint32) - np.uint32(1))[triangles]


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
    numbers, kept = numbered(np.ascontiguousarray(vertices).view(np.uint32))
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in pieces)])
    triangles = [numbers[own.astype(np.int64) + start] for (_, own), start in zip(pieces, starts, strict=False)]
    return vertices[kept], np.concatenate(triangles)


def numbered(rows: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
    """Rows (n, k) numbered in the order in which each first occurs: the numbers (n,), and which rows are the first.

    >>> [part.tolist() for part in numbered(np.array([[7], [3], [7]], np.uint32))]
    [[0, 1, 0], [True, True, False]]
    """
    first = firsts(rows)
    kept = first == np.arange(len(first))
    return (np.cumsum(kept, dtype=np.uint32) - np.uint32(1))[first], kept
