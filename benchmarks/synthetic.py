"""Volumes for the benchmarks: neurites as an uncertain net predicts them, from a seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

import lchunk
from lchunk.geometry.bbox import Bbox

Shape = tuple[int, int, int]
VOXEL_SIZE = (40.0, 4.0, 4.0)


def cells(shape: Shape, seed: int = 0, voxels: int = 30_000) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint64]]:
    """Cells around random points.

    Args:
        shape: z, y, x.
        seed: seed of the points.
        voxels: approximate number of voxels of a cell.

    Returns:
        As `lchunk.cells`, with distances in voxels.
    """
    bounds = Bbox.of((0, 0, 0), shape)
    return lchunk.cells(bounds, bounds, diameter=voxels ** (1 / 3), seed=seed)


def write_affinities(path: Path, shape: Shape, seed: int = 0) -> None:
    """Affinities x, y, z in float32, with about 30 voxels per fragment, a third of what real nets give."""
    rng = np.random.default_rng(seed)
    gap, _ = cells(shape, seed)
    unsure = gap - 2.2 - 1.5 * _noise(rng, shape, 2.0)
    with h5py.File(path, "w") as file:
        node = file.create_dataset("affinities", (3, *shape), np.float32)
        for channel, axis in enumerate((2, 1, 0)):
            own = unsure - 0.15 * _noise(rng, shape, 1.0)
            node[channel] = 1 / (1 + np.exp(-np.minimum(own, np.roll(own, 1, axis)) / 1.5))
        node.attrs["resolution"] = VOXEL_SIZE


def _noise(rng: np.random.Generator, shape: Shape, sigma: float) -> npt.NDArray[np.float32]:
    """Smooth, with a standard deviation of 1."""
    noise: npt.NDArray[np.float32] = gaussian_filter(rng.standard_normal(shape, np.float32), sigma)
    return noise / noise.std()


def write_probability(path: Path, shape: Shape, seed: int = 0) -> None:
    """The probability of a cell's inside in uint8: each cell is a component."""
    gap, _ = cells(shape, seed)
    with h5py.File(path, "w") as file:
        inside = np.clip(gap / 4 * 255, 0, 255).astype(np.uint8)
        node = file.create_dataset(
            "probability", data=inside, chunks=(64, 64, 64), compression="gzip", compression_opts=1
        )
        node.attrs["resolution"] = VOXEL_SIZE


def write_labels(path: Path, shape: Shape, seed: int = 0) -> None:
    """Cells as truth, and cells around other points as a segmentation, which has many splits and merges."""
    with h5py.File(path, "w") as file:
        for name, number in (("truth", seed), ("segmentation", seed + 1)):
            _, labels = cells(shape, number)
            node = file.create_dataset(name, data=labels, chunks=(64, 64, 64), compression="gzip", compression_opts=1)
            node.attrs["resolution"] = VOXEL_SIZE


WRITERS = {"affinities": write_affinities, "probability": write_probability, "labels": write_labels}


def in_a_process(what: str, path: Path, shape: Shape, seed: int = 0) -> None:
    """Write one of `WRITERS` without growing this process: Linux counts a parent's memory as its children's."""
    arguments = [what, str(path), *map(str, shape), str(seed)]
    subprocess.run([sys.executable, "-m", "benchmarks.synthetic", *arguments], check=True)


if __name__ == "__main__":
    z, y, x, number = map(int, sys.argv[3:])
    WRITERS[sys.argv[1]](Path(sys.argv[2]), (z, y, x), number)
