"""Affinities: (3, z, y, x), channel 0 joins a voxel to its x neighbour one step lower, 1 to y, 2 to z."""

from typing import Any

import numpy as np
import numpy.typing as npt


def as_float(voxels: npt.NDArray[Any], out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
    """Integers divided by their type's maximum; floats as they are.

    Args:
        voxels: of any shape.
        out: an array to fill and return; default: a new one.

    >>> as_float(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    if voxels.dtype.kind in "ui":
        most = np.float32(np.iinfo(voxels.dtype).max)
        return np.asarray(np.divide(voxels, most, out=out, dtype=np.float32, casting="same_kind"))
    if out is None:
        return voxels.astype(np.float32, copy=False)
    np.copyto(out, voxels, casting="same_kind")
    return out


def check_affinities(affinities: npt.NDArray[Any]) -> None:
    """Raise ValueError unless the array is (3, z, y, x)."""
    if affinities.ndim != 4 or affinities.shape[0] != 3:
        raise ValueError(f"affinities must be (3, z, y, x), got shape {affinities.shape}")
