"""Convert grey values of other types to 8 bits, by one fixed range for the whole volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def eight_bits(voxels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Map a range of intensities to 0 to 255; intensities outside the range become 0 or 255.

    Args:
        voxels: integers or floats of any type, without NaN.
        low: intensity that becomes 0.
        high: intensity that becomes 255; if it is below `low`, the image is inverted.

    Returns:
        The nearest whole number of (voxel - low) / (high - low) times 255, halves to the even one.

    Raises:
        ValueError: the range is empty, or a voxel is not a number.

    >>> eight_bits(np.array([90, 100, 200, 300, 1000], np.uint16), 100, 300)
    array([  0,   0, 128, 255, 255], dtype=uint8)
    """
    if low == high or not np.isfinite([low, high]).all():
        raise ValueError(f"a range of intensities must be two different numbers, got {low:g} and {high:g}")
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize <= 2:
        every = np.arange(np.iinfo(voxels.dtype).min, np.iinfo(voxels.dtype).max + 1)
        table = _scaled(every, low, high)
        return table[voxels.astype(np.int64) - int(every[0])]
    if voxels.dtype.kind == "f" and np.isnan(voxels).any():
        raise ValueError(
            f"voxels of an image must be numbers, got NaN in {int(np.isnan(voxels).sum())} of {voxels.size}; "
            "write numbers there"
        )
    return _scaled(voxels, low, high)


def _scaled(voxels: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    # rounded only once: the product of whole numbers is exact
    shares = (voxels.astype(np.float64) - low) * 255.0 / (high - low)
    return np.rint(np.clip(shares, 0, 255)).astype(np.uint8)
