"""Operators from grey values to grey values. Each voxel depends on its surroundings only, never on where a chunk ends.

Integers are rounded to even and saturate. Fractions of an integer type are parts of its maximum: 0.5 of uint8 is 127.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.affinities import as_float

TRUNCATE = 4.0
"""Standard deviations at which a Gaussian ends."""
FOREGROUND = 255

Voxels = npt.NDArray[Any]


def threshold(voxels: Voxels, above: float) -> npt.NDArray[np.uint8]:
    """Mark the voxels above a threshold.

    Args:
        voxels: of any shape; integers count as fractions of their type's maximum.
        above: a voxel is foreground where its value is above this.

    Returns:
        uint8 of the same shape, 255 for foreground and 0 for background: a mask, and a probability too.

    >>> threshold(np.array([[[0, 128, 255]]], np.uint8), 0.5).tolist()
    [[[0, 255, 255]]]
    """
    if voxels.dtype.kind == "f":
        return np.where(voxels > above, np.uint8(FOREGROUND), np.uint8(0))
    return np.where(as_float(voxels) > np.float32(above), np.uint8(FOREGROUND), np.uint8(0))


def gaussian(voxels: Voxels, sigma: Sequence[float]) -> Voxels:
    """Smooth with a Gaussian; the volume's faces are mirrors.

    Args:
        voxels: (z, y, x) or (channel, z, y, x).
        sigma: standard deviations, voxels zyx; 0 leaves an axis as it is.

    Returns:
        The same shape and type.

    >>> gaussian(np.array([[[0, 0, 90, 0, 0]]], np.uint8), (0, 0, 1)).tolist()
    [[[5, 22, 36, 22, 5]]]
    """
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415 - it takes a third of a second, in every process

    smooth = gaussian_filter(
        voxels, (*[0.0] * (voxels.ndim - 3), *sigma), output=np.float64, mode="reflect", truncate=TRUNCATE
    )
    return _as_type(smooth, voxels.dtype)


def gaussian_halo(sigma: Sequence[float]) -> Triple:
    """Voxels around a box that a Gaussian needs, zyx.

    >>> gaussian_halo((0, 1, 2.5))
    (0, 4, 10)
    """
    return triple(int(TRUNCATE * one + 0.5) for one in sigma)


def median(voxels: Voxels, size: Triple) -> Voxels:
    """Replace each voxel by the median of a box around it; the volume's faces are mirrors.

    Args:
        voxels: (z, y, x) or (channel, z, y, x).
        size: sides of the box, odd numbers of voxels zyx.

    Raises:
        ValueError: a side is even, or not positive.

    >>> median(np.array([[[7, 0, 8, 9, 200]]], np.uint8), (1, 1, 3)).tolist()
    [[[7, 7, 8, 9, 200]]]
    """
    if any(side < 1 or side % 2 == 0 for side in size):
        raise ValueError(f"size must be three odd numbers z,y,x, got {','.join(map(str, size))}; take 1 for no change")
    from scipy.ndimage import median_filter  # noqa: PLC0415 - see `gaussian`

    return np.asarray(median_filter(voxels, (*[1] * (voxels.ndim - 3), *size), mode="reflect"))


def invert(voxels: Voxels) -> Voxels:
    """The largest value of an integer type minus each voxel; 1 minus each voxel of floats.

    >>> invert(np.array([0, 100, 255], np.uint8)).tolist(), invert(np.array([0.25], np.float32)).tolist()
    ([255, 155, 0], [0.75])
    """
    most = 1 if voxels.dtype.kind == "f" else np.iinfo(voxels.dtype).max
    return np.asarray(voxels.dtype.type(most) - voxels)


def multiply(voxels: Voxels, factor: float, by: Voxels | None = None) -> Voxels:
    """Multiply by a number, and by the voxels of another array.

    Args:
        voxels: (z, y, x) or (channel, z, y, x).
        factor: the number.
        by: of the same shape, or (z, y, x) for all channels; integers count as fractions of their type's maximum.

    Returns:
        The same shape and type as `voxels`.

    >>> multiply(np.array([[[10, 200]]], np.uint8), 2.0).tolist()
    [[[20, 255]]]
    >>> multiply(np.array([[[10, 200]]], np.uint8), 1.0, np.array([[[255, 0]]], np.uint8)).tolist()
    [[[10, 0]]]
    """
    product = np.multiply(voxels, factor, dtype=np.float64)
    if by is not None:
        product *= as_float(by)
    return _as_type(product, voxels.dtype)


def normalize(voxels: Voxels) -> npt.NDArray[np.float32]:
    """Map the range of the type, or [0, 1] of floats, to [-1, 1].

    >>> normalize(np.array([0, 255], np.uint8)).tolist()
    [-1.0, 1.0]
    """
    return as_float(voxels) * np.float32(2) - np.float32(1)


def grey_affinities(affinities: Voxels, of: str) -> npt.NDArray[np.uint8]:
    """A picture of affinities (the rule of chunkflow's `quantize`).

    Args:
        affinities: (channel, z, y, x), channels x, y, z, in [0, 1]; integers count as fractions.
        of: `xy`, the mean of the first two channels, or `z`, the third.

    Returns:
        (z, y, x) uint8, times 255.

    >>> grey_affinities(np.array([0, 1, 0.2], np.float32).reshape(3, 1, 1, 1), "xy").tolist()
    [[[128]]]
    """
    if affinities.ndim != 4 or len(affinities) < 3:
        raise ValueError(f"affinities must be (3, z, y, x), got shape {affinities.shape}")
    values = as_float(affinities[2] if of == "z" else affinities[:2])
    mean = values if of == "z" else values.mean(axis=0, dtype=np.float64)
    return np.asarray(_as_type(mean.astype(np.float64) * 255, np.dtype(np.uint8)))


def channel_vote(voxels: Voxels) -> npt.NDArray[np.uint64]:
    """The number of the channel with the largest value, counted from 1; of equal ones, the first.

    Args:
        voxels: (channel, z, y, x).

    Returns:
        (z, y, x) labels.

    >>> channel_vote(np.array([1, 9, 4], np.uint8).reshape(3, 1, 1, 1)).tolist()
    [[[2]]]
    """
    if voxels.ndim != 4:
        raise ValueError(f"voxels must be (channel, z, y, x) to vote, got shape {voxels.shape}")
    return np.asarray(np.argmax(voxels, axis=0).astype(np.uint64) + np.uint64(1))


def black_out(voxels: Voxels, first: int, sections: Iterable[int]) -> Voxels:
    """The voxels, 0 in some sections.

    Args:
        voxels: (z, y, x) or (channel, z, y, x).
        first: number of their first section.
        sections: numbers of the sections that become 0; those outside are ignored.

    >>> black_out(np.ones((3, 1, 1), np.uint8), 10, [11, 99]).ravel().tolist()
    [1, 0, 1]
    """
    darkened = voxels.copy()
    for section in sections:
        if first <= section < first + voxels.shape[-3]:
            darkened[..., section - first, :, :] = 0
    return darkened


def _as_type(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> Voxels:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    if dtype.itemsize == 8:  # a float64 cannot hold the largest integers; the next one below can
        return np.clip(np.rint(values), float(limits.min), np.nextafter(float(limits.max), 0)).astype(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
