"""NRRD: pynrrd reads the header; a box is read from raw voxels, or decoded from a gzip stream."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import numpy.typing as npt

from lchunk.volumes.formats.axes import arrange
from lchunk.volumes.formats.gzip_points import GzipPoints
from lchunk.volumes.formats.opened import Cut, OpenedVolume, opened
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement, exported_start, first_voxel, overruled, size_of, unit_of
from lchunk.volumes.formats.raw_box import read_box
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError, readable
from lchunk.volumes.formats.units import is_no_unit
from lchunk.volumes.place import on_disk

_RULE, _INSTEAD = "a whole NRRD file", "save it again with encoding raw or gzip"
_SPATIAL = ("domain", "space", "none", "???", "")


def open_nrrd(url: str, path: Path, options: Options) -> OpenedVolume:
    """Open a file, or a header (`.nhdr`) with one data file. NRRD counts axes from the fastest one.

    Raises:
        RefusedVolumeError: its encoding, axes or directions are not those of a plain volume.
        AbsentVoxelsError: the data file is absent.
    """
    with readable(path, _RULE, _INSTEAD), open(path, "rb") as file:
        header: Mapping[str, Any] = nrrd.read_header(file)
        after = file.tell()
        shape = tuple(int(length) for length in header["sizes"])[::-1]
        dtype = _dtype(header)
        names = _names(header, len(shape), url)
    data, offset = _data(header, path, after)
    cut = _cut_of(header, data, offset, shape=shape, dtype=dtype, path=path)
    arrangement = arrange(names, shape, options, url)
    placement = overruled(_placement(header, options.axes or names, options, url), options)
    return opened(
        url,
        options,
        arrangement,
        placement,
        dtype=dtype,
        cut=cut,
        files=lambda: list(map(on_disk, dict.fromkeys([path, data]))),
        header=on_disk(path),
    )


def _dtype(header: Mapping[str, Any]) -> np.dtype[Any]:
    dtype = np.dtype(nrrd.reader._TYPEMAP_NRRD2NUMPY[header["type"]])
    endian = str(header.get("endian", "little" if dtype.itemsize == 1 else "")).lower()
    if endian not in ("big", "little"):
        raise ValueError(f"endian {endian}")
    order = ">" if endian == "big" else "<"
    ordered: np.dtype[Any] = dtype.newbyteorder(order)
    return ordered


def _names(header: Mapping[str, Any], count: int, url: str) -> tuple[str, ...]:
    """Letters of the axes from the slowest one; the spatial axes are z, y, x in that order."""
    kinds = [str(kind or "").lower() for kind in header.get("kinds", [])]
    if not kinds and "space directions" in header:
        directions = np.asarray(header["space directions"], float)
        kinds = ["space" if np.isfinite(row).all() else "list" for row in directions]
    kinds = kinds or ["space"] * min(count, 3) + ["list"] * (count - 3)
    letters, left = [], iter("xyz")
    for kind in kinds:
        if kind in _SPATIAL:
            letters.append(next(left, "i"))
        else:
            letters.append("t" if kind == "time" else "c")
    if len(letters) != count or letters.count("c") > 1:
        raise RefusedVolumeError(
            f"axes of {url} must be x, y, z, and at most a channel and a time, got the kinds {', '.join(kinds)}; "
            "name them from the slowest: #axes=zyx"
        )
    return tuple(reversed(letters))


def _data(header: Mapping[str, Any], path: Path, after: int) -> tuple[Path, int]:
    """The file of the voxels, and the byte at which they, or their compressed stream, begin."""
    name = header.get("data file", header.get("datafile"))
    data = path if name is None else path.parent / str(name)
    if name is not None and (str(name).startswith("LIST") or "%" in str(name)):
        raise RefusedVolumeError(f"{path} must have one data file, got {name}; save it as one NRRD file")
    if not data.is_file():
        raise AbsentVoxelsError(f"the data file of {path} must exist, got none at {data}; put it back")
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    skipped = int(header.get("byte skip", header.get("byteskip", 0)))
    start = after if name is None else 0
    with open(data, "rb") as file:
        file.seek(start)
        for _ in range(lines):
            file.readline()
        start = file.tell()
    return data, start if skipped == -1 else start + skipped


def _cut_of(
    header: Mapping[str, Any], data: Path, offset: int, *, shape: tuple[int, ...], dtype: np.dtype[Any], path: Path
) -> Cut:
    encoding, size = str(header.get("encoding", "")).lower(), math.prod(shape) * dtype.itemsize
    if encoding == "raw":
        there = data.stat().st_size
        if int(header.get("byte skip", header.get("byteskip", 0))) == -1:
            offset = there - size
        if offset < 0 or there - offset != size:
            raise RefusedVolumeError(
                f"{data} must hold {size} bytes of voxels, got {max(0, there - max(0, offset))}; the file is "
                "truncated, or its header is wrong: " + _INSTEAD
            )

        def mapped(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
            with readable(data, _RULE, _INSTEAD):
                return read_box(data, dtype, offset, shape, part)

        return mapped
    if encoding not in ("gzip", "gz"):
        raise RefusedVolumeError(f"the encoding of {path} must be raw or gzip, got {encoding}; {_INSTEAD}")
    if size < 1 << 32:
        _check_length(data, size)
    points = GzipPoints(data, offset)

    def unpacked(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        with readable(data, _RULE, _INSTEAD):
            return _unpacked(points, part, shape, dtype)

    return unpacked


def _check_length(data: Path, size: int) -> None:
    """Refuse a truncated file: a gzip stream ends with the length of its content, modulo 4 GiB."""
    with open(data, "rb") as file:
        file.seek(-min(4, data.stat().st_size), 2)
        length = int.from_bytes(file.read(4), "little")
    if length != size:
        raise RefusedVolumeError(
            f"{data} must hold {size} bytes of voxels, got a stream that ends with the length {length}; "
            "the file is truncated, or was compressed in parts: " + _INSTEAD
        )


def _unpacked(
    points: GzipPoints, part: Sequence[slice], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Read a box, plane by plane of its last two axes."""
    voxels = np.empty([s.stop - s.start for s in part], dtype)
    outer = list(itertools.product(*(range(s.start, s.stop) for s in part[:-2])))
    y, x = part[-2:]
    row = shape[-1] * dtype.itemsize
    plane = shape[-2] * row

    def pieces() -> Any:
        for place in outer:
            start = (int(np.ravel_multi_index(place, shape[:-2])) if place else 0) * plane
            yield start + y.start * row, start + y.stop * row

    for place, body in zip(outer, points.read(pieces()), strict=True):
        rows = np.frombuffer(body, dtype).reshape(y.stop - y.start, shape[-1])
        voxels[tuple(p - s.start for p, s in zip(place, part, strict=False))] = rows[:, x]
    return voxels


