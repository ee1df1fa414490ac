"""Zarr arrays, v2 and v3, and where they lie; images of OME-Zarr and layers of lchunk are made of them."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.blosc import blosc_length
from lchunk.volumes.formats.ome import Level, is_image, level_of, level_paths, only_image
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, from_attributes, overruled
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.formats.zarr_metadata import METADATA, attributes_of, is_array
from lchunk.volumes.layer import open_layer
from lchunk.volumes.store import open_store
from lchunk.volumes.zarr_store import ZarrStore

_FEW = 256
"""Chunk files whose sizes and times go into the fingerprint."""


def open_zarr(url: str, path: Path, options: Options) -> OpenedVolume:
    """A zarr array, the finest level of an OME-Zarr image, or a layer of lchunk.

    Raises:
        RefusedVolumeError: a group that is no image, or metadata that are torn or ambiguous.
        AbsentVoxelsError: the level is absent.
    """
    if is_array(path):
        return _array(url, path, options)
    attributes = attributes_of(path)
    if "lchunk" in attributes:
        return _layer(url, path, 0, options)
    if not is_image(attributes):
        path = only_image(path, attributes, url)
        attributes = attributes_of(path)
    level = level_of(attributes, 0, url)
    if not is_array(path / level.path):
        raise AbsentVoxelsError(
            f"the level {level.path} of {url} must be there, got no array at {path / level.path}; copy the image again"
        )
    return _array(url, path / level.path, options)


def _array(url: str, path: Path, options: Options) -> OpenedVolume:
    parent = attributes_of(path.parent)
    if "lchunk" in parent and path.name.isdigit():
        return _layer(url, path.parent, int(path.name), options)
    with readable(path, "a zarr array that zarr can read", "copy it again"):
        array: Any = zarr.open_array(ZarrStore(open_store(str(path)), ""), mode="r")
        attributes, named = dict(array.attrs), getattr(array.metadata, "dimension_names", None)
        sides = array.shards or array.chunks
    if not sides or min(sides) < 1:
        raise RefusedVolumeError(
            f"chunks of {path} must have voxels along each axis, got {sides}; correct its metadata"
        )
    level = _level_at(path, url)
    if level is not None:
        names: Sequence[str] = level.axes
        if len(names) != array.ndim:
            raise RefusedVolumeError(
                f"{url} must have an axis of its metadata for each of its array, got {', '.join(names)} for shape "
                f"{array.shape}; correct its metadata"
            )
        placement = overruled(level.placement(options, url), options)
    else:
        names = _names(named, attributes, array.ndim)
        placement = from_attributes(attributes, options.axes or names, options, url)
    arrangement = arrange(names, array.shape, options, url)

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        return _cut(array, path, part, fill_missing)

    def files() -> list[Path]:
        return [*_documents(path), *_chunk_files(array, path)]

    dtype = np.dtype(array.dtype) if hasattr(array.dtype, "itemsize") else np.dtype(object)
    return opened(url, options, arrangement, placement, dtype=dtype, cut=cut, files=files, header=_documents(path)[0])


def _level_at(path: Path, url: str) -> Level | None:
    """The level of an OME-Zarr image that lies in a folder above."""
    for above in (path.parent, path.parent.parent):
        attributes = attributes_of(above)
        name = str(path.relative_to(above))
        if is_image(attributes) and name in level_paths(attributes, url):
            return level_of(attributes, name, url)
    return None


def _names(named: Any, attributes: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of dimensions of zarr v3, xarray's, funlib's, or the usual ones."""
    for names in (named, attributes.get("_ARRAY_DIMENSIONS"), attributes.get("axis_names")):
        if names is not None and len(names) == count and all(len(str(name or "").rstrip("^")) == 1 for name in names):
            return tuple(map(str, names))
    return usual_names(count)


