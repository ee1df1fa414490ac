"""Affinities: (3, z, y, x), channel 0 joins a voxel to its x neighbour one step lower, 1 to y, 2 to z."""

from typing import Any

import numpy as np
import numpy.typing as npt


def as_float(voxels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Integers divided by their type's maximum; floats as they are.

    >>> as_float(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    if voxels.dtype.kind in "ui":
        return (voxels / np.float32(np.iinfo(voxels.dtype).max)).astype(np.float32, copy=False)
    return voxels.astype(np.float32, copy=False)


def quantised(voxels: npt.NDArray[np.floating], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Values in [0, 1] as `dtype`: an integer type holds them times its maximum, rounded to even, saturating.

    >>> quantised(np.array([-0.1, 0.2, 0.5, 1.5]), np.uint8).tolist()
    [0, 51, 128, 255]
    """
    target = np.dtype(dtype)
    if target.kind == "f":
        return voxels.astype(target, copy=False)
    integers: npt.NDArray[Any] = np.rint(np.clip(voxels, 0, 1) * np.iinfo(target).max).astype(target)
    return integers


def check_affinities(affinities: npt.NDArray[Any]) -> None:
    """Raise ValueError unless the array is (3, z, y, x)."""
    if affinities.ndim != 4 or affinities.shape[0] != 3:
        raise ValueError(f"affinities must be (3, z, y, x), got shape {affinities.shape}")
