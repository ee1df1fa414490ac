"""Open and check all volumes from outside the dataset: externals, masks and true labels.

`checked_external` checks only the header: type, axes, channels, position, voxel size. `CheckedVolume.sample` reads a
few boxes, before work. Every box that is read later is checked completely.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.operators.masking import coarsened
from lchunk.tasks.external_values import RULES, Kind, checked, dtype_read
from lchunk.volumes.formats import OpenedVolume, open_volume
from lchunk.volumes.volume import VoxelSize, padded

_SAMPLE: Triple = (8, 64, 64)
"""Shape of a box of the sample."""


@dataclass(frozen=True)
class Expected:
    """What a volume from outside must be.

    Args:
        name: its name for the user: `Segmentation-external`, `ground_truth`.
        kind: the kind of values that it must hold.
        bounds: the box that is read from it, in voxels of the dataset.
        image: the box of the whole image.
        voxel_size: nanometres of the dataset, zyx.
        channels: 0 for (z, y, x), else the length of the first axis; None: any number.
        partial: whether it may cover only a part of the bounds; the rest is 0.
        factor: voxels of the dataset that one of its own covers.
        beside: what its place and voxel size are compared with, for the user.
    """

    name: str
    kind: Kind
    bounds: Bbox
    image: Bbox
    voxel_size: VoxelSize
    channels: int | None = 0
    partial: bool = False
    factor: Triple = (1, 1, 1)
    beside: str = "the dataset"


@dataclass(frozen=True)
class CheckedVolume:
    """A volume from outside whose header was checked; its voxels are checked when they are read."""

    volume: OpenedVolume
    expected: Expected
    dtype: np.dtype[Any]

    @property
    def url(self) -> str:
        return self.volume.url

    @property
    def bounds(self) -> Bbox:
        return self.volume.bounds

    @property
    def voxel_size(self) -> VoxelSize:
        z, y, x = (size * f for size, f in zip(self.expected.voxel_size, self.expected.factor, strict=True))
        return self.volume.voxel_size or (z, y, x)

    @property
    def channels(self) -> int:
        return self.volume.channels

    def read(self, bbox: Bbox, *, fill_missing: bool = False) -> npt.NDArray[Any]:
        """Voxels of a box, in `dtype`; 0 outside the dataset's bounds, as in the layer that it replaces.

        Raises:
            FileNotFoundError: a part is absent, and neither `fill_missing` nor the URL asks for 0.
            ValueError: a voxel is NaN, out of range, negative or not a whole number.
        """
        inside = bbox if self.expected.partial else bbox.clipped(self.expected.bounds)
        if not inside.size:
            return np.zeros((*([self.channels] if self.channels else []), *bbox.shape), self.dtype)
        voxels = self.volume.read(inside, fill_missing=fill_missing)
        found = checked(voxels, self.expected.kind, f"{self.expected.name} {self.url} at {inside}")
        return padded(found, inside, bbox)

    def fingerprint(self) -> str:
        return self.volume.fingerprint()

    def sample(self) -> None:
        """Check each file of a set, and read boxes at the corners and in the middle.

        Raises:
            FileNotFoundError, ValueError: see `read`.
        """
        self.volume.inspect()
        within = coarsened(self.expected.bounds, self.expected.factor).clipped(self.bounds)
        for bbox in _boxes(within):
            self.read(bbox)


def checked_external(expected: Expected, url: str) -> CheckedVolume:
    """Open a volume from outside and compare its header with what it must be.

    Args:
        expected: what it must be.
        url: its URL.

    Raises:
        FileNotFoundError: it is absent.
        ValueError: it cannot be read, or its type, channels, position or voxel size differs; the message names the
            value and what to do.
    """
    volume = open_volume(url, expected.name)
    dtype = dtype_read(expected.kind, volume.dtype)
    if dtype is None or expected.channels not in (None, volume.channels):
        raise ValueError(
            f"{expected.name} must be {_axes(expected.channels)} {RULES[expected.kind]}, got {_axes(volume.channels)} "
            f"{volume.dtype} of {volume.bounds.shape} voxels in {url}; {_instead(expected, volume, dtype is None)}"
        )
    _check_size(expected, volume)
    _check_place(expected, volume)
    return CheckedVolume(volume, expected, dtype)


def _axes(channels: int | None) -> str:
    if channels is None:
        return "(z, y, x) or (channel, z, y, x)"
    return f"({channels} channels, z, y, x)" if channels else "(z, y, x)"


def _instead(expected: Expected, volume: OpenedVolume, wrong_type: bool) -> str:
    if wrong_type:
        return "convert it first"
    if volume.channels and expected.channels == 0:
        return "pick one with #channel=0 after its URL, or name its axes, as in #axes=zyxc"
    return "give another volume, or name its axes if they are in another order, as in #axes=zyxc"


def _check_size(expected: Expected, volume: OpenedVolume) -> None:
    wanted = tuple(size * f for size, f in zip(expected.voxel_size, expected.factor, strict=True))
    if volume.voxel_size is not None and not np.allclose(volume.voxel_size, wanted, rtol=1e-3):
        raise ValueError(
            f"{expected.name} must have the voxel size of {expected.beside}, {wanted} nm (z, y, x), got "
            f"{volume.voxel_size} in {volume.url}; resample it, or if its file is wrong write "
            f"#voxel_size={','.join(f'{size:g}' for size in wanted)} after its URL"
        )


def _check_place(expected: Expected, volume: OpenedVolume) -> None:
    needed, image = coarsened(expected.bounds, expected.factor), coarsened(expected.image, expected.factor)
    if not volume.placed and (any(image.start) or volume.bounds.shape != image.shape):
        raise ValueError(
            f"{expected.name} must say where it begins, because it is {volume.bounds.shape} voxels and the image is "
            f"{image}, got no offset in {volume.url}; write its first voxel after its URL: "
            f"#offset={','.join(map(str, image.start))}"
        )
    if expected.partial:
        if not volume.bounds.clipped(needed).size:
            raise ValueError(
                f"{expected.name} must overlap {expected.beside}'s bounds, {needed}, got {volume.bounds} in "
                f"{volume.url}; correct its first voxel with #offset=z,y,x after its URL"
            )
    elif not volume.bounds.contains(needed):
        raise ValueError(
            f"{expected.name} must cover the dataset's bounds, {needed}, got {volume.bounds} in {volume.url}; "
            "correct its first voxel with #offset=z,y,x after its URL, or set [Dataset] bounds to what it covers"
        )


def _boxes(within: Bbox) -> list[Bbox]:
    """Small boxes at the corners and in the middle; one box if the volume is small."""
    sides = triple(min(pair) for pair in zip(_SAMPLE, within.shape, strict=True))
    rooms = [whole - side for whole, side in zip(within.shape, sides, strict=True)]
    places = [[0, room] if room else [0] for room in rooms]
    corners = [*itertools.product(*places), tuple(room // 2 for room in rooms)]
    starts = dict.fromkeys(triple(a + b for a, b in zip(within.start, corner, strict=True)) for corner in corners)
    return [Bbox.of(start, sides) for start in starts]
