"""Fewer triangles for a surface: its border stays, and no vertex ends far from the surface that is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.hashing import mixed
from lchunk.operators.surface_distance import ends_of_box, far_vertices

PART = 0.275
"""Part of the largest error that meshoptimizer is asked for: its own measure is a mean over planes, and a surface whose
vertices all lie on a curved one encloses less than that."""
VOXELS = 2.0
"""Largest error, in voxels, where none is given: marching cubes know no surface better than to half a voxel or so."""
ROUNDS = 5
"""How often a surface is simplified before it keeps all its triangles."""
FINER = 4.0
"""By how much less error is asked for in each round, where the one before it went too far."""
RESOLVED = 1e-6
"""Part of a surface's extent below which float32 does not tell distances apart."""


def usual_error(voxel_size: Sequence[float]) -> float:
    """The largest error that suits surfaces of voxels: twice the harmonic mean of their sides, nanometres.

    The harmonic mean counts the short sides of a flat voxel most, as along these a surface is known best.

    >>> usual_error((10.0, 10.0, 10.0)), usual_error((40.0, 16.0, 16.0))
    (20.0, 40.0)
    """
    z, y, x = voxel_size
    return VOXELS * 3 * z * y * x / (z * y + y * x + x * z)


def simplify(
    places: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32], *, factor: int, max_error: float
) -> npt.NDArray[np.uint32]:
    """Collapse edges of a surface to one of their ends (meshoptimizer), within a bound that is checked.

    No vertex is moved, and open edges stay as they are: surfaces that fit together still do. Where a vertex is farther
    from the new surface than the bound, as at the tip of a thin process that collapsed, the triangles around it are
    simplified again by themselves, with a smaller error; and the whole surface where it would become flat, or a closed
    one would turn inside out, or an open edge is lost where several sheets share one.

    Args:
        places: (n, 3) vertices, nanometres.
        triangles: (m, 3) numbers of vertices, counter-clockwise from outside.
        factor: reduce triangles by about this factor, at least 1.
        max_error: largest distance of a vertex from the new surface, nanometres.

    Returns:
        (k, 3) numbers of vertices, k at most m.

    >>> square = np.array([[x, y, 0] for y in range(3) for x in range(3)], np.float32)
    >>> low = np.array([[0, 1, 3], [1, 4, 3], [1, 2, 4], [2, 5, 4]], np.uint32)
    >>> sorted(set(simplify(square, np.concatenate([low, low + 3]), factor=2, max_error=1.0).ravel().tolist()))
    [0, 1, 2, 3, 5, 6, 7, 8]
    """
    low, high = ends_of_box(places)
    bound = max(max_error, RESOLVED * float((high - low).max()))
    border = _sum_of_border(triangles)
    parts = [triangles]
    for _ in range(ROUNDS):
        fewer = np.concatenate(
            [_collapsed(places, part, factor, max_error / FINER**number) for number, part in enumerate(parts)]
        )
        far = far_vertices(places, fewer, bound)
        if not far.any():
            flat = _is_flat(places, fewer) and not _is_flat(places, triangles)
            if not flat and _sum_of_border(fewer) == border:
                return fewer
            far[:] = True
        nears = [~far[part].any(axis=1) for part in parts]
        kept = [part[near] for part, near in zip(parts, nears, strict=True)]
        moved = [part[~near] for part, near in zip(parts, nears, strict=True)]
        parts = [np.concatenate(pair) for pair in zip([*kept, triangles[:0]], [triangles[:0], *moved], strict=True)]
    return triangles


def _collapsed(
    places: npt.NDArray[np.float32], triangles: npt.NDArray[np.uint32], factor: int, max_error: float
) -> npt.NDArray[np.uint32]:
    import meshoptimizer  # noqa: PLC0415 - a stage without meshes does not need it

    if not len(triangles):
        return triangles
    into = np.empty(triangles.size, np.uint32)
    count = meshoptimizer.simplify(
        into,
        np.ascontiguousarray(triangles).reshape(-1),
        np.ascontiguousarray(places),
        target_index_count=3 * max(1, len(triangles) // factor),
        target_error=PART * max_error,
        options=meshoptimizer.SIMPLIFY_LOCK_BORDER | meshoptimizer.SIMPLIFY_ERROR_ABSOLUTE,
    )
    return into[:count].reshape(-1, 3)


@njit
def _sum_of_border(triangles: Any) -> Any:
    """The sum of a hash of each edge, positive in one direction, negative in the other: those of inner edges cancel.

    Surfaces with other open edges have the same sum once in 2^64.
    """
    total = np.uint64(0)
    for row in range(len(triangles)):
        for corner in range(3):
            start, end = np.uint64(triangles[row, corner]), np.uint64(triangles[row, (corner + 1) % 3])
            if start < end:
                total += mixed(start << np.uint64(32) | end)
            elif end < start:
                total -= mixed(end << np.uint64(32) | start)
    return total


@njit
def _is_flat(vertices: Any, triangles: Any) -> Any:
    """Whether a surface encloses no volume if it is closed, or lies in a plane if it is open.

    The areas of the triangles of a closed surface, as vectors, add up to 0. An open surface in a plane is half of a
    thread that runs along the face of a chunk; the other half would end in the same plane.
    """
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
    return volume <= 1e-6 * total if closed else _is_planar(vertices, triangles)


@njit
def _is_planar(vertices: Any, triangles: Any) -> Any:
    """Whether all vertices of triangles are in the plane of the largest one."""
    normal, origin, square = np.zeros(3), np.zeros(3), 0.0
    for row in range(len(triangles)):
        a, b, c = triangles[row, 0], triangles[row, 1], triangles[row, 2]
        own = np.cross(vertices[b].astype(np.float64) - vertices[a], vertices[c].astype(np.float64) - vertices[a])
        if (own * own).sum() > square:
            normal, origin, square = own, vertices[a].astype(np.float64), (own * own).sum()
    low, high = ends_of_box(vertices)
    most = RESOLVED * (high - low).max() * np.sqrt(square)
    for row in range(len(triangles)):
        for corner in range(3):
            if abs(((vertices[triangles[row, corner]] - origin) * normal).sum()) > most:
                return False
    return True
