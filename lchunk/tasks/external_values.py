"""The values that voxels of external volumes may have, and the types in which stages read them."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

_NEARLY_ONE = 1e-4
"""Distance from [0, 1] up to which a value counts as a net's rounding error."""

_WHOLE_FLOATS = 2.0**53
"""From here on, float64 cannot hold every whole number."""


class Kind(Enum):
    """The kind of values that a volume holds."""

    IMAGE = "an image"
    LABELS = "labels"
    SHARES = "affinities or probabilities"
    MASK = "a mask"


def dtype_read(kind: Kind, dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The type in which voxels of a kind are read; None if voxels of this type cannot be of the kind."""
    match kind:
        case Kind.IMAGE:
            return dtype if dtype == np.uint8 else None
        case Kind.LABELS:
            return np.dtype(np.uint64) if dtype.kind in "buif" else None
        case Kind.SHARES:
            return dtype if dtype == np.uint8 else np.dtype(np.float32) if dtype.kind == "f" else None
        case Kind.MASK:
            return np.dtype(bool) if dtype.kind in "bui" else None


RULES = {
    Kind.IMAGE: "uint8",
    Kind.LABELS: "whole numbers",
    Kind.SHARES: "uint8 (255 for 1) or floats in [0, 1]",
    Kind.MASK: "whole numbers or truth values",
}


def checked(voxels: npt.NDArray[Any], kind: Kind, what: str) -> npt.NDArray[Any]:
    """Check voxels, and convert them to the type that stages read, without changing their values.

    Args:
        voxels: of a type that `dtype_read` accepts.
        kind: the kind that they must be.
        what: names of the volume and the box, for messages.

    Raises:
        ValueError: a voxel has no meaning for the kind.
    """
    if kind is Kind.LABELS:
        return _labels(voxels, what)
    if kind is Kind.SHARES and voxels.dtype.kind == "f":
        return _shares(voxels, what)
    return voxels != 0 if kind is Kind.MASK else voxels


def _labels(voxels: npt.NDArray[Any], what: str) -> npt.NDArray[np.uint64]:
    if voxels.dtype.kind == "f" and voxels.size:
        largest = float(voxels.max())
        if not np.isfinite(largest) or largest >= _WHOLE_FLOATS or (voxels != np.trunc(voxels)).any():
            raise ValueError(
                f"labels must be whole numbers below 2^53 where they are floats, got {_first_strange(voxels)} in "
                f"{what}; save them as uint64"
            )
    if voxels.dtype.kind in "if" and voxels.size and voxels.min() < 0:
        raise ValueError(f"labels must be at least 0, got {voxels.min()} in {what}; map it to 0 or another label")
    return voxels.astype(np.uint64, copy=False)


def _first_strange(voxels: npt.NDArray[Any]) -> float:
    strange = ~np.isfinite(voxels) | (voxels >= _WHOLE_FLOATS) | (voxels != np.trunc(voxels))
    return float(voxels[strange][0])


def _shares(voxels: npt.NDArray[Any], what: str) -> npt.NDArray[np.float32]:
    shares = voxels.astype(np.float32, copy=False)
    if not shares.size:
        return shares
    low, high = float(shares.min()), float(shares.max())
    if np.isnan(low) or np.isnan(high):
        raise ValueError(
            f"affinities and probabilities must be numbers, got NaN in {int(np.isnan(shares).sum())} of {shares.size} "
            f"voxels of {what}; write numbers there, 0 where nothing is known"
        )
    if low < -_NEARLY_ONE or high > 1 + _NEARLY_ONE:
        raise ValueError(
            f"affinities and probabilities must be in [0, 1], got {low:g} to {high:g} in {what}; "
            "divide by their maximum, or take the sigmoid of logits"
        )
    return shares.clip(0, 1) if low < 0 or high > 1 else shares