def _cut(array: Any, path: Path, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
    absent = _absent(array, path, part)
    if absent and not fill_missing:
        raise AbsentVoxelsError(
            f"{path} must have every chunk, got none at {absent[0][0]}; "
            "set fill_missing where absent chunks mean black voxels"
        )
    with readable(path, "a whole zarr array", "copy its chunks again"):
        voxels = np.array(array[part])
    for _, box in absent:
        # what is absent is black, whatever the array's fill value
        inside = tuple(
            slice(max(b.start, s.start) - s.start, min(b.stop, s.stop) - s.start)
            for b, s in zip(box, part, strict=True)
        )
        voxels[inside] = 0
    return voxels


def _absent(array: Any, path: Path, part: tuple[slice, ...]) -> list[tuple[str, tuple[slice, ...]]]:
    """Keys and boxes of the chunk files of a part that are not there: zarr itself would read its fill value."""
    sides = array.shards or array.chunks
    places = [range(s.start // side, -(-s.stop // side)) for s, side in zip(part, sides, strict=True)]
    folder, blosc = str(path), _is_blosc(array)
    absent: list[tuple[str, tuple[slice, ...]]] = []
    for place in itertools.product(*places):
        key = array.metadata.encode_chunk_key(place)
        if not os.path.exists(f"{folder}/{key}"):
            absent.append((key, tuple(slice(p * s, (p + 1) * s) for p, s in zip(place, sides, strict=True))))
        else:
            _check_length(f"{folder}/{key}", blosc)
    return absent


def _is_blosc(array: Any) -> bool:
    """Whether a chunk file is packed by Blosc as a whole, which decodes a part of it without an error."""
    codecs = array.compressors
    return array.shards is None and bool(codecs) and "blosc" in type(codecs[-1]).__name__.lower()


def _check_length(file: str, blosc: bool) -> None:
    size = os.path.getsize(file)
    wanted = size or 1
    if blosc and size:
        with open(file, "rb") as chunk:
            wanted = blosc_length(chunk.read(16))
    if size != wanted:
        raise RefusedVolumeError(f"{file} must be a whole chunk of {wanted} bytes, got {size}; copy it again")


def _chunk_files(array: Any, path: Path) -> list[Path]:
    sides = array.shards or array.chunks
    counts = [-(-length // side) for length, side in zip(array.shape, sides, strict=True)]
    if math.prod(counts) > _FEW:
        return []
    keys = (array.metadata.encode_chunk_key(place) for place in itertools.product(*map(range, counts)))
    return [file for file in map(path.joinpath, keys) if file.exists()]


def _documents(path: Path) -> list[Path]:
    """The metadata of an array and of the groups above it."""
    folders = (path, path.parent, path.parent.parent)
    return [folder / name for folder in folders for name in METADATA if (folder / name).exists()]


def _layer(url: str, path: Path, mip: int, options: Options) -> OpenedVolume:
    with readable(path, "a whole layer of lchunk", "copy it again, or make it again"):
        layer = open_layer(open_store(str(path.parent)), path.name, mip)
    shape = (*([layer.channels] if layer.channels else []), *layer.bounds.shape)
    start = layer.bounds.start

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        z, y, x = part[-3:]
        box = Bbox.of(start, layer.bounds.shape)
        wanted = Bbox(
            (z.start + start[0], y.start + start[1], x.start + start[2]),
            (z.stop + start[0], y.stop + start[1], x.stop + start[2]),
        ).clipped(box)
        voxels: npt.NDArray[Any] = layer.read(wanted, fill_missing=fill_missing)
        return voxels[part[0]] if layer.channels else voxels

    placement = overruled(Placement(layer.voxel_size, start, placed=True), options)
    arrangement = arrange("czyx" if layer.channels else "zyx", shape, options, url)
    documents = [path / "zarr.json", path / str(mip) / "zarr.json"]
    return opened(
        url, options, arrangement, placement, dtype=layer.dtype, cut=cut, files=lambda: documents, header=documents[1]
    )
