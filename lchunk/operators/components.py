"""Connected components, box by box: those inside a box, and which components of two boxes are connected."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.labels import firsts_and_sizes, ids_of

ASIDE = {6: 0, 18: 1, 26: 2}
"""For each connectivity, the most steps that a neighbour in the next plane may be off to the side."""
CONNECTIVITIES = tuple(ASIDE)

Ids = npt.NDArray[np.uint64]


def connected_components(foreground: npt.NDArray[Any], *, connectivity: int = 26) -> npt.NDArray[np.uint32]:
    """Number each connected region.

    Args:
        foreground: (z, y, x) truth values, or labels; only voxels of equal label are connected; 0 is background.
        connectivity: 6 joins voxels that share a face, 18 also an edge, 26 also a corner.

    Returns:
        (z, y, x) numbers from 1, 0 for background.

    Raises:
        ValueError: `foreground` is not (z, y, x), or `connectivity` is not 6, 18 or 26.

    >>> connected_components(np.array([[[1, 0, 1]]])).tolist()
    [[[1, 0, 2]]]
    """
    return _numbered(foreground, connectivity)[0]


def _numbered(foreground: npt.NDArray[Any], connectivity: int) -> tuple[npt.NDArray[np.uint32], int]:
    """The components' numbers, and the last of them."""
    if foreground.ndim != 3:
        raise ValueError(f"foreground must be (z, y, x), got shape {foreground.shape}; pick one channel first")
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f"connectivity must be 6, 18 or 26, got {connectivity}")
    # cc3d 4.1 mislabels views of some shapes
    neighbours: Any = connectivity
    numbers, last = cc3d.connected_components(np.ascontiguousarray(foreground), connectivity=neighbours, return_N=True)
    return np.asarray(numbers, np.uint32), last


@dataclass(frozen=True)
class LocalComponents:
    """The components of a box, connected by voxels of this box alone.

    Args:
        numbers: (z, y, x), 0 for background.
        ids: for each number, 1 + the smallest linear index, in the volume, of its voxels; entry 0 is 0.
        sizes: for each number, its count of voxels.
        values: for each number, the value of its voxels.
    """

    numbers: npt.NDArray[np.uint32]
    ids: Ids
    sizes: npt.NDArray[np.int64]
    values: npt.NDArray[Any]


def local_components(
    foreground: npt.NDArray[Any], start: Triple, volume_shape: Triple, *, connectivity: int = 26
) -> LocalComponents:
    """The components of a box of a volume.

    Args:
        foreground: (z, y, x) of the box, truth values or labels.
        start: its first voxel, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx.
        connectivity: 6, 18 or 26.
    """
    numbers, last = _numbered(foreground, connectivity)
    firsts, sizes = firsts_and_sizes(numbers.ravel(), last + 1)
    ids = ids_of(firsts, triple(numbers.shape), start, volume_shape)
    sizes[0] = 0
    values = foreground.ravel()[firsts]
    values[0] = 0
    return LocalComponents(numbers, ids, sizes, values)


@dataclass(frozen=True)
class Plane:
    """A plane of voxels.

    Args:
        ids: (a, b), the component of each voxel; 0 for background.
        values: (a, b), the value of each voxel.
    """

    ids: Ids
    values: npt.NDArray[Any]


def touching(plane: Plane, before: Plane, *, connectivity: int = 26) -> Ids:
    """The components that are connected across the boundary between two planes.

    Args:
        plane: (a, b).
        before: (a + 2, b + 2), the plane before it, with a border of one voxel.
        connectivity: 6, 18 or 26.

    Returns:
        (n, 2) ids, of the plane and of the one before; a pair may occur more than once.
    """
    height, width = plane.ids.shape
    pairs = []
    for down, right in product((-1, 0, 1), repeat=2):
        if abs(down) + abs(right) > ASIDE[connectivity]:
            continue
        beside = slice(1 + down, 1 + down + height), slice(1 + right, 1 + right + width)
        ids = before.ids[beside]
        same = (plane.ids != 0) & (ids != 0) & (plane.values == before.values[beside])
        both = np.stack([plane.ids[same], ids[same]], axis=1)
        pairs.append(both[np.append(True, (both[1:] != both[:-1]).any(axis=1))[: len(both)]])
    return np.concatenate(pairs)
