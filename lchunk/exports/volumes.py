"""Exports of voxels: the checks before work starts, and the choice of the writer."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lchunk.exports.formats import Target, default_dataset
from lchunk.exports.hdf5 import holds, write_hdf5
from lchunk.exports.n5 import write_n5, write_n5_group
from lchunk.exports.npy import write_npy
from lchunk.exports.nrrd_files import write_nrrd
from lchunk.exports.outputs import whole_or_nothing
from lchunk.exports.pictures import write_png, write_tiff_sections
from lchunk.exports.source import Exported, Source
from lchunk.exports.tiff import write_tiff
from lchunk.exports.values import NUMBERED, limits
from lchunk.exports.zarr_arrays import write_ome_zarr, write_zarr, write_zarr_group
from lchunk.geometry.bbox import Bbox
from lchunk.operators.graph import distinct
from lchunk.volumes.chunk_files import missing
from lchunk.volumes.layer import Layer

_WRITERS = {
    "tiff": write_tiff,
    "tiff-sections": write_tiff_sections,
    "png": write_png,
    "nrrd": write_nrrd,
    "npy": write_npy,
    "n5": write_n5,
    "zarr": write_zarr,
    "ome-zarr": write_ome_zarr,
}
FEW = 1 << 20
"""Number of labels of pieces that are kept before they are merged."""
_WAY_OUT = "give a --dtype that holds every value, or --relabel if they are labels"


def export_volume(source: Source, target: Target, *, overwrite: bool = False) -> str:
    """Write the voxels of a source.

    Args:
        source: the voxels to write.
        target: the file or folder to write to.
        overwrite: replace an existing export; other datasets of an HDF5 file are always kept.

    Returns:
        The URL by which `open_volume` reads the export at its position. It includes what the format cannot store.

    Raises:
        FileExistsError: the target exists, and `overwrite` is off.
        ValueError: the format cannot hold such voxels, or `overwrite` would remove something that is not an export.
    """
    (url,) = export_volumes([(source, target)], overwrite=overwrite)
    return url


def export_volumes(outputs: Sequence[tuple[Source, Target]], *, overwrite: bool = False) -> list[str]:
    """Write several volumes, which get their names together, when all of them are complete.

    Args:
        outputs: each source, and the file or folder to write it to; or a dataset in the same HDF5 file as others.
        overwrite: replace existing exports.

    Returns:
        Their URLs, as `export_volume` does.

    Raises:
        FileExistsError, ValueError: as `export_volume`; nothing is written then.
    """
    replaces: dict[Path, bool] = {}
    for source, target in outputs:
        refuse_unfit(source.dtype, source.channels, target)
        replaces[target.path] = refuse_existing(target, _dataset(source.layer, target), overwrite=overwrite)
    with contextlib.ExitStack() as together:
        paths: dict[Path, Path] = {}
        for source, target in outputs:
            dataset = _dataset(source.layer, target)
            if target.path not in paths:
                _write_groups(target)
                partial = whole_or_nothing(target.path, replace=replaces[target.path])
                paths[target.path] = together.enter_context(partial)
                if dataset and target.path.exists():
                    shutil.copyfile(target.path, paths[target.path])  # for its other datasets
            if dataset:
                write_hdf5(source, paths[target.path], dataset)
            else:
                _WRITERS[target.format.name](source, paths[target.path])
    return [_url(source, target, _dataset(source.layer, target)) for source, target in outputs]


def _write_groups(target: Target) -> None:
    """Make the folders above a volume in a container groups."""
    for group in target.groups:
        group.mkdir(parents=True, exist_ok=True)
        (write_n5_group if target.format.name == "n5" else write_zarr_group)(group)


def _dataset(layer: Exported, target: Target) -> str:
    """The path of the dataset in an HDF5 file; empty for other formats."""
    return target.dataset or default_dataset(layer) if target.format.name == "hdf5" else ""


def _url(source: Source, target: Target, dataset: str) -> str:
    form = target.format
    size = "" if form.voxel_size else f"#voxel_size={','.join(f'{side:.12g}' for side in source.voxel_size)}"
    offset = "" if form.offset else f"#offset={','.join(map(str, source.box.start))}"
    return f"{target.path}{f':{dataset}' if dataset else ''}{size}{offset}"


def check_volume(source: Source, target: Target, *, overwrite: bool, numbered: bool) -> None:
    """Raise an error if an export cannot be written, before any voxel is read.

    Args:
        source: the voxels to write.
        target: the file or folder to write to.
        overwrite: whether an existing export may be replaced.
        numbered: whether labels will be renumbered. In that case their count selects the type, unless `dtype` differs
            from the layer's type.

    Raises:
        ValueError, FileExistsError: as `export_volume` does.
    """
    if numbered and not source.layer.labels:
        raise ValueError(f"--relabel must be given with labels only, got {source.layer.name}; leave it out")
    if not numbered or source.dtype != source.layer.dtype:
        refuse_unfit(source.dtype, source.channels, target)
    refuse_existing(target, _dataset(source.layer, target), overwrite=overwrite)


def refuse_unfit(dtype: npt.DTypeLike, channels: int, target: Target) -> None:
    """Raise an error if a format cannot hold such voxels.

    Raises:
        ValueError: the type or the channels do not fit; the message says what to do.
    """
    form = target.format
    if not form.can_hold(np.dtype(dtype)):
        raise ValueError(
            f"voxels of {form.name} must be one of {', '.join(form.dtypes or ())}, got {np.dtype(dtype)}; {_WAY_OUT}"
        )
    if channels and not form.channels:
        raise ValueError(
            f"voxels of {form.name} must have no channels, got {channels}; write one with --channel 0, or all to "
            "another format"
        )


def refuse_existing(target: Target, dataset: str = "", *, overwrite: bool) -> bool:
    """Raise an error if a target exists and may not be replaced.

    Args:
        target: the file or folder to write to.
        dataset: path in an HDF5 file; it is added to an existing file that has no dataset of this name.
        overwrite: whether an existing export may be replaced.

    Returns:
        Whether a file or folder of this name may be replaced.

    Raises:
        FileExistsError: the target exists.
        ValueError: the target exists and must not be overwritten, because it is not an export of this format.
    """
    path, form = target.path, target.format
    if not os.path.lexists(path):
        return overwrite
    shown = f"{path}:{dataset}" if dataset else str(path)
    if path.is_dir() and any(path.iterdir()) and not (form.replaceable and form.replaceable(path)):
        raise ValueError(
            f"the output must be new, or an export as {form.name}, got the folder {path}, which holds other files; "
            "write to another name"
        )
    added = bool(dataset) and not path.is_dir() and not holds(path, dataset)
    if not overwrite and not added:
        raise FileExistsError(
            f"the output must be new, got {shown}, which already exists; remove it, or add --overwrite"
        )
    return True


def checked_box(layer: Layer, box: Bbox | None) -> Bbox:
    """The box to export; the whole layer if none is given.

    Raises:
        ValueError: the box is empty, or not inside the layer.
    """
    if box is None:
        return layer.bounds
    if not box.size or not layer.bounds.contains(box):
        raise ValueError(
            f"--box must hold voxels of {layer.name} at mip {layer.mip}, which has {layer.bounds}, got {box}; "
            "correct it"
        )
    return box


def refuse_missing(layer: Layer, box: Bbox, again: str) -> None:
    """Raise an error if chunk files of a box are missing.

    Args:
        layer: one mip of a layer.
        box: a box inside its bounds.
        again: the command that makes the missing chunks.

    Raises:
        FileNotFoundError: chunk files are missing; the message gives their number.
    """
    absent = missing(layer, box)
    for first in islice(absent, 1):
        count = 1 + sum(1 for _ in absent)
        every = sum(1 for _ in layer.grid.meeting(box))
        raise FileNotFoundError(
            f"layer {layer.path} in {layer.store.url} must have every chunk of {box}, but {count} of {every} are "
            f"missing, the first at {layer.grid.chunk(first)}; `{again}` makes them, and --fill-missing takes 0 there"
        )


def relabelled(source: Source, target: Target, dtype: np.dtype[np.generic] | None) -> Source:
    """Number the labels of a box from 1, in their order. This reads the whole box once.

    Args:
        source: a box of labels.
        target: the file or folder to write to.
        dtype: the type to write; None for the smallest type of `NUMBERED` that can hold the numbers and that the format
            supports.

    Raises:
        ValueError: no such type can hold the numbers.
    """
    numbers = _distinct(replace(source, dtype=source.layer.dtype))
    types = [np.dtype(name) for name in NUMBERED] if dtype is None else [dtype]
    found = next((t for t in types if limits(t)[1] >= len(numbers) and target.format.can_hold(t)), None)
    if found is None:
        raise ValueError(
            f"a type of {target.format.name} must hold the number of labels, got {len(numbers)} labels in "
            f"{source.box}; export a smaller --box, or use another format"
        )
    return replace(source, dtype=found, numbers=numbers)


def _distinct(source: Source) -> npt.NDArray[np.uint64]:
    """Every label of a box, in ascending order, without 0."""
    known: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
    parts = [known]
    for _, voxels in source.pieces():
        parts.append(distinct(voxels).astype(np.uint64))
        if sum(map(len, parts)) > max(FEW, 2 * len(known)):
            known = np.unique(np.concatenate(parts))
            parts = [known]
    known = np.unique(np.concatenate(parts))
    labels: npt.NDArray[np.uint64] = known[known != 0]
    return labels
