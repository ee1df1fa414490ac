"""HDF5 datasets, with the attributes of CREMI, funlib, PlantSeg and ilastik."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.axes import arrange, usual_names
from lchunk.volumes.formats.hdf5_storage import Storage, absent_parts, outside_files, storage_of
from lchunk.volumes.formats.opened import OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import from_attributes
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable, reason
from lchunk.volumes.place import on_disk

_INSTEAD = "copy it again, or inspect it with h5ls"


def open_hdf5(url: str, path: Path, dataset: str, options: Options) -> OpenedVolume:
    """Open a dataset of a file; chunks that were never written are absent, not black.

    Raises:
        AbsentVoxelsError: there is no such dataset, or a file that it refers to is absent.
        RefusedVolumeError: the file is damaged, or a filter that it needs is not installed.
    """
    with _file(path) as file:
        node = _dataset(file, path, dataset)
        if node.shape is None:
            raise RefusedVolumeError(f"{url} must hold voxels, got an empty dataset; give another")
        with readable(url, "an HDF5 dataset", _INSTEAD):
            attributes = dict(node.attrs.items())
            labels = [dimension.label for dimension in node.dims]
            shape, dtype = node.shape, node.dtype
            _check_filters(node, url)
            storage = storage_of(node)
            outside = outside_files(node, path)
    names = _names(attributes, labels, len(shape))
    arrangement = arrange(names, shape, options, url)
    placement = from_attributes(attributes, options.axes or names, options, url)

    def cut(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        return _cut(url, path, dataset, storage=storage, part=part, fill_missing=fill_missing)

    return opened(
        url,
        options,
        arrangement,
        placement,
        dtype=dtype,
        cut=cut,
        files=lambda: list(map(on_disk, [path, *outside])),
        header=on_disk(path),
    )


def volumes_of(path: Path) -> list[str]:
    """The datasets of a file that may be volumes: numbers along three axes or more.

    Raises:
        RefusedVolumeError: the file is damaged.
    """
    with _file(path) as file, readable(path, "a whole HDF5 file", _INSTEAD):
        return [
            name for name in _datasets(file) if len(file[name].shape or ()) >= 3 and file[name].dtype.kind in "biuf"
        ]


def _datasets(file: Any) -> list[str]:
    """The paths of all datasets."""
    found: list[str] = []
    file.visititems(lambda name, node: found.append(f"/{name}") if isinstance(node, h5py.Dataset) else None)
    return found


def _cut(
    url: str, path: Path, dataset: str, *, storage: Storage, part: tuple[slice, ...], fill_missing: bool
) -> npt.NDArray[Any]:
    with _file(path) as file:
        node = file[dataset]
        absent = [] if storage.complete else absent_parts(node, path, part)
        if absent and not fill_missing:
            raise AbsentVoxelsError(
                f"{url} must have every voxel of {_shown(part)}, got none at {_shown(absent[0].box)}: {absent[0].why}; "
                "write them, or set fill_missing if absent ones are black"
            )
        if storage.outside and absent:
            return np.zeros([s.stop - s.start for s in part], node.dtype)
        with readable(url, "a whole HDF5 dataset", _INSTEAD):
            voxels = np.asarray(node[part])
    for piece in absent:
        inside = tuple(slice(p.start - s.start, p.stop - s.start) for p, s in zip(piece.box, part, strict=True))
        voxels[inside] = 0
    return voxels


@contextlib.contextmanager
def _file(path: Path) -> Iterator[Any]:
    try:
        with readable(path, "a whole HDF5 file", _INSTEAD):
            file = h5py.File(path)
    except BlockingIOError as error:
        raise RefusedVolumeError(
            f"{path} must not be open for writing in another program, got an error: {reason(error)}; close it there"
        ) from error
    with file:
        yield file


def _dataset(file: Any, path: Path, dataset: str) -> Any:
    node, broken = None, ""
    try:
        node = file.get(dataset) if dataset.strip("/") else None
        link = file.get(dataset, getlink=True) if dataset.strip("/") else None
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        broken, link = reason(error), None
    if isinstance(node, h5py.Dataset):
        return node
    if isinstance(link, h5py.ExternalLink):
        raise AbsentVoxelsError(
            f"the file that {path}:{dataset} links to must exist, got none: {link.filename}:{link.path}; "
            "put it back, or name that file in the URL"
        )
    if isinstance(link, h5py.SoftLink):
        raise AbsentVoxelsError(f"{path}:{dataset} must link to a dataset, got {link.path}; name another dataset")
    with readable(path, "a whole HDF5 file", _INSTEAD):
        found = _datasets(file)
    listed = ", ".join(found[:20]) + (" …" if len(found) > 20 else "")
    raise AbsentVoxelsError(
        f"the dataset of {path} must be one of {listed or 'none: the file is empty'}, got {dataset!r}"
        f"{': ' + broken if broken else ''}; write the image as {path}:{found[0] if found else '/dataset'}"
    )


def _check_filters(node: Any, url: str) -> None:
    """Raise an error if a filter that compressed the chunks is not installed."""
    created = node.id.get_create_plist()
    filters = [created.get_filter(place) for place in range(created.get_nfilters())]
    absent = [(code, name) for code, _, _, name in filters if not h5py.h5z.filter_avail(code)]
    if absent and importlib.util.find_spec("hdf5plugin") is not None:
        importlib.import_module("hdf5plugin")
        absent = [(code, name) for code, name in absent if not h5py.h5z.filter_avail(code)]
    if absent:
        code, name = absent[0]
        known = name.decode(errors="replace") if isinstance(name, bytes) else str(name or "")
        raise RefusedVolumeError(
            f"the filters of {url} must be installed, got {known or 'one'} (number {code}), which is not; "
            "pip install hdf5plugin, or repack the file: h5repack -f GZIP=1 FILE NEW"
        )


def _names(attributes: Mapping[str, Any], labels: list[str], count: int) -> tuple[str, ...]:
    """Names of the axes: funlib's, ilastik's, HDF5's, or the usual ones."""
    tags = attributes.get("axistags")
    if isinstance(tags, (str, bytes)):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            named = [str(axis["key"]) for axis in json.loads(tags)["axes"]]
            if len(named) == count:
                return tuple(named)
    for names in (attributes.get("axis_names"), labels):
        if names is not None and len(names) == count and all(len(_text(name).rstrip("^")) == 1 for name in names):
            return tuple(map(_text, names))
    return usual_names(count)


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _shown(part: tuple[slice, ...]) -> str:
    return "_".join(f"{s.start}-{s.stop}" for s in part)
