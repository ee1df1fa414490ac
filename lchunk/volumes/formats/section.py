"""One section: a plane of voxels in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Section:
    """A plane.

    Args:
        shape: voxels (y, x).
        dtype: of a voxel.
        cut: voxels of rows and columns; the last argument says whether absent parts read as 0.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    cut: Callable[[slice, slice, bool], npt.NDArray[Any]]
