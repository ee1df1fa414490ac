"""HDF5 as CREMI's files: chunked, packed by gzip, with `resolution` and `offset` in nanometres zyx."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py

from lchunk.exports.source import Source

LEVEL = 4
"""Of gzip: higher levels take far longer and save little."""


def holds(path: Path, dataset: str) -> bool:
    """Whether a file has such a dataset.

    Raises:
        ValueError: the file is no HDF5 file, or has a group of this name.
    """
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} must be an HDF5 file, or absent, got another file; write to another name")
    with h5py.File(path) as file:
        node = file.get(dataset)
        if isinstance(node, h5py.Group):
            raise ValueError(
                f"{path}:{dataset} must be a dataset, or absent, got a group of {', '.join(node) or 'nothing'}; "
                f"write to {path}:{dataset}/NAME"
            )
        return node is not None


def write_hdf5(source: Source, path: Path, dataset: str, beside: Path) -> None:
    """Write one dataset.

    Args:
        source: the voxels.
        path: the new file.
        dataset: its path in the file.
        beside: a file whose other datasets are copied first, where there is one.
    """
    if beside.exists():
        shutil.copyfile(beside, path)
    channels = (source.channels,) if source.channels else ()
    with h5py.File(path, "a") as file:
        if dataset in file:
            del file[dataset]  # the space is used again below
        node = file.create_dataset(
            dataset, shape=source.shape, dtype=source.dtype, chunks=(*channels, *source.block), compression="gzip",
            compression_opts=LEVEL,
        )  # fmt: skip
        node.attrs["resolution"] = source.voxel_size
        node.attrs["offset"] = source.offset
        for place, voxels in source.pieces():
            node[place] = voxels
