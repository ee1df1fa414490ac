"""Zarr arrays, v2 and v3, and their positions. OME-Zarr images and lchunk's layers consist of such arrays."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.ome import Level, is_image, level_of, level_paths, only_image
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, from_attributes, overruled
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.formats.zarr_chunks import read_chunks
from lchunk.volumes.formats.zarr_metadata import attributes_of, documents, is_array
from lchunk.volumes.layer import open_layer
from lchunk.volumes.place import Place
from lchunk.volumes.store import open_store
from lchunk.volumes.zarr_store import ZarrStore

_FEW = 256
"""Most chunk files whose sizes and times are part of the fingerprint."""


def open_zarr(url: str, folder: Place, options: Options) -> OpenedVolume:
    """Open a zarr array, the finest level of an OME-Zarr image, or a layer of lchunk.

    Raises:
        RefusedVolumeError: the folder is a group that is not an image, or its metadata is damaged or ambiguous.
        AbsentVoxelsError: the level does not exist.
    """
    if is_array(folder):
        return _array(url, folder, options)
    attributes = attributes_of(folder)
    if "lchunk" in attributes:
        # mip 0 may be a volume elsewhere, of which only coarser mips are here
        return _layer(url, folder, int(is_array(folder / "1") and not is_array(folder / "0")), options)
    if not is_image(attributes):
        folder = only_image(folder, attributes, url)
        attributes = attributes_of(folder)
    level = level_of(attributes, 0, url)
    if not is_array(folder / level.path):
        raise AbsentVoxelsError(
            f"the level {level.path} of {url} must exist, got no array at {folder / level.path}; copy the image again"
        )
    return _array(url, folder / level.path, options)


def _array(url: str, folder: Place, options: Options) -> OpenedVolume:
    parent = attributes_of(folder.parent)
    if "lchunk" in parent and folder.name.isdigit():
        return _layer(url, folder.parent, int(folder.name), options)
    with readable(folder, "a zarr array that zarr can read", "copy it again"):
        array: Any = zarr.open_array(ZarrStore(folder.store, folder.key), mode="r")
        attributes, named = dict(array.attrs), getattr(array.metadata, "dimension_names", None)
        sides = array.shards or array.chunks
    if not sides or min(sides) < 1:
        raise RefusedVolumeError(
            f"chunks of {folder} must have voxels along each axis, got {sides}; correct its metadata"
        )
    level = _level_at(folder, url)
    if level is not None:
        names: Sequence[str] = level.axes
        if len(names) != array.ndim:
            raise RefusedVolumeError(
                f"{url} must name each axis of its array in its metadata, got {', '.join(names)} for shape "
                f"{array.shape}; correct its metadata"
            )
        placement = overruled(level.placement(options, url, attributes.get("lchunk")), options)
    else:
        names = _names(named, attributes, array.ndim)
        placement = from_attributes(attributes, options.axes or names, options, url)
    arrangement = arrange(names, array.shape, options, url)

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        return _cut(array, folder, part, fill_missing)

    def files() -> list[Place]:
        return [*_documents(folder), *_chunk_files(array, folder)]

    dtype = np.dtype(array.dtype) if hasattr(array.dtype, "itemsize") else np.dtype(object)
    return opened(url, options, arrangement, placement, dtype=dtype, cut=cut, files=files, header=documents(folder)[0])


def _level_at(folder: Place, url: str) -> Level | None:
    """The level of an OME-Zarr image in a folder above, if this array is one."""
    above = folder.parent
    for image, name in ((above, folder.name), (above.parent, f"{above.name}/{folder.name}")):
        attributes = attributes_of(image)
        if is_image(attributes) and name in level_paths(attributes, url):
            return level_of(attributes, name, url)
    return None


def _names(named: Any, attributes: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Names of the axes: zarr v3's dimension names, xarray's, funlib's, or the usual ones."""
    for names in (named, attributes.get("_ARRAY_DIMENSIONS"), attributes.get("axis_names")):
        if names is not None and len(names) == count and all(len(str(name or "").rstrip("^")) == 1 for name in names):
            return tuple(map(str, names))
    return usual_names(count)


def _cut(array: Any, folder: Place, part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
    with readable(folder, "a whole zarr array", "copy its chunks again"):
        voxels, absent = read_chunks(array, folder, part)
    if absent and not fill_missing:
        raise AbsentVoxelsError(
            f"{folder} must have every chunk, got none at {absent[0][0]}; "
            "set fill_missing if missing chunks mean black voxels"
        )
    for _, box in absent:
        # a missing chunk is black, whatever fill value the array has
        inside = tuple(
            slice(max(b.start, s.start) - s.start, min(b.stop, s.stop) - s.start)
            for b, s in zip(box, part, strict=True)
        )
        voxels[inside] = 0
    return voxels


def _chunk_files(array: Any, folder: Place) -> list[Place]:
    sides = array.shards or array.chunks
    counts = [-(-length // side) for length, side in zip(array.shape, sides, strict=True)]
    if math.prod(counts) > _FEW:
        return []
    files = (folder / array.metadata.encode_chunk_key(place) for place in itertools.product(*map(range, counts)))
    return [file for file in files if file.exists()]


def _documents(folder: Place) -> list[Place]:
    """The metadata of an array and of the groups above it."""
    return [file for above in (folder, folder.parent, folder.parent.parent) for file in documents(above)]


def _layer(url: str, folder: Place, mip: int, options: Options) -> OpenedVolume:
    with readable(folder, "a whole layer of lchunk", "copy it again, or make it again"):
        layer = open_layer(open_store(str(folder.parent)), folder.name, mip)
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
    files = [folder / "zarr.json", folder / str(mip) / "zarr.json"]
    return opened(
        url, options, arrangement, placement, dtype=layer.dtype, cut=cut, files=lambda: files, header=files[1]
    )
