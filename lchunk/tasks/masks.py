"""A mask of a user, coarser than the voxels or not, read where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.masking import coarsened, erase, mask_factor
from lchunk.volumes.files import open_volume
from lchunk.volumes.volume import Volume


@dataclass(frozen=True)
class Mask:
    """Keeps voxels where it is not 0; inverse, where it is 0. It is 0 outside its bounds.

    Args:
        url: (z, y, x) whole numbers or truth values, its voxel size a whole multiple of that of the voxels.
        inverse: erases where it is not 0.
        voxel_size: of the voxels that it is laid over, nm zyx.
    """

    url: str
    inverse: bool
    voxel_size: tuple[float, ...]

    @cached_property
    def volume(self) -> Volume:
        return open_volume(self.url)

    @cached_property
    def factor(self) -> Triple:
        """Voxels that a mask voxel covers, zyx."""
        if self.volume.voxel_size is None:
            raise ValueError(f"a mask must tell its voxel size, got {self.url}, which does not; use HDF5 or zarr")
        return mask_factor(self.volume.voxel_size, self.voxel_size)

    def check(self, bounds: Bbox) -> None:
        """Raise ValueError where it cannot be laid over the volume, or does not meet it."""
        if self.volume.channels or self.volume.dtype.kind not in "uib":
            raise ValueError(f"a mask must be (z, y, x) whole numbers, got {self.volume.dtype} in {self.url}")
        if not self.volume.bounds.clipped(coarsened(bounds, self.factor)).size:
            raise ValueError(
                f"a mask must overlap the volume, {coarsened(bounds, self.factor)} in its voxels, "
                f"got {self.volume.bounds} in {self.url}"
            )

    def kept(self, bbox: Bbox) -> npt.NDArray[np.bool_]:
        """Which mask voxels of a box keep theirs."""
        marked = np.asarray(self.volume.read(coarsened(bbox, self.factor)) != 0)
        return ~marked if self.inverse else marked

    def erases(self, bbox: Bbox) -> bool:
        """Whether nothing of a box is kept."""
        return not self.kept(bbox).any()

    def applied(self, voxels: npt.NDArray[Any], bbox: Bbox) -> npt.NDArray[Any]:
        """Voxels of a box, 0 where nothing is kept; the array is changed where it can be."""
        masked = voxels if voxels.flags.writeable else voxels.copy()
        erase(masked, bbox, self.kept(bbox), self.factor)
        return masked
