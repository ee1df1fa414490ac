"""A coarse mask over fine voxels, by nearest neighbour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple


def coarsened(bbox: Bbox, factor: Triple) -> Bbox:
    """The voxels of a mask that a box touches.

    Args:
        bbox: in fine voxels.
        factor: fine voxels that a mask voxel covers, zyx.

    >>> print(coarsened(Bbox((-1, 0, 3), (4, 8, 9)), (1, 4, 4)))
    -1-4_0-2_0-3
    """
    return Bbox(
        triple(a // f for a, f in zip(bbox.start, factor, strict=True)),
        triple(-(-b // f) for b, f in zip(bbox.stop, factor, strict=True)),
    )


def mask_factor(mask: tuple[float, ...], voxels: tuple[float, ...]) -> Triple:
    """Voxels that a mask voxel covers, from both voxel sizes (nm, zyx).

    Raises:
        ValueError: they are not a whole number on every axis.
    """
    ratios = [coarse / fine for coarse, fine in zip(mask, voxels, strict=True)]
    if any(abs(ratio - round(ratio)) > 1e-3 * ratio or round(ratio) < 1 for ratio in ratios):
        raise ValueError(
            f"a mask's voxel size must be a whole multiple of the image's on every axis, "
            f"got {tuple(mask)} nm over {tuple(voxels)} nm (zyx)"
        )
    return triple(round(ratio) for ratio in ratios)


def erase(voxels: npt.NDArray[Any], bbox: Bbox, kept: npt.NDArray[np.bool_], factor: Triple) -> None:
    """Set voxels to 0 where a mask does not keep them.

    Args:
        voxels: (z, y, x) or (channel, z, y, x) of the box; changed in place.
        bbox: in fine voxels.
        kept: (z, y, x) of `coarsened(bbox, factor)`.
        factor: fine voxels that a mask voxel covers, zyx.
    """
    if kept.all():
        return
    origin = coarsened(bbox, factor).start
    z, y, x = (np.arange(a, b) // f - o for a, b, f, o in zip(bbox.start, bbox.stop, factor, origin, strict=True))
    for section, row in enumerate(z):
        voxels[..., section, :, :] *= kept[row][np.ix_(y, x)]
