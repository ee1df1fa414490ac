"""Convert voxels to another type without changing a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

NUMBERED = ("uint16", "uint32", "uint64")
"""Types for renumbered labels, smallest first."""


def exactly(voxels: npt.NDArray[Any], dtype: np.dtype[Any], what: str) -> npt.NDArray[Any]:
    """Convert values to another type, and raise an error if a value would change.

    Args:
        voxels: an array of numbers.
        dtype: the new type.
        what: name of the voxels, for the message.

    Raises:
        ValueError: the type cannot hold one of the values.

    >>> exactly(np.array([1, 70000]), np.dtype("uint32"), "labels")
    array([    1, 70000], dtype=uint32)
    >>> exactly(np.array([1, 70000]), np.dtype("uint16"), "labels")
    Traceback (most recent call last):
    ValueError: labels must fit uint16, got 70000; give a wider --dtype, or --relabel if they are labels
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
        # `high` itself may not exist as a float of this type, but the next power of two does
        fits = (voxels == np.trunc(voxels)) & (voxels >= low) & (voxels < float(high + 1))
    if not fits.all():
        raise ValueError(
            f"{what} must fit {dtype}, got {voxels[~fits][0]}; give a wider --dtype, or --relabel if they are labels"
        )
    return voxels.astype(dtype)


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest whole number between which the type holds every whole number."""
    if dtype.kind == "f":
        most = 2 ** (np.finfo(dtype).nmant + 1)
        return -most, most
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def renumbered(labels: npt.NDArray[Any], numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Replace each label by its position in a list, counted from 1; 0 stays 0.

    Args:
        labels: each is in `numbers`, or 0.
        numbers: in ascending order, without 0.

    >>> renumbered(np.array([0, 70, 9]), np.array([9, 70], np.uint64))
    array([0, 2, 1], dtype=uint64)
    """
    places = (np.searchsorted(numbers, labels.astype(np.uint64)) + 1).astype(np.uint64)
    places[labels == 0] = 0
    return places
