"""One section: a plane of voxels in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Section:
    """A plane of voxels.

    Args:
        shape: voxels (y, x).
        dtype: type of a voxel.
        cut: reads a range of rows and columns; the last argument is whether absent parts read as 0.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    cut: Callable[[slice, slice, bool], npt.NDArray[Any]]
