"""Values of voxels in another type: exactly, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NUMBERED = ("uint16", "uint32", "uint64")
"""Types for labels that are numbered anew, the smallest first."""


def exactly(voxels: npt.NDArray[Any], dtype: np.dtype[Any], what: str) -> npt.NDArray[Any]:
    """The same values in another type.

    Args:
        voxels: numbers.
        dtype: the other type.
        what: the voxels, for the message.

    Raises:
        ValueError: the type does not hold one of the values.

    >>> exactly(np.array([1, 70000]), np.dtype("uint32"), "labels")
    array([    1, 70000], dtype=uint32)
    >>> exactly(np.array([1, 70000]), np.dtype("uint16"), "labels")
    Traceback (most recent call last):
    ValueError: labels must fit uint16, got 70000; give a wider --dtype, or --relabel where they are labels
    """
    if voxels.dtype == dtype:
        return voxels
    low, high = limits(dtype)
    if voxels.dtype.kind != "f":
        fits = (voxels >= low) & (voxels <= high)
    elif dtype.kind == "f":
        with np.errstate(over="ignore"):
            fits = (voxels.astype(dtype) == voxels) | np.isnan(voxels)
    else:
        # `high` itself may not be a float of this type, but the power of two behind it is
        fits = (voxels == np.trunc(voxels)) & (voxels >= low) & (voxels < float(high + 1))
    if not fits.all():
        raise ValueError(
            f"{what} must fit {dtype}, got {voxels[~fits][0]}; give a wider --dtype, or --relabel where they are labels"
        )
    return voxels.astype(dtype)


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest of the whole numbers that a type holds without gaps."""
    if dtype.kind == "f":
        most = 2 ** (np.finfo(dtype).nmant + 1)
        return -most, most
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def renumbered(labels: npt.NDArray[Any], numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Labels by their place in a list, from 1; 0 stays 0.

    Args:
        labels: all of them in `numbers`, or 0.
        numbers: ascending, without 0.

    >>> renumbered(np.array([0, 70, 9]), np.array([9, 70], np.uint64))
    array([0, 2, 1], dtype=uint64)
    """
    places = (np.searchsorted(numbers, labels.astype(np.uint64)) + 1).astype(np.uint64)
    places[labels == 0] = 0
    return places
