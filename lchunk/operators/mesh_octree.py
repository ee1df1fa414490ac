"""Levels of detail of a surface, as an octree of boxes: a box of a level joins up to eight of the level below.

A surface comes in pieces, one for each box of level 0, and leaves as fragments of all levels. Only the pieces of one
box per level, and those beside it in the box above, are in memory. Vertices are whole numbers of half voxels, as
marching cubes places them, and simplification moves none: so pieces of neighbours are equal at their common face.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lchunk.operators.mesh_cuts import cut_at, on_grid
from lchunk.operators.simplification import simplify
from lchunk.operators.welding import Surface, used, weld

Fragment = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]
"""Vertices (n, 3) as numbers of a grid in the box, xyz, and triangles (m, 3)."""
Boxes = npt.NDArray[np.int64]
"""Positions (n, 3) of boxes, xyz."""

MOST_BITS = 21
"""Bits of a position that its place along the curve takes into account."""


@dataclass(frozen=True)
class Octree:
    """How a surface is divided and simplified.

    Args:
        side: half voxels along the sides of a box of level 0, xyz; even numbers.
        half_voxel: nanometres xyz.
        bits: of a vertex's number along an axis, in its box.
        max_error: nanometres; no vertex of level k - 1 is farther than `max_error` times 2^k from level k.
    """

    side: tuple[int, int, int]
    half_voxel: tuple[float, float, float]
    bits: int
    max_error: float

    def fragments(self, boxes: Boxes, pieces: Iterator[Surface]) -> Iterator[tuple[int, Boxes, Fragment]]:
        """The fragments of all levels, up to the first that is one box.

        Args:
            boxes: positions of the boxes of level 0 that hold a piece, in the order of `along_curve`.
            pieces: the piece of each. Vertices are half voxels from the low corner of box (0, 0, 0), below 2^24.

        Yields:
            The level, the position (3,) of the box at this level, and the fragment. Boxes of a level come in the order
            of `along_curve`. A fragment may be empty if the box is so large that the surface in it has no area.
        """
        top = int(boxes.max()).bit_length()
        yield from self._of_box(top, boxes, pieces)

    def _of_box(
        self, level: int, boxes: Boxes, pieces: Iterator[Surface]
    ) -> Generator[tuple[int, Boxes, Fragment], None, Surface]:
        """The fragments of a box and of all boxes in it. Returns the surface in the box, which is not cut."""
        if level:
            inner = boxes >> (level - 1)
            firsts = np.flatnonzero((inner[1:] != inner[:-1]).any(axis=1)) + 1
            parts = []
            for own in np.split(boxes, firsts):
                parts.append((yield from self._of_box(level - 1, own, pieces)))
            surface = self._coarser(weld(parts), level)
            del parts
        else:
            surface = next(pieces)
        position = boxes[0] >> level
        yield level, position, self._fragment(surface, level, position)
        return surface

    def _coarser(self, surface: Surface, level: int) -> Surface:
        """A surface with fewer triangles, and the same border."""
        vertices, triangles = surface
        places = ((vertices - vertices.min(axis=0)) * np.array(self.half_voxel)).astype(np.float32)
        fewer = simplify(places, triangles, factor=len(triangles), max_error=self.max_error * 2.0**level)
        return used(vertices, fewer)

    def _fragment(self, surface: Surface, level: int, position: Boxes) -> Fragment:
        """The surface in a box, cut at the middle of the box, as Neuroglancer requires above level 0."""
        side = np.array(self.side, np.float64) * 2**level
        vertices = surface[0].astype(np.float64) - side * position
        triangles = surface[1].astype(np.int64)
        if level:
            vertices, triangles = cut_at(vertices, triangles, side / 2)
        return on_grid(vertices, triangles, side, self.bits)


def along_curve(boxes: Boxes) -> npt.NDArray[np.uint64]:
    """Places of boxes along a Z-curve: bits of x, y and z in turn, lowest first.

    Args:
        boxes: (n, 3) positions xyz, each below 2^21.

    >>> along_curve(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [3, 3, 3]])).tolist()
    [1, 2, 4, 8, 63]
    """
    places = np.zeros(len(boxes), np.uint64)
    for bit in range(MOST_BITS):
        for axis in range(3):
            places |= (boxes[:, axis].astype(np.uint64) >> np.uint64(bit) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return places
