"""Patterns to try programs with: each is a function of a voxel's global coordinates, in any part of a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.cells import cells
from lchunk.operators.noise import noise

MEMBRANE, INSIDE = 0.1, 0.9
"""Intensities in the middle of a membrane and inside a cell, without noise."""
THICKNESS = 1 / 6
"""Thickness of a membrane, in diameters of a cell."""
LOUD = 0.14
"""The most by which noise darkens a voxel."""


def waves(bbox: Bbox, bounds: Bbox) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64]]:
    """Make oblique bright bands across a volume: |sin 4(z + y + x)|, where each axis runs from 0 to 1.

    chunkflow's `create-chunk` makes this pattern by default.

    Args:
        bbox: the voxels to make, inside the bounds.
        bounds: the volume.

    Returns:
        (z, y, x) intensities in [0, 1]; and (z, y, x) the number of the band, from 1, or 0 where the intensity is 0.5
        or less.

    >>> bounds = Bbox.of((0, 0, 0), (3, 3, 5))
    >>> intensities, bands = waves(bounds, bounds)
    >>> intensities[1, 0].round(2).tolist(), bands[1, 0].tolist()
    ([0.91, 0.14, 0.76, 0.96, 0.28], [1, 0, 2, 2, 0])
    """
    angles = [4 * np.linspace(0, 1, side) for side in bounds.shape]
    part = bbox.slices(bounds.start)
    z, y, x = (own[cut] for own, cut in zip(angles, part, strict=True))
    # sines and cosines of whole axes, since NumPy may round those of a part otherwise
    sine_z, sine_y, sine_x = (np.sin(own)[cut] for own, cut in zip(angles, part, strict=True))
    cosine_z, cosine_y, cosine_x = (np.cos(own)[cut] for own, cut in zip(angles, part, strict=True))
    sine = np.multiply.outer(sine_z, cosine_y) + np.multiply.outer(cosine_z, sine_y)
    cosine = np.multiply.outer(cosine_z, cosine_y) - np.multiply.outer(sine_z, sine_y)
    intensities = np.minimum(np.abs(np.multiply.outer(sine, cosine_x) + np.multiply.outer(cosine, sine_x)), 1)
    number = np.floor(np.add.outer(np.add.outer(z, y), x) / np.pi).astype(np.uint64) + np.uint64(1)
    return intensities, np.where(intensities > 0.5, number, np.uint64(0))


def stained_cells(
    bbox: Bbox, bounds: Bbox, *, diameter: float, voxel_size: tuple[float, float, float], seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint64]]:
    """Make cells as an electron microscope shows them: light and noisy, with dark membranes between them.

    Args:
        bbox: the voxels to make, inside the bounds.
        bounds: the volume, which numbers the cells.
        diameter: a cell has the volume of a cube of this side, on average; in the unit of the voxel size.
        voxel_size: z, y, x.
        seed: seed of the cells and of the noise, 0 to 2⁶⁴ - 1.

    Returns:
        (z, y, x) intensities in [0, 1]; and (z, y, x) the label of the cell, from 1: membranes are parts of cells too.

    Raises:
        ValueError: as `cells` does.
    """
    gaps, labels = cells(bbox, bounds, diameter=diameter, voxel_size=voxel_size, seed=seed)
    # on both sides of a membrane, the gap grows by 2 per unit of distance from its middle
    inside = np.minimum(gaps.astype(np.float64) / (diameter * THICKNESS), 1)
    return MEMBRANE + (INSIDE - MEMBRANE) * inside - LOUD * _shares(noise(bbox, seed)) * inside, labels


def speckles(bbox: Bbox, bounds: Bbox, *, dtype: npt.DTypeLike, seed: int = 0) -> npt.NDArray[Any]:
    """Make another random value in every voxel, and a black box in the middle, which shows where a viewer draws it.

    Args:
        bbox: the voxels to make, inside the bounds.
        bounds: the volume; the black box is half as long on each axis.
        dtype: unsigned whole numbers, or floats.
        seed: 0 to 2⁶⁴ - 1.

    Returns:
        (z, y, x): any number of the type, or a float in [0, 1].

    >>> bounds = Bbox.of((-2, 0, 0), (4, 4, 4))
    >>> (speckles(bounds, bounds, dtype=np.uint16)[1] > 0).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    """
    kind, numbers = np.dtype(dtype), noise(bbox, seed)
    if kind.kind == "f":
        values: npt.NDArray[Any] = _shares(numbers).astype(kind)
    else:
        values = (numbers >> np.uint64(64 - 8 * kind.itemsize)).astype(kind)
    half = triple(side // 2 for side in bounds.shape)
    sides = zip(bounds.start, bounds.shape, half, strict=True)
    black = Bbox.of(triple(start + (side - own) // 2 for start, side, own in sides), half).clipped(bbox)
    if black.size:
        values[black.slices(bbox.start)] = 0
    return values


def _shares(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Random numbers as shares of 1, from 0 to below 1."""
    return (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53
