"""Surfaces of labels, in pieces that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import zmesh

from lchunk.operators.compiled import njit
from lchunk.operators.graph import distinct
from lchunk.operators.simplification import simplify, usual_error
from lchunk.operators.welding import Surface, used


def mesh_labels(
    labels: npt.NDArray[np.uint64],
    *,
    start: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
    wanted: npt.NDArray[np.uint64],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    simplification: int = 100,
    max_error: float | None = None,
) -> dict[int, Surface]:
    """The surface of each wanted label, by marching cubes (zmesh), simplified.

    The surfaces of neighbouring boxes fit, bit by bit, when each box is read with one voxel more on its high sides,
    and, at the volume's own faces, with one voxel of 0 outside. Vertices on the faces of the array are always kept, and
    each vertex depends on its place in the volume alone: half voxels are whole numbers, which are scaled in float64 and
    rounded to float32 once.

    Args:
        labels: (z, y, x), 0 is background. Surfaces stay open where they meet the array's faces.
        start: the array's first voxel, in voxels of the volume, zyx.
        voxel_size: nanometres zyx.
        wanted: labels to mesh; those that are not in the array are left out.
        origin: low corner of the volume's voxel (0, 0, 0), nanometres zyx.
        simplification: reduce triangles by about this factor; 0 keeps all. See `simplify`.
        max_error: largest distance between a vertex of the whole surface and the simplified one, nanometres; None for
            `usual_error`, about two voxels.

    Returns:
        Surfaces by label, ascending: vertices (n, 3), xyz nanometres, and triangles (m, 3), counter-clockwise from
        outside. Labels without a surface in this array are left out.

    >>> surfaces = mesh_labels(np.pad([[[5]]], 1), start=(9, 0, -1), voxel_size=(40, 4, 4), wanted=np.array([5]))
    >>> vertices, triangles = surfaces[5]
    >>> vertices.min(0).tolist(), vertices.max(0).tolist(), len(triangles)
    ([0.0, 4.0, 400.0], [4.0, 8.0, 440.0], 8)
    """
    first, voxel, low = (np.array(side[::-1], np.float64) for side in (start, voxel_size, origin))
    bound = usual_error(voxel_size) if max_error is None else max_error
    mesher = zmesh.Mesher((1.0, 1.0, 1.0))
    unwanted = np.setdiff1d(distinct(labels), wanted)
    if len(unwanted) > (0 in unwanted):
        labels = np.where(np.isin(labels, unwanted), 0, labels)
    mesher.mesh(np.ascontiguousarray(labels).T)
    surfaces = {}
    for label in sorted(mesher.ids()):
        mesh = mesher.get(label, reduction_factor=0, voxel_centered=True)
        mesher.erase(label)
        triangles = mesh.faces.astype(np.uint32, copy=False)
        if not len(triangles):
            continue
        vertices = mesh.vertices
        if simplification:
            places = _placed(vertices, np.zeros(3), voxel, np.zeros(3))  # near 0, where float32 resolves most
            triangles = simplify(places, triangles, factor=simplification, max_error=bound)
            vertices, triangles = used(vertices, triangles)
        vertices = _placed(vertices, first, voxel, low)
        surfaces[int(label)] = (vertices, triangles)
    return surfaces


@njit
def _placed(vertices: Any, first: Any, voxel: Any, low: Any) -> Any:
    """Vertices in nanometres of the volume.

    Args:
        vertices: (n, 3) float32, voxels from the array's first corner: whole ones or halves.
        first: the array's first voxel.
        voxel: nanometres.
        low: corner of the volume's voxel (0, 0, 0) in nanometres.
    """
    placed = np.empty(vertices.shape, np.float32)
    for row in range(len(vertices)):
        for axis in range(3):
            placed[row, axis] = np.float32((vertices[row, axis] + first[axis]) * voxel[axis] + low[axis])
    return placed
