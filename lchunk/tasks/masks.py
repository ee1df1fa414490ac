"""A user's mask, which may be coarser than the voxels, and is read where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.masking import coarsened, erase, mask_factor
from lchunk.tasks.dataset import Geometry
from lchunk.tasks.external_values import Kind
from lchunk.tasks.externals import CheckedVolume, Expected, checked_external
from lchunk.volumes.formats import open_volume


@dataclass(frozen=True)
class Mask:
    """Keeps voxels where the mask is not 0, or if inverse where it is 0. The mask is 0 outside its bounds.

    Args:
        url: (z, y, x) whole numbers or truth values; its voxel size is a whole multiple of that of the voxels.
        inverse: whether the mask erases where it is not 0.
        place: geometry of the voxels to which it is applied.
    """

    url: str
    inverse: bool
    place: Geometry

    @cached_property
    def volume(self) -> CheckedVolume:
        """The mask, opened once."""
        place = self.place
        expected = Expected(
            "a mask", Kind.MASK, place.bounds, place.image, place.voxel_size, partial=True, factor=self.factor
        )
        return checked_external(expected, self.url)

    @cached_property
    def factor(self) -> Triple:
        """Voxels that a mask voxel covers, zyx."""
        size = open_volume(self.url, "a mask").voxel_size
        if size is None:
            raise ValueError(
                f"a mask must have a voxel size, got none in {self.url}; write it after its URL: "
                f"#voxel_size={','.join(f'{nm:g}' for nm in self.place.voxel_size)} in nanometres z,y,x"
            )
        return mask_factor(size, self.place.voxel_size)

    def check(self) -> None:
        """Raise ValueError if the mask cannot be applied to the volume, does not overlap it, or cannot be read."""
        self.volume.sample()

    def fingerprint(self) -> str:
        """A text that changes with the mask's files."""
        return self.volume.fingerprint()

    def kept(self, bbox: Bbox) -> npt.NDArray[np.bool_]:
        """Whether each mask voxel of a box keeps the voxels that it covers."""
        marked = self.volume.read(coarsened(bbox, self.factor))
        return ~marked if self.inverse else marked

    def erases(self, bbox: Bbox) -> bool:
        """Whether nothing of a box is kept."""
        return not self.kept(bbox).any()

    def applied(self, voxels: npt.NDArray[Any], bbox: Bbox) -> npt.NDArray[Any]:
        """Voxels of a box, 0 where nothing is kept; the array itself is changed if it is writeable."""
        masked = voxels if voxels.flags.writeable else voxels.copy()
        erase(masked, bbox, self.kept(bbox), self.factor)
        return masked
