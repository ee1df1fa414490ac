"""Surfaces of labels, in pieces that fit together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import zmesh

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3), xyz nanometres, and triangles (m, 3), counter-clockwise from outside."""


def mesh_labels(
    labels: npt.NDArray[np.uint64],
    *,
    corner: tuple[float, float, float],
    voxel_size: tuple[float, float, float],
    wanted: npt.NDArray[np.uint64],
    simplification: int = 100,
    max_error: float = 40.0,
) -> dict[int, Surface]:
    """The surface of each wanted label, by marching cubes (zmesh), simplified.

    Pieces of neighbouring boxes fit when each box is read with one voxel more on its high sides, and, at the
    volume's own faces, one voxel of 0 outside: the outermost vertices are never moved.

    Args:
        labels: (z, y, x), 0 is background. Surfaces stay open where they meet the array's faces.
        corner: low corner of the array's first voxel, nanometres zyx.
        voxel_size: nanometres zyx.
        wanted: labels to mesh; those that are not in the array are left out.
        simplification: reduce triangles by about this factor; 0 keeps all.
        max_error: most that a vertex may move, nanometres.

    Returns:
        Surfaces by label, ascending. Labels without a surface in this array are left out.
    """
    mesher = zmesh.Mesher(voxel_size[::-1])
    mesher.mesh(np.ascontiguousarray(np.where(np.isin(labels, wanted), labels, 0)).T)
    surfaces = {}
    for label in sorted(mesher.ids()):
        mesh = mesher.get(label, reduction_factor=simplification, max_error=max_error, voxel_centered=True)
        mesher.erase(label)
        if len(mesh.faces):
            vertices = (mesh.vertices + np.array(corner[::-1])).astype(np.float32)
            surfaces[int(label)] = (vertices, mesh.faces.astype(np.uint32))
    return surfaces
