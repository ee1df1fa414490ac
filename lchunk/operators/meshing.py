"""Surfaces of labels, in pieces that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import zmesh

from lchunk.operators.compiled import njit

Surface = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint32]]
"""Vertices (n, 3), xyz nanometres, and triangles (m, 3), counter-clockwise from outside."""

SIGNIFICANT_BITS = 24
"""Bits of a float32's significand."""


def mesh_labels(
    labels: npt.NDArray[np.uint64],
    *,
    start: tuple[int, int, int],
    voxel_size: tuple[float, float, float],
    wanted: npt.NDArray[np.uint64],
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    simplification: int = 100,
    max_error: float = 40.0,
) -> dict[int, Surface]:
    """The surface of each wanted label, by marching cubes (zmesh), simplified.

    The surfaces of neighbouring boxes fit, bit by bit, when each box is read with one voxel more on its high sides,
    and, at the volume's own faces, with one voxel of 0 outside. Vertices on the faces of the array are never moved,
    and a vertex that is not moved depends on its place in the volume alone: half voxels are whole numbers, which are
    scaled in float64 and rounded to float32 once.

    Args:
        labels: (z, y, x), 0 is background. Surfaces stay open where they meet the array's faces.
        start: the array's first voxel, in voxels of the volume, zyx.
        voxel_size: nanometres zyx.
        wanted: labels to mesh; those that are not in the array are left out.
        origin: low corner of the volume's voxel (0, 0, 0), nanometres zyx.
        simplification: reduce triangles by about this factor; 0 keeps all. A closed surface that would become flat,
            or turn inside out, keeps all its triangles.
        max_error: largest distance that a vertex may move, nanometres.

    Returns:
        Surfaces by label, ascending. Labels without a surface in this array are left out.

    >>> surfaces = mesh_labels(np.pad([[[5]]], 1), start=(9, 0, -1), voxel_size=(40, 4, 4), wanted=np.array([5]))
    >>> vertices, triangles = surfaces[5]
    >>> vertices.min(0).tolist(), vertices.max(0).tolist(), len(triangles)
    ([0.0, 4.0, 400.0], [4.0, 8.0, 440.0], 8)
    """
    first, half, low = (np.array(side[::-1], np.float64) for side in (start, voxel_size, origin))
    first, half = first * 2, half / 2
    rounded = _with_few_bits(voxel_size, max(labels.shape))
    step = np.array(rounded[::-1]) / 2
    mesher = zmesh.Mesher(rounded[::-1])

    def surfaces_of(some: npt.NDArray[Any], factor: int) -> dict[int, Surface]:
        mesher.mesh(np.ascontiguousarray(np.where(np.isin(labels, some), labels, 0)).T)
        surfaces = {}
        for label in sorted(mesher.ids()):
            mesh = mesher.get(label, reduction_factor=factor, max_error=max_error, voxel_centered=True)
            mesher.erase(label)
            if len(mesh.faces):
                vertices = _placed(mesh.vertices, step, first, half, low)
                surfaces[int(label)] = (vertices, mesh.faces.astype(np.uint32, copy=False))
        return surfaces

    surfaces = surfaces_of(wanted, simplification)
    if simplification:
        flat = [label for label, surface in surfaces.items() if _is_flat(*surface)]
        if flat:
            surfaces |= surfaces_of(np.array(flat, np.uint64), 0)
    return surfaces


def _with_few_bits(voxel_size: tuple[float, float, float], side: int) -> tuple[float, float, float]:
    """A voxel size whose multiples float32 holds exactly, so near to the given one that simplification does not differ.

    Args:
        voxel_size: nanometres.
        side: voxels of the array's longest side; the multiples go up to the half voxels in it.

    >>> _with_few_bits((40.0, 4.0, 33.33), 512)
    (40.0, 4.0, 33.328125)
    """
    bits = SIGNIFICANT_BITS - (2 * side + 2).bit_length()
    mantissas, exponents = np.frexp(voxel_size)
    z, y, x = np.ldexp(np.rint(np.ldexp(mantissas, bits)), exponents - bits).tolist()
    return z, y, x


@njit
def _placed(vertices: Any, step: Any, first: Any, half: Any, low: Any) -> Any:
    """Vertices in nanometres of the volume.

    Args:
        vertices: (n, 3) float32, multiples of `step` where they were not moved.
        step: half a voxel, in the mesher's voxel size.
        first: the array's first voxel, in half voxels.
        half: half a voxel in nanometres.
        low: corner of the volume's voxel (0, 0, 0) in nanometres.
    """
    placed = np.empty(vertices.shape, np.float32)
    for row in range(len(vertices)):
        for axis in range(3):
            # the quotient is a whole number, exactly, where the vertex was not moved
            placed[row, axis] = np.float32((vertices[row, axis] / step[axis] + first[axis]) * half[axis] + low[axis])
    return placed


@njit
def _is_flat(vertices: Any, triangles: Any) -> Any:
    """Whether a surface is closed (the areas of its triangles, as vectors, add up to 0) and encloses no volume."""
    x0, y0, z0 = np.float64(vertices[0, 0]), np.float64(vertices[0, 1]), np.float64(vertices[0, 2])
    volume = area_x = area_y = area_z = total = 0.0
    for row in range(len(triangles)):
        a, b, c = triangles[row, 0], triangles[row, 1], triangles[row, 2]
        ax, ay, az = vertices[a, 0] - x0, vertices[a, 1] - y0, vertices[a, 2] - z0
        bx, by, bz = vertices[b, 0] - x0 - ax, vertices[b, 1] - y0 - ay, vertices[b, 2] - z0 - az
        cx, cy, cz = vertices[c, 0] - x0 - ax, vertices[c, 1] - y0 - ay, vertices[c, 2] - z0 - az
        nx, ny, nz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        volume += ax * nx + ay * ny + az * nz
        area_x, area_y, area_z = area_x + nx, area_y + ny, area_z + nz
        total += abs(nx) + abs(ny) + abs(nz)
    closed = abs(area_x) + abs(area_y) + abs(area_z) <= 1e-9 * total
    return closed and volume <= 1e-6 * total
