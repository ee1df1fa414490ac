"""Find voxels of an HDF5 dataset that are in no file: HDF5 reads them as its fill value, without an error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lchunk.volumes.formats.refusals import RefusedVolumeError, readable

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Storage:
    """How a dataset is stored.

    Args:
        complete: whether every voxel is in the file itself.
        outside: whether the voxels are in other files, raw.
    """

    complete: bool
    outside: bool


@dataclass(frozen=True)
class Absent:
    """A box of voxels that are in no file, in the dataset's indices, and the reason."""

    box: Box
    why: str


def storage_of(node: Any) -> Storage:
    """How a dataset is stored; counts the chunks that were written."""
    if node.is_virtual or node.external:
        return Storage(False, not node.is_virtual)
    if node.chunks is not None:
        total = math.prod(-(-length // side) for length, side in zip(node.shape, node.chunks, strict=True))
        return Storage(node.id.get_num_chunks() == total, False)
    return Storage(node.id.get_storage_size() > 0, False)


def outside_files(node: Any, path: Path) -> list[Path]:
    """Files that hold voxels of a dataset, other than its own file."""
    if node.is_virtual:
        found = [_source_path(source.file_name, path) for source in node.virtual_sources()]
        return [file for file in dict.fromkeys(found) if file != path]
    return [Path(name) for name, _, _ in _external(node)]


def absent_parts(node: Any, path: Path, part: Box) -> list[Absent]:
    """The boxes of a part whose voxels are in no file.

    Args:
        node: the dataset.
        path: path of its file.
        part: one slice per axis.
    """
    if node.is_virtual:
        return list(_without_source(node, path, part))
    if node.external:
        return list(_without_external(node, part))
    if node.chunks is None:
        return [] if node.id.get_storage_size() else [Absent(part, "the dataset was never written")]
    return list(_never_written(node, part))


def _never_written(node: Any, part: Box) -> Iterator[Absent]:
    places = [range(s.start // side, -(-s.stop // side)) for s, side in zip(part, node.chunks, strict=True)]
    for place in itertools.product(*places):
        corner = tuple(p * side for p, side in zip(place, node.chunks, strict=True))
        if node.id.get_chunk_info_by_coord(corner).byte_offset is None:
            chunk = tuple(slice(c, c + side) for c, side in zip(corner, node.chunks, strict=True))
            yield Absent(_common(chunk, part), "the chunk was never written")


def _without_external(node: Any, part: Box) -> Iterator[Absent]:
    left = math.prod(node.shape) * node.dtype.itemsize
    for name, offset, size in _external(node):
        wanted = min(size, left)
        file = Path(name)
        if not file.exists():
            yield Absent(
                part,
                f"there is no file {name}; put it back, or set HDF5_EXTFILE_PREFIX='${{ORIGIN}}' if it is in the "
                "dataset's folder",
            )
            return
        there = max(0, file.stat().st_size - offset)
        if there < wanted:
            yield Absent(part, f"{name} holds {there} bytes of {wanted}")
            return
        left -= wanted
    if left:
        yield Absent(part, f"its external files are {left} bytes too short")


def _external(node: Any) -> list[tuple[str, int, int]]:
    return [(str(name), int(offset), int(size)) for name, offset, size in node.external or []]


def _without_source(node: Any, path: Path, part: Box) -> Iterator[Absent]:
    mapped = 0
    boxes: list[Box] = []
    for source in node.virtual_sources():
        first, last = source.vspace.get_select_bounds()
        target = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        common = _common(target, part)
        if _size(common) == 0:
            continue
        if "%b" in source.file_name:
            raise RefusedVolumeError(
                f"sources of a virtual dataset must be named one by one, got the pattern {source.file_name} in {path}; "
                "repack it: h5repack -l CONTI FILE NEW"
            )
        if source.vspace.get_select_npoints() != _size(target):
            boxes.append(target)  # strided: several sources share a box, which counts as mapped
            mapped = _size(part)
        else:
            boxes.append(target)
            mapped += _size(common)
        yield from _absent_source(source, path, target, common)
    if mapped < _size(part):
        yield from _unmapped(boxes, part)


def _absent_source(source: Any, path: Path, target: Box, common: Box) -> Iterator[Absent]:
    """The boxes of a part that are absent from a source, in the dataset's indices."""
    file = _source_path(source.file_name, path)
    if not file.exists():
        yield Absent(common, f"there is no file {file}")
        return
    with readable(file, "a whole HDF5 file", "copy it again"), h5py.File(file) as opened:
        there = opened.get(source.dset_name)
        if not isinstance(there, h5py.Dataset):
            yield Absent(common, f"there is no dataset {source.dset_name} in {file}")
            return
        if not source.src_space.is_simple() or source.src_space.get_select_type() == h5py.h5s.SEL_ALL:
            first: tuple[int, ...] = (0,) * there.ndim
            shape = there.shape
        else:
            first, last = source.src_space.get_select_bounds()
            shape = tuple(b - a + 1 for a, b in zip(first, last, strict=True))
        if shape != tuple(s.stop - s.start for s in target):
            return
        moved = tuple(
            slice(c.start - t.start + a, c.stop - t.start + a) for c, t, a in zip(common, target, first, strict=True)
        )
        for absent in absent_parts(there, file, moved):
            back = tuple(
                slice(b.start + t.start - a, b.stop + t.start - a)
                for b, t, a in zip(absent.box, target, first, strict=True)
            )
            yield Absent(back, f"in {file.name}, {absent.why}")


def _unmapped(boxes: list[Box], part: Box) -> Iterator[Absent]:
    """Boxes that no source is mapped to, one per run of voxels in a row."""
    free = np.ones([s.stop - s.start for s in part], bool)
    for box in boxes:
        common = _common(box, part)
        free[tuple(slice(c.start - s.start, c.stop - s.start) for c, s in zip(common, part, strict=True))] = False
    for place in np.argwhere(free.any(axis=-1)):
        row = np.flatnonzero(free[tuple(place)])
        for run in np.split(row, np.flatnonzero(np.diff(row) > 1) + 1):
            starts = [*place, run[0]]
            stops = [*(place + 1), run[-1] + 1]
            yield Absent(
                tuple(slice(int(a) + s.start, int(b) + s.start) for a, b, s in zip(starts, stops, part, strict=True)),
                "no source is mapped there",
            )


def _source_path(name: str, path: Path) -> Path:
    return path if name == "." else path.parent / name


def _common(one: Box, other: Box) -> Box:
    return tuple(
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(one, other, strict=True)
    )


def _size(box: Box) -> int:
    return math.prod(s.stop - s.start for s in box)
