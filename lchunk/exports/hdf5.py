"""HDF5 in the layout of CREMI: chunked, compressed with gzip, with `resolution` and `offset` in nanometres zyx."""

from __future__ import annotations

import json
from pathlib import Path

import h5py

from lchunk.exports.source import Source

LEVEL = 4
"""Compression level of gzip: higher levels take far longer and save little."""


def holds(path: Path, dataset: str) -> bool:
    """Whether a file has a dataset of this name.

    Raises:
        ValueError: the file is not an HDF5 file, or has a group of this name.
    """
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} must be an HDF5 file or a new name, got another file; write to another name")
    with h5py.File(path) as file:
        node = file.get(dataset)
        if isinstance(node, h5py.Group):
            raise ValueError(
                f"{path}:{dataset} must be a dataset or a new name, got a group of {', '.join(node) or 'nothing'}; "
                f"write to {path}:{dataset}/NAME"
            )
        return node is not None


def write_hdf5(source: Source, path: Path, dataset: str) -> None:
    """Write one dataset; other datasets of the file are kept.

    Args:
        source: the voxels to write.
        path: the file, which is created if it does not exist.
        dataset: path of the dataset in the file.
    """
    channels = (source.channels,) if source.channels else ()
    with h5py.File(path, "a") as file:
        if dataset in file:
            del file[dataset]  # the space is reused below
        node = file.create_dataset(
            dataset, shape=source.shape, dtype=source.dtype, chunks=(*channels, *source.block), compression="gzip",
            compression_opts=LEVEL,
        )  # fmt: skip
        node.attrs["resolution"] = source.voxel_size
        node.attrs["offset"] = source.offset
        node.attrs["lchunk"] = json.dumps(source.lattice)
        for place, voxels in source.pieces():
            node[place] = voxels
