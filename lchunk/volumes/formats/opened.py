"""A volume of another program, opened: the one form that every format is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats.axes import Arrangement
from lchunk.volumes.formats.fingerprints import fingerprint
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError
from lchunk.volumes.volume import VoxelSize, padded

Cut = Callable[[tuple[slice, ...], bool], npt.NDArray[Any]]
"""Takes a slice for each axis of the array, and whether absent parts read as 0."""


def _nothing() -> None:
    """The check of a volume that was checked whole when it was opened."""


@dataclass(frozen=True)
class OpenedVolume:
    """Voxels of another program, read in place and never written.

    Args:
        url: as the person wrote it.
        bounds: every voxel there is.
        voxel_size: nanometres zyx; None where neither file nor URL says.
        dtype: of a voxel, in the machine's byte order.
        channels: 0 for (z, y, x), else the length of the first axis.
        placed: whether the file or the URL says where the volume begins.
        note: why there is no voxel size.
        fill_missing: the URL asks for 0 where a part is absent.
        cut: takes a box inside the bounds, in voxels from their start.
        files: what the volume is made of.
        inspect: checks every file of a set; costs a look into each, so it is done once, before work.
        header: the file that says how to read the others; None where it is on no disk.
        stamp: its bytes and its time when it was opened.
        identity: the fingerprint, where that is no matter of files on a disk.
    """

    url: str
    bounds: Bbox
    voxel_size: VoxelSize | None
    dtype: np.dtype[Any]
    channels: int
    placed: bool
    note: str
    fill_missing: bool
    cut: Cut
    files: Callable[[], Sequence[Path]]
    inspect: Callable[[], None]
    header: Path | None
    stamp: tuple[int, int]
    identity: Callable[[], str] | None = None

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        inside = bbox.clipped(self.bounds)
        if not inside.size:
            shape = (self.channels, *bbox.shape) if self.channels else bbox.shape
            return np.zeros(shape, self.dtype)
        stamp = self.stamp if self.header is None else stamp_of(self.header)
        if self.header is not None and stamp == NO_FILE:
            raise AbsentVoxelsError(f"{self.header} must stay while it is read, got none: it was removed; put it back")
        if stamp != self.stamp:
            raise RefusedVolumeError(
                f"{self.header} must stay as it is while it is read, got one that was written anew; start again"
            )
        voxels = self.cut(inside.slices(self.bounds.start), fill_missing or self.fill_missing)
        return padded(voxels.astype(self.dtype, copy=False), inside, bbox)

    def fingerprint(self) -> str:
        return fingerprint(self.files()) if self.identity is None else self.identity()


NO_FILE = (-1, -1)


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes and time of a file; (-1, -1) where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return NO_FILE
    return found.st_size, found.st_mtime_ns


def opened(
    url: str,
    options: Options,
    arrangement: Arrangement,
    placement: Placement,
    *,
    dtype: np.dtype[Any],
    cut: Cut,
    files: Callable[[], Sequence[Path]],
    header: Path | None,
    inspect: Callable[[], None] = _nothing,
    identity: Callable[[], str] | None = None,
) -> OpenedVolume:
    """A volume of an array whose axes are arranged.

    Raises:
        RefusedVolumeError: its voxels are not numbers.
    """
    if dtype.kind not in "biuf":
        raise RefusedVolumeError(f"voxels of {url} must be numbers, got the type {dtype}; convert them first")

    def arranged(part: tuple[slice, ...], fill_missing: bool) -> npt.NDArray[Any]:
        z, y, x = part
        return arrangement.arranged(cut(arrangement.index((z, y, x)), fill_missing))

    return OpenedVolume(
        url=url,
        bounds=Bbox.of(placement.start, arrangement.zyx),
        voxel_size=placement.voxel_size,
        dtype=dtype.newbyteorder("="),
        channels=arrangement.channels,
        placed=placement.placed,
        note=placement.note,
        fill_missing=options.fill_missing,
        cut=arranged,
        files=files,
        inspect=inspect,
        header=header,
        stamp=NO_FILE if header is None else stamp_of(header),
        identity=identity,
    )
