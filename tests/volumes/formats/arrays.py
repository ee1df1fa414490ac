"""Small volumes that tests write and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import OpenedVolume, open_volume

VOXELS: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(1, 255, (6, 40, 37)).astype(np.uint8)
PARTS = (Bbox((0, 0, 0), (6, 40, 37)), Bbox((1, 2, 3), (5, 9, 12)), Bbox((2, 33, 30), (3, 40, 37)))


def same(url: str, voxels: npt.NDArray[Any], **expected: Any) -> OpenedVolume:
    """Open a volume and compare parts of it with an array that another program read or made."""
    volume = open_volume(url)
    assert volume.bounds.shape == voxels.shape[-3:]
    assert volume.dtype == voxels.dtype.newbyteorder("=")
    assert volume.channels == (voxels.shape[0] if voxels.ndim == 4 else 0)
    start = volume.bounds.start
    for part in PARTS:
        inside = part.clipped(Bbox((0, 0, 0), volume.bounds.shape))
        moved = Bbox(
            tuple(a + b for a, b in zip(inside.start, start, strict=True)),
            tuple(a + b for a, b in zip(inside.stop, start, strict=True)),
        )
        found = volume.read(moved)
        assert found.dtype == volume.dtype
        assert np.array_equal(found, voxels[(..., *inside.slices())])
    for name, value in expected.items():
        found = getattr(volume, name)
        assert np.allclose(found, value) if name == "voxel_size" and value is not None else found == value, (
            name,
            found,
        )
    return volume


def read_whole(url: str) -> npt.NDArray[Any]:
    """Open, check and read a volume, as a run does."""
    volume = open_volume(url)
    volume.inspect()
    return volume.read(volume.bounds)
