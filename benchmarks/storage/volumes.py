"""The volumes of the benchmark, from a seed: python -m benchmarks.storage.volumes KIND FILE Z Y X."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from benchmarks.harness import scratch_folder
from benchmarks.synthetic import Shape, cells, write_affinities


def image(shape: Shape) -> npt.NDArray[np.uint8]:
    """Cells with dark membranes, under noise as of an electron microscope: zstd makes it a tenth smaller."""
    gap, _ = cells(shape)
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(shape, np.float32), (0, 0.6, 0.6))
    return np.clip(70 + 110 * np.clip(gap / 8, 0, 1) + 28 * noise, 0, 255).astype(np.uint8)


def labels(shape: Shape) -> npt.NDArray[np.uint64]:
    """The numbers of cells."""
    return cells(shape)[1]


def affinities(shape: Shape) -> npt.NDArray[np.uint8]:
    """Affinities of three channels, as 0 to 255."""
    path = scratch_folder() / "affinities.h5"
    write_affinities(path, shape)
    with h5py.File(path) as file:
        found = np.stack([np.rint(channel * 255).astype(np.uint8) for channel in file["affinities"]])
    path.unlink()
    path.parent.rmdir()
    return found


if __name__ == "__main__":
    z, y, x = map(int, sys.argv[3:])
    np.save(sys.argv[2], globals()[sys.argv[1]]((z, y, x)))
