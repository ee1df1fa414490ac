"""Grey values from a TIFF's numbers: white as zero, and palettes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.refusals import RefusedVolumeError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Greys:
    """How numbers become greys: inverted, looked up, or as they are."""

    dtype: np.dtype[Any]
    inverted: bool = False
    palette: npt.NDArray[np.uint8] | None = None

    def of(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.palette is not None:
            looked_up: npt.NDArray[Any] = self.palette[numbers]
            return looked_up
        if not self.inverted:
            return numbers
        inverted: npt.NDArray[Any] = ~numbers
        return inverted


def greys_of(page: Any, dtype: np.dtype[Any], path: Path, palette: str) -> Greys:
    """The conversion for a page's photometric interpretation.

    Raises:
        RefusedVolumeError: the page has colours, or white as zero in a type that has no white.
    """
    kind = int(page.photometric) if page.photometric is not None else BLACK_IS_ZERO
    if kind == PALETTE and palette != "indices":
        greys = _greys(page.colormap, path)
        return Greys(np.dtype(np.uint8), palette=greys)
    if kind == WHITE_IS_ZERO:
        if dtype.kind not in "ub":
            raise RefusedVolumeError(
                f"{path} must not have white as zero, got {dtype} voxels, which have no white; "
                "save it with black as zero"
            )
        if dtype.kind == "u" and page.bitspersample != 8 * dtype.itemsize:
            raise RefusedVolumeError(
                f"{path} must have 8, 16 or 32 bits where white is zero, got {page.bitspersample}; "
                "save it with black as zero"
            )
        return Greys(dtype, inverted=True)
    if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK) and page.samplesperpixel > 1:
        raise RefusedVolumeError(f"{path} must be grey, got the colours {page.photometric.name}; convert it to grey")
    return Greys(dtype)


def _greys(colours: Any, path: Path) -> npt.NDArray[np.uint8]:
    """(entries,) grey values of a palette of three rows, 16 bits each."""
    instead = "convert it to grey, or take the numbers of its colours: #palette=indices"
    if colours is None or (colours != colours[:1]).any():
        raise RefusedVolumeError(f"{path} must be grey, got a palette of colours; {instead}")
    row = np.asarray(colours[0], np.int64)
    high = row >> 8
    if not ((row == high * 257).all() or (row == high << 8).all()):
        raise RefusedVolumeError(f"{path} must have greys of 8 bits in its palette, got finer ones; {instead}")
    greys: npt.NDArray[np.uint8] = high.astype(np.uint8)
    return greys
