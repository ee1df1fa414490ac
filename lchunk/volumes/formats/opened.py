"""An opened volume of another program: every format returns this class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats.axes import Arrangement
from lchunk.volumes.formats.fingerprints import fingerprint
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.placing import Placement
from lchunk.volumes.formats.refusals import AbsentVoxelsError, RefusedVolumeError
from lchunk.volumes.place import Place
from lchunk.volumes.stamp import Stamp
from lchunk.volumes.volume import VoxelSize, padded

Cut = Callable[[tuple[slice, ...], bool], npt.NDArray[Any]]
"""Takes one slice per axis of the array, and whether absent parts read as 0."""


def _nothing() -> None:
    """The check of a volume that was checked completely when it was opened."""


@dataclass(frozen=True)
class OpenedVolume:
    """Voxels of another program, read in place and never written.

    Args:
        url: the URL as the user wrote it.
        bounds: the box of all voxels.
        voxel_size: nanometres zyx; None where neither the file nor the URL gives it.
        dtype: type of a voxel, in the machine's byte order.
        channels: 0 for (z, y, x), else the length of the first axis.
        placed: whether the file or the URL gives the first voxel.
        note: why there is no voxel size.
        fill_missing: whether the URL asks for 0 where a part is absent.
        cut: reads a box inside the bounds, in voxels from their start.
        files: returns the files that hold the volume.
        inspect: checks every file of a set; costs a look into each, so it is done once, before work.
        header: the file that says how to read the others; None if no store of lchunk holds it.
        stamp: its size and its time when it was opened; None where it was not there.
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
    files: Callable[[], Sequence[Place]]
    inspect: Callable[[], None]
    header: Place | None
    stamp: Stamp | None

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        inside = bbox.clipped(self.bounds)
        if not inside.size:
            shape = (self.channels, *bbox.shape) if self.channels else bbox.shape
            return np.zeros(shape, self.dtype)
        stamp = self.stamp if self.header is None else self.header.stamp()
        if self.header is not None and stamp is None:
            raise AbsentVoxelsError(f"{self.header} must stay while it is read, got none: it was removed; put it back")
        if stamp != self.stamp:
            raise RefusedVolumeError(
                f"{self.header} must not change while it is read, but it was rewritten; run the command again"
            )
        voxels = self.cut(inside.slices(self.bounds.start), fill_missing or self.fill_missing)
        return padded(voxels.astype(self.dtype, copy=False), inside, bbox)

    def fingerprint(self) -> str:
        return fingerprint(self.files())


def opened(
    url: str,
    options: Options,
    arrangement: Arrangement,
    placement: Placement,
    *,
    dtype: np.dtype[Any],
    cut: Cut,
    files: Callable[[], Sequence[Place]],
    header: Place | None,
    inspect: Callable[[], None] = _nothing,
) -> OpenedVolume:
    """Make a volume of an array and the arrangement of its axes.

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
        stamp=None if header is None else header.stamp(),
    )