def _placement(header: Mapping[str, Any], names: Sequence[str], options: Options, url: str) -> Placement:
    """Voxel size and first voxel, from directions along the axes or from spacings."""
    spacings, moved = _spacings(header, names, url), _origin(header)
    if spacings is None:
        return Placement(note="its header has no spacings")
    unit = next(iter(header.get("space units", header.get("units", []))), None)
    size, note = options.voxel_size, ""
    if size is None and is_no_unit(unit if unit is None else str(unit)):
        note = f"its spacings {', '.join(f'{s:g}' for s in spacings)} (z, y, x) have no unit"
    elif size is None:
        size = size_of(spacings, unit_of(str(unit), url), url)
    if moved is None or options.offset is not None:
        return Placement(size, note=note)
    size_of(spacings, 1.0, url)  # refuses spacings that the origin cannot be divided by
    centres = [origin / spacing for origin, spacing in zip(moved, spacings, strict=True)]
    start = exported_start([centre - 0.5 for centre in centres], header.get("lchunk"))
    return Placement(size, start or first_voxel(centres, url), placed=True, note=note)


def _spacings(header: Mapping[str, Any], names: Sequence[str], url: str) -> list[float] | None:
    """Distance between neighbouring voxels along z, y, x."""
    places = [len(names) - 1 - list(names).index(name) for name in "zyx" if name in names]
    if len(places) < 3:
        return None
    if header.get("space directions") is None:
        spacings = header.get("spacings")
        return None if spacings is None else [float(spacings[place]) for place in places]
    directions = np.asarray(header["space directions"], float)[places][:, ::-1]
    if directions.shape != (3, 3) or (directions != np.diag(np.diag(directions))).any() or (directions < 0).any():
        raise RefusedVolumeError(
            f"the directions of {url} must lie along x, y, z, each upwards, got {directions[:, ::-1].tolist()} for "
            "z, y, x; resample it, or write #voxel_size=z,y,x and #offset=z,y,x after its URL"
        )
    return [float(spacing) for spacing in np.diag(directions)]


def _origin(header: Mapping[str, Any]) -> list[float] | None:
    origin = header.get("space origin")
    if origin is None or len(origin) != 3 or not np.isfinite(np.asarray(origin, float)).all():
        return None
    return [float(position) for position in reversed(origin)]
