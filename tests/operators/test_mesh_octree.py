"""An octree of boxes: little of it is in memory, and a surface in one box has one level."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lchunk.operators.mesh_octree import Octree, along_curve
from lchunk.operators.welding import Surface

OCTREE = Octree((8, 8, 8), (1.0, 1.0, 1.0), 16, 0.5)


def cube(box: np.ndarray) -> Surface:
    """A closed surface inside a box."""
    x, y, z = np.meshgrid([1, 5], [1, 5], [1, 5], indexing="ij")
    vertices = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1) + 8 * box
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [corners for a, b, c, d in quads for corners in ((a, b, c), (a, c, d))]
    return vertices.astype(np.float32), np.array(triangles, np.uint32)


def test_boxes_above_are_ready_before_those_beside_them_are_read() -> None:
    boxes = np.array([[x, y, z] for z in range(8) for y in range(8) for x in range(8)])
    boxes = boxes[np.argsort(along_curve(boxes))]
    taken = 0

    def pieces() -> Iterator[Surface]:
        nonlocal taken
        for box in boxes:
            taken += 1
            yield cube(box)

    done = [0, 0, 0, 0]
    for level, position, (vertices, triangles) in OCTREE.fragments(boxes, pieces()):
        done[level] += 1
        assert taken == done[level] * 8**level  # no box is read before it is needed
        assert position.tolist() == boxes[8**level * (done[level] - 1)].__rshift__(level).tolist()
        assert len(triangles) >= 12 * 8**level
        assert vertices.max() < 2**16
    assert done == [512, 64, 8, 1]


def test_a_surface_in_one_box_has_one_level() -> None:
    ((level, position, _),) = OCTREE.fragments(np.zeros((1, 3), np.int64), iter([cube(np.zeros(3, int))]))
    assert (level, position.tolist()) == (0, [0, 0, 0])
