"""Connected components, box by box: what hangs together inside a box, and which parts of two boxes are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.labels import canonical_ids, voxels_of

CONNECTIVITIES = (6, 18, 26)

Ids = npt.NDArray[np.uint64]


def connected_components(foreground: npt.NDArray[Any], *, connectivity: int = 26) -> npt.NDArray[np.uint32]:
    """Number each connected region.

    Args:
        foreground: (z, y, x) truth values, or labels: voxels hang together where they have one label; 0 is background.
        connectivity: 6 joins voxels that share a face, 18 also an edge, 26 also a corner.

    Returns:
        (z, y, x) numbers from 1, 0 for background.

    Raises:
        ValueError: `foreground` is not (z, y, x), or `connectivity` is not 6, 18 or 26.

    >>> connected_components(np.array([[[1, 0, 1]]])).tolist()
    [[[1, 0, 2]]]
    """
    if foreground.ndim != 3:
        raise ValueError(f"foreground must be (z, y, x), got shape {foreground.shape}; pick one channel first")
    if connectivity not in CONNECTIVITIES:
        raise ValueError(f"connectivity must be 6, 18 or 26, got {connectivity}")
    # cc3d 4.1 mislabels views of some shapes
    neighbours: Any = connectivity
    numbers = cc3d.connected_components(np.ascontiguousarray(foreground), connectivity=neighbours)
    return np.asarray(numbers, np.uint32)


@dataclass(frozen=True)
class LocalComponents:
    """The components of a box, as far as the box and one voxel around it tell.

    Args:
        numbers: (z, y, x) of the box, 0 for background.
        ids: by number: 1 + the smallest linear index, in the volume, of its voxels in the box; entry 0 is 0.
        sizes: by number: its voxels in the box.
        around: (z, y, x) of the box and one voxel around it: the number of what lies there.
    """

    numbers: npt.NDArray[np.uint32]
    ids: Ids
    sizes: npt.NDArray[np.int64]
    around: npt.NDArray[np.uint32]


def local_components(
    foreground: npt.NDArray[Any], bbox: Bbox, bounds: Bbox, *, connectivity: int = 26
) -> LocalComponents:
    """The components of a box of a volume.

    Args:
        foreground: (z, y, x) of the box and one voxel around it, 0 outside the volume.
        bbox: the box.
        bounds: the volume.
        connectivity: 6, 18 or 26.
    """
    around = connected_components(foreground, connectivity=connectivity)
    inner = np.ascontiguousarray(around[1:-1, 1:-1, 1:-1])
    start = triple(a - o for a, o in zip(bbox.start, bounds.start, strict=True))
    found = canonical_ids(inner, start, bounds.shape)
    # what lies only around the box is not the box's: its number names nothing
    ids = np.zeros(int(around.max(initial=0)) + 1, np.uint64)
    ids[: len(found)] = found
    sizes = voxels_of(inner, len(ids))
    ids[sizes == 0] = 0
    return LocalComponents(inner, ids, sizes, around)
