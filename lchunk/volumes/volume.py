"""The interface of every volume, wherever its voxels are stored."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox

VoxelSize = tuple[float, float, float]
"""Nanometres, zyx."""


class Volume(Protocol):
    """Voxels in global coordinates. `channels` is 0 for (z, y, x), else the length of the first axis."""

    @property
    def url(self) -> str:
        """The URL as the user wrote it."""

    @property
    def bounds(self) -> Bbox:
        """The box of all voxels."""

    @property
    def voxel_size(self) -> VoxelSize | None:
        """Nanometres zyx; None where neither the file nor its URL gives it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""

    @property
    def channels(self) -> int:
        """0, or the number of channels."""

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        """Voxels of a box, (z, y, x) or (channel, z, y, x).

        Args:
            bbox: may reach outside the bounds, where voxels are 0.
            fill_missing: whether absent chunks read as 0.

        Raises:
            FileNotFoundError: a chunk inside the bounds is absent, and `fill_missing` is off.
        """

    def fingerprint(self) -> str:
        """A short text that changes with the files that hold the voxels, and shows what changed.

        It costs a few requests for sizes and times, so it can be computed every few seconds.
        """


def padded(inside: npt.NDArray[Any], inside_bbox: Bbox, bbox: Bbox) -> npt.NDArray[Any]:
    """The voxels of `inside_bbox`, with 0 around them to fill `bbox`."""
    if inside_bbox == bbox:
        return inside
    voxels = np.zeros((*inside.shape[:-3], *bbox.shape), inside.dtype)
    if inside_bbox.size:
        voxels[(..., *inside_bbox.slices(bbox.start))] = inside
    return voxels
