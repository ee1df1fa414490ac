"""Zarr v2: an array with the attributes of CREMI and funlib, or an image of OME-Zarr 0.4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numcodecs
import zarr

from lchunk.exports.source import Source


def write_zarr(source: Source, path: Path) -> None:
    """Write an array with its voxel size and offset as attributes, in nanometres zyx."""
    names = ["c^", "z", "y", "x"] if source.channels else ["z", "y", "x"]
    _write(source, path, {
        "resolution": list(source.voxel_size),
        "voxel_size": list(source.voxel_size),
        "offset": list(source.offset),
        "units": ["nm"] * 3,
        "axis_names": names,
        "lchunk": source.lattice,
    })  # fmt: skip


def write_ome_zarr(source: Source, path: Path) -> None:
    """Write an image of one level (https://ngff.openmicroscopy.org/0.4), positioned by the centre of its voxels."""
    centre = [low + size / 2 for low, size in zip(source.offset, source.voxel_size, strict=True)]
    channel = [{"name": "c", "type": "channel"}] if source.channels else []
    scale, translation = [1.0] * len(channel), [0.0] * len(channel)
    steps = [
        {"type": "scale", "scale": scale + list(source.voxel_size)},
        {"type": "translation", "translation": translation + centre},
    ]
    image = {
        "version": "0.4",
        "name": source.layer.name,
        "axes": [*channel, *({"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx")],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }
    zarr.create_group(path, zarr_format=2, attributes={"multiscales": [image]})
    _write(source, path / "0", {"lchunk": source.lattice})


def write_zarr_group(path: Path) -> None:
    """Make a folder a group, unless it is one already.

    Raises:
        ValueError: the folder is an array, or a group of zarr v3.
    """
    if (path / "zarr.json").exists() or (path / ".zarray").exists():
        found = "an array" if (path / ".zarray").exists() else "one of v3"
        raise ValueError(f"an array must be inside a zarr v2 group, got {found} in {path}; write to another folder")
    if not (path / ".zgroup").exists():
        zarr.create_group(path, zarr_format=2)


def _write(source: Source, path: Path, attributes: dict[str, Any]) -> None:
    channels = (source.channels,) if source.channels else ()
    array: Any = zarr.create_array(
        path,
        shape=source.shape,
        chunks=(*channels, *source.block),
        dtype=source.dtype,
        # every reader of version 2 supports Blosc
        compressors=numcodecs.Blosc("zstd", clevel=3, shuffle=numcodecs.Blosc.NOSHUFFLE),
        fill_value=0,
        attributes=attributes,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        zarr_format=2,
        # also write chunks of zeros: a reader could not know why a chunk is missing
        config={"write_empty_chunks": True},
    )
    for place, voxels in source.pieces():
        array[place] = voxels
