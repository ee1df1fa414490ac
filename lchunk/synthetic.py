"""Volumes that are computed when they are read, to try programs without data.

Any part of such a volume is computed alone, so that memory holds one part, whatever the size of the volume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.volumes.volume import VoxelSize, padded

KINDS = {
    "sin": "oblique bright bands",
    "random": "another random value in every voxel, and 0 in the box in the middle",
    "zeros": "nothing but 0",
    "cells": "light cells with dark membranes, and the label of the cell of every voxel",
}
IMAGE_TYPES = ("uint8", "uint16", "float32")
LABEL_TYPES = ("uint32", "uint64")
"""Types whose voxels are labels of objects."""
TYPES = (*IMAGE_TYPES, *LABEL_TYPES)
DIAMETER = 30
"""Side of a cube of the volume of a cell, in voxels; of voxels of another shape, in sides of a cube of their volume."""


@dataclass(frozen=True)
class Synthetic:
    """A volume of one kind; a function of a seed and of the global coordinates of its voxels.

    Args:
        kind: a key of `KINDS`.
        bounds: the box of all voxels.
        voxel_size: nanometres zyx.
        dtype: one of `TYPES`: intensities fill the range of whole numbers, and are 0 to 1 in float32.
        seed: 0 to 2⁶⁴ - 1.
        labels: whether voxels are labels of objects.
    """

    kind: str
    bounds: Bbox
    voxel_size: VoxelSize
    dtype: np.dtype[Any]
    seed: int = 0
    labels: bool = False

    channels = 0
    factor = (1, 1, 1)
    chunk_shape = (64, 256, 256)
    inner_chunk = (64, 64, 64)

    @property
    def name(self) -> str:
        """The name that a layer of such voxels usually has."""
        return "segmentation" if self.labels else "image"

    @property
    def url(self) -> str:
        """Its name in messages."""
        return f"{self.kind} {self.name}"

    @property
    def first_voxel(self) -> Triple:
        """The first voxel."""
        return self.bounds.start

    @property
    def corner(self) -> VoxelSize:
        """Position of the low corner of the first voxel, nanometres zyx."""
        z, y, x = (start * size for start, size in zip(self.bounds.start, self.voxel_size, strict=True))
        return z, y, x

    @property
    def largest_label(self) -> int:
        """No label of cells is larger."""
        from lchunk.operators.cells import largest_label  # noqa: PLC0415 - imports numba

        return largest_label(self.bounds, diameter=self._diameter, voxel_size=self.voxel_size)

    def fingerprint(self) -> str:
        """Everything that its voxels depend on."""
        return f"{self.kind} {self.bounds} {self.voxel_size} {self.dtype} {self.seed}"

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        """Voxels of a box; see `Volume.read`."""
        inside = bbox.clipped(self.bounds)
        return padded(self._voxels(inside), inside, bbox)

    @property
    def _diameter(self) -> float:
        """The diameter of a cell in nanometres."""
        return DIAMETER * math.prod(self.voxel_size) ** (1 / 3)

    def _voxels(self, bbox: Bbox) -> npt.NDArray[Any]:
        from lchunk.operators.patterns import speckles, stained_cells, waves  # noqa: PLC0415 - imports numba

        if self.kind == "zeros":
            return np.zeros(bbox.shape, self.dtype)
        if self.kind == "random":
            return speckles(bbox, self.bounds, dtype=self.dtype, seed=self.seed)
        if self.kind == "sin":
            intensities, labels = waves(bbox, self.bounds)
        else:
            intensities, labels = stained_cells(
                bbox, self.bounds, diameter=self._diameter, voxel_size=self.voxel_size, seed=self.seed
            )
        return labels.astype(self.dtype) if self.labels else self._scaled(intensities)

    def _scaled(self, intensities: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        """Intensities in [0, 1] in the type of the volume."""
        most = 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max
        return (intensities * most).astype(self.dtype)
