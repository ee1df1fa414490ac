"""Axes by their names: which axis of an array is z, y, x or channel, and which are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple
from lchunk.volumes.formats.options import Options
from lchunk.volumes.formats.refusals import RefusedVolumeError

UNNAMED = "i"
"""An axis of images without a name; it is z if there is no other z."""

SAMPLES = "s"
"""The axis of red, green and blue of a pixel."""


@dataclass(frozen=True)
class Arrangement:
    """How an array becomes (z, y, x) or (channel, z, y, x).

    Args:
        shape: shape of the array.
        picked: the position on each axis that is dropped; None for an axis that is kept.
        places: which axis is channel, z, y and x; None where there is none.
    """

    shape: tuple[int, ...]
    picked: tuple[int | None, ...]
    places: tuple[int | None, int | None, int, int]

    @property
    def channels(self) -> int:
        """Length of the channel axis, or 0."""
        return 0 if self.places[0] is None else self.shape[self.places[0]]

    @property
    def zyx(self) -> Triple:
        """Voxels along each axis."""
        _, z, y, x = self.places
        return 1 if z is None else self.shape[z], self.shape[y], self.shape[x]

    def index(self, part: tuple[slice, slice, slice]) -> tuple[slice, ...]:
        """The slices, one per axis of the array, of a box."""
        slices = [
            slice(0, length) if place is None else slice(place, place + 1)
            for length, place in zip(self.shape, self.picked, strict=True)
        ]
        for axis, wanted in zip(self.places[1:], part, strict=True):
            if axis is not None:
                slices[axis] = wanted
        return tuple(slices)

    def arranged(self, voxels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Voxels that were read with `index`, as ([channel], z, y, x)."""
        kept = [axis for axis in self.places if axis is not None]
        moved = voxels.transpose(*kept, *(axis for axis in range(voxels.ndim) if axis not in kept))
        moved = moved.reshape(moved.shape[: len(kept)])
        return np.expand_dims(moved, -3) if self.places[1] is None else moved


def usual_names(count: int) -> tuple[str, ...]:
    """Names for the axes of an array whose file names none.

    >>> usual_names(3), usual_names(4), usual_names(6)
    (('z', 'y', 'x'), ('c', 'z', 'y', 'x'), ('', 't', 'c', 'z', 'y', 'x'))
    """
    return ("",) * (count - 5) + ("t", "c", "z", "y", "x")[-count:] if count else ()


def arrange(names: Sequence[str], shape: Sequence[int], options: Options, what: str) -> Arrangement:
    """Find z, y, x and channel among named axes; drop axes of length 1, and those on which the URL picks a position.

    Args:
        names: the name of each axis, in the array's order.
        shape: shape of the array.
        options: options of the URL.
        what: the volume's name in messages.

    Raises:
        RefusedVolumeError: an axis is absent, duplicate or of unknown meaning, or a position must be picked.
    """
    if options.axes:
        if len(options.axes) != len(shape):
            raise RefusedVolumeError(
                f"axes must name each of the {len(shape)} axes of {what}, shape {tuple(shape)}, got {options.axes}; "
                "write one letter for each"
            )
        names = list(options.axes)
    names = _with_z([name.lower().rstrip("^") for name in names], shape)
    shown = ", ".join(f"{name or '?'}: {length}" for name, length in zip(names, shape, strict=True))
    if 0 in shape:
        raise RefusedVolumeError(f"{what} must hold at least one voxel, got axes {shown}; give another file")
    for name in "zyx":
        if names.count(name) > 1 or (name != "z" and name not in names):
            raise RefusedVolumeError(
                f"{what} must have the axes z, y and x once each, got {shown}; name them in order: #axes=zyx"
            )
    long = [name for name, length in zip(names, shape, strict=True) if length > 1]
    if long.count("t") > 1 or long.count("c") + long.count(SAMPLES) > 1:
        raise RefusedVolumeError(
            f"{what} must have at most one axis of channels and one of time, got {shown}; "
            "save the part that you want as a file of its own"
        )
    picked = tuple(_pick(name, length, options, what, shown) for name, length in zip(names, shape, strict=True))
    kept = [None if place is not None else name for name, place in zip(names, picked, strict=True)]
    if options.channel is not None and not {"c", SAMPLES} & set(names):
        raise RefusedVolumeError(f"channel must be left out where {what} has no channels, got axes {shown}")
    if options.t is not None and "t" not in names:
        raise RefusedVolumeError(f"t must be left out where {what} has no time axis, got axes {shown}")
    places = [kept.index(name) if name in kept else None for name in ("c", "z")]
    return Arrangement(tuple(shape), picked, (places[0], places[1], kept.index("y"), kept.index("x")))


def _with_z(names: list[str], shape: Sequence[int]) -> list[str]:
    """The names, with an axis of images renamed to z if there is no other z."""
    known = ["i" if name == "q" else name for name in names]
    long = [place for place, name in enumerate(known) if name == UNNAMED and shape[place] > 1]
    if "z" not in known and len(long) == 1:
        known[long[0]] = "z"
    return known


def _pick(name: str, length: int, options: Options, what: str, shown: str) -> int | None:
    """The position at which an axis is dropped; None where it is kept."""
    if name in ("z", "y", "x"):
        return None
    wanted = {"t": options.t, "c": options.channel, SAMPLES: options.channel}.get(name)
    if wanted is not None:
        if wanted >= length > 1:
            raise RefusedVolumeError(
                f"{'t' if name == 't' else 'channel'} must be in 0 to {length - 1}, got {wanted} for {what}"
            )
        return wanted if length > 1 else 0
    if length == 1:
        return 0
    if name == "c":
        return None
    if name == SAMPLES:
        raise RefusedVolumeError(
            f"{what} must be grey, got {length} colours per pixel (axes {shown}); convert it to grey, "
            "or pick one with #channel=0"
        )
    if name == "t":
        raise RefusedVolumeError(
            f"{what} must be one volume, got {length} points in time (axes {shown}); pick one with #t=0, "
            "or if that axis is z, write its axes: #axes=zyx"
        )
    raise RefusedVolumeError(
        f"{what} must have the axes z, y, x, and at most channel and time, got {shown}; save the part that you want "
        "as a file of its own, or name the axes: #axes=czyx"
    )
