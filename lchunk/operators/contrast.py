"""The contrast of each section, stretched by a lookup made from the section's histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVELS = 256

Levels = npt.NDArray[np.int64]
"""(z, 256): how many voxels of a section have each value; 0 for black, which does not count."""


@dataclass(frozen=True)
class Stretch:
    """How the values of a section are stretched.

    Args:
        lower: largest fraction of a section's voxels that may become `least`.
        upper: largest fraction that may become `most`.
        least, most: range of the values after the stretch, from 1, because 0 is kept for black.

    Raises:
        ValueError: the fractions leave nothing between them, or the values are out of order.
    """

    lower: float = 0.01
    upper: float = 0.01
    least: int = 1
    most: int = 255

    def __post_init__(self) -> None:
        if min(self.lower, self.upper) < 0 or self.lower + self.upper >= 1:
            raise ValueError(f"lower and upper must be fractions with a sum below 1, got {self.lower} and {self.upper}")
        if not 1 <= self.least < self.most <= LEVELS - 1:
            raise ValueError(f"contrast must be from 1 <= least < most <= 255, got {self.least} and {self.most}")


def section_levels(image: npt.NDArray[np.uint8]) -> Levels:
    """Count the values of each section.

    Args:
        image: (z, y, x) uint8.

    >>> section_levels(np.array([[[0, 3, 3]]], np.uint8))[0, :5].tolist()
    [0, 0, 0, 2, 0]
    """
    counts = [np.bincount(section.ravel(), minlength=LEVELS) for section in image]
    levels = np.array(counts, np.int64).reshape(len(image), LEVELS)
    levels[:, 0] = 0
    return levels


def lookup(levels: npt.NDArray[np.int64], stretch: Stretch) -> npt.NDArray[np.uint8]:
    """The new value of each value of one section (chunkflow's normalize-section-contrast, except that black stays).

    Args:
        levels: (256,) counts.
        stretch: a value becomes (value - lower) * most / (upper - lower), clipped and rounded, where lower is the last
            value with at most the fraction `stretch.lower` of voxels at or below it, and upper likewise from above.
            Values stay as they are where lower and upper are equal, or the section has no voxel above 0.

    Returns:
        (256,) uint8, by the old value.
    """
    values = np.arange(LEVELS)
    counts = levels.astype(np.float64)
    counts[0] = 0
    total = counts.sum()
    if total == 0:
        return values.astype(np.uint8)
    below = np.cumsum(counts) / total
    lower = np.flatnonzero(below <= stretch.lower)[-1]
    upper = np.flatnonzero(below <= 1 - stretch.upper)[-1]
    if lower == upper:
        return values.astype(np.uint8)
    found = np.rint(np.clip((values - lower) * (stretch.most / (upper - lower)), stretch.least, stretch.most))
    found[0] = 0
    return np.asarray(found, np.uint8)


def stretched(image: npt.NDArray[np.uint8], levels: Levels, stretch: Stretch) -> npt.NDArray[np.uint8]:
    """The image with the contrast of each section stretched.

    Args:
        image: (z, y, x) uint8.
        levels: (z, 256), one row per section.
        stretch: how values are stretched.

    Raises:
        ValueError: `levels` does not have one row per section.
    """
    if levels.shape != (len(image), LEVELS):
        raise ValueError(f"levels must be ({len(image)}, {LEVELS}), one row per section, got {levels.shape}")
    return np.stack([lookup(row, stretch).take(section) for row, section in zip(levels, image, strict=True)])
