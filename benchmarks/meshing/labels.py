"""Write labels for the race, by a process of its own: Linux counts a parent's memory as its children's."""

from __future__ import annotations

import sys
from pathlib import Path

import cc3d
import h5py
import numpy as np


def write(path: Path, source: str, shape: tuple[int, int, int]) -> None:
    """Real bodies, which go on as their mirror images; each connected region has its own label."""
    name, _, dataset = source.rpartition(":")
    with h5py.File(name) as file:
        bodies = file[dataset][tuple(map(slice, shape))].astype(np.uint32)
        size = file[dataset].attrs["resolution"]
    more = [(0, wanted - side) for wanted, side in zip(shape, bodies.shape, strict=True)]
    labels = cc3d.connected_components(np.pad(bodies, more, mode="symmetric"), connectivity=26, out_dtype=np.uint64)
    with h5py.File(path, "w") as file:
        node = file.create_dataset("labels", data=labels, chunks=(48, 80, 80), compression="gzip")
        node.attrs["resolution"] = size
        file.create_dataset("xyz", data=labels.T, chunks=(80, 80, 48), compression="gzip")  # as igneous expects it


if __name__ == "__main__":
    z, y, x = map(int, sys.argv[3].split(","))
    write(Path(sys.argv[1]), sys.argv[2], (z, y, x))
