"""Write small volumes that look like EM, one for each kind of input of the tutorial, into the current folder.

    python sample/make_inputs.py

stack.tif       a TIFF stack
sections/       a folder of PNG sections, s1.png to s32.png
cremi.h5        HDF5 as CREMI has it: volumes/raw, volumes/labels/neuron_ids, with resolution and offset
other.zarr      OME-Zarr 0.4 (zarr v2), axes t, c, z, y, x, micrometres
sixteen.tif     a stack of 16-bit intensities, between 1,000 and 5,100

Each volume is different, and has 32x96x96 voxels (z, y, x), 10 nm wide: cells with dark membranes, and noise.
The same voxels are written every time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import tifffile
import zarr
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

SHAPE = (32, 96, 96)
CELLS = 16
MEMBRANE = 2.5
"""Half the width of a membrane, in voxels."""


def cells(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64]]:
    """An image (z, y, x) and the number of the cell at each voxel, from 1; 0 is membrane."""
    random = np.random.default_rng(seed)
    centres = random.uniform(0, SHAPE, (CELLS, 3))
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).astype(float)
    bends = np.stack([gaussian_filter(random.normal(size=SHAPE), 6) for _ in range(3)], axis=-1)
    distances, nearest = cKDTree(centres).query(places + 200 * bends, k=2)
    wall = distances[..., 1] - distances[..., 0]
    clear = np.clip(wall / (2 * MEMBRANE), 0, 1)
    grain = gaussian_filter(random.normal(size=SHAPE), 0.7) * 40
    image = np.clip(70 + 100 * clear + grain, 1, 255).astype(np.uint8)
    labels = np.where(wall > MEMBRANE / 2, nearest[..., 0] + 1, 0).astype(np.uint64)
    return image, labels


def write_sections(folder: Path, image: npt.NDArray[np.uint8]) -> None:
    """A PNG file per section."""
    folder.mkdir(exist_ok=True)
    for number, section in enumerate(image, 1):
        Image.fromarray(section).save(folder / f"s{number}.png")


def write_cremi(path: Path, image: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint64]) -> None:
    """Image and true labels, which start at voxel (10, 20, 20)."""
    with h5py.File(path, "w") as file:
        for name, voxels in (("volumes/raw", image), ("volumes/labels/neuron_ids", labels)):
            dataset = file.create_dataset(name, data=voxels, compression="gzip")
            dataset.attrs["resolution"] = (10.0, 10.0, 10.0)
            dataset.attrs["offset"] = (100.0, 200.0, 200.0)


def write_ome_zarr(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """One level, as programs for light microscopy write it."""
    axes: list[dict[str, Any]] = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 0.01, 0.01, 0.01]}]}
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.attrs["multiscales"] = [{"version": "0.4", "name": "cells", "axes": axes, "datasets": [level]}]
    array = group.create_array(
        "0", shape=(1, 1, *SHAPE), chunks=(1, 1, 16, 48, 48), dtype="u1",
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )  # fmt: skip
    array[0, 0] = image


def write_all(folder: Path) -> None:
    """The five inputs."""
    tifffile.imwrite(folder / "stack.tif", cells(1)[0], photometric="minisblack")
    write_sections(folder / "sections", cells(2)[0])
    write_cremi(folder / "cremi.h5", *cells(3))
    write_ome_zarr(folder / "other.zarr", cells(4)[0])
    sixteen = 1000 + cells(5)[0].astype(np.uint16) * 16
    tifffile.imwrite(folder / "sixteen.tif", sixteen, photometric="minisblack")


if __name__ == "__main__":
    write_all(Path())
    print("wrote stack.tif, sections/, cremi.h5, other.zarr and sixteen.tif")
