"""Predictions of overlapping patches, weighted and added up, a slab of planes at a time.

patches of one z ──┐         A plane that no later patch touches is finished: it leaves
├──── slab ────┤   │         the slab in its final type. So only the depth of one patch
│ finished │ rest ─┴─► next  is held as float32, however deep the chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.operators.compiled import njit
from lchunk.operators.lattice import Lattice

Voxels = npt.NDArray[Any]


@dataclass(frozen=True)
class Selection:
    """Which channels of a net's answer become voxels.

    Args:
        returned: channels that the net returns.
        kept: channels that are written, in this order; empty: all, except the myelin.
        myelin_threshold: the other channels become 0 where the last returned channel, the myelin, is above it;
            None: the last channel is like the others.

    Raises:
        ValueError: a kept channel is not returned by the net, or is the myelin.
    """

    returned: int
    kept: tuple[int, ...] = ()
    myelin_threshold: float | None = None

    def __post_init__(self) -> None:
        usable = self.returned - (self.myelin_threshold is not None)
        if usable < 1:
            raise ValueError(f"a net must return a channel in addition to its myelin, got {self.returned} in all")
        wrong = [channel for channel in self.kept if not 0 <= channel < usable]
        if wrong:
            raise ValueError(f"keep must be channels from 0 to {usable - 1}, got {wrong[0]}")
        object.__setattr__(self, "kept", tuple(self.kept) or tuple(range(usable)))

    @property
    def blended(self) -> tuple[int, ...]:
        """Channels to add up: those kept, and last the myelin."""
        return self.kept if self.myelin_threshold is None else (*self.kept, self.returned - 1)


MANY = 16
"""Where more patches than these share a voxel, float64 is used: in float32, rounding would show at 1e-6."""


def sum_type(lattice: Lattice) -> type[np.floating]:
    """The type in which the patches of a lattice are added up."""
    return np.float64 if lattice.deepest > MANY else np.float32


class Blender(Protocol):
    """Adds up predictions where they are: on the host, or on a device."""

    def add(self, prediction: Any, number: Triple) -> None:
        """Add one patch, (channel, z, y, x) of the input or the output patch.

        Raises:
            ValueError: the prediction holds NaN or infinity.
        """

    def finish(self, stop: int) -> None:
        """Write the planes before `stop`, counted from the box's first plane: no later patch touches them.

        `stop` may be beyond the slab. No patch touched the planes beyond it, so they stay 0.
        """


@dataclass(frozen=True)
class Placement:
    """The part of a patch that lies inside a box: where in the output patch, in the prediction and in the box."""

    inside: Triple
    source: Triple
    target: Triple
    shape: Triple

    @classmethod
    def of(cls, lattice: Lattice, bbox: Bbox, number: Triple, predicted: tuple[int, ...]) -> Placement:
        """The placement in a box of the patch of this number, whose prediction has the zyx shape `predicted`."""
        patch = lattice.patch(number)
        part = patch.clipped(bbox)
        crop = (0, 0, 0) if predicted == lattice.output_patch else lattice.crop
        inside = triple(a - b for a, b in zip(part.start, patch.start, strict=True))
        source = triple(a + c for a, c in zip(inside, crop, strict=True))
        return cls(inside, source, triple(a - b for a, b in zip(part.start, bbox.start, strict=True)), part.shape)

    def weights(self, axes: Sequence[Any], number: Triple) -> Iterator[Any]:
        """The weights of this part along z, y and x, taken from the weights of the lattice."""
        for weights, patch, first, size in zip(axes, number, self.inside, self.shape, strict=True):
            yield weights[patch, first : first + size]


class HostBlender:
    """Adds up on the CPU.

    Args:
        lattice: the patches.
        bbox: the box that is predicted.
        selection: the channels.
        output: (kept channel, z, y, x) zeros, float32 or an integer type, which holds [0, 1] times its maximum.
    """

    def __init__(self, lattice: Lattice, bbox: Bbox, selection: Selection, output: Voxels) -> None:
        self.lattice, self.bbox, self.selection, self.output = lattice, bbox, selection, output
        self.channels = np.array(selection.blended)
        self.in_place = output.dtype == sum_type(lattice) and selection.myelin_threshold is None
        depth = min(bbox.shape[0], lattice.output_patch[0])
        shape = (len(self.channels), depth, *bbox.shape[1:])
        self.slab: Voxels = output if self.in_place else np.zeros(shape, sum_type(lattice))
        self.first = 0

    def add(self, prediction: Voxels, number: Triple) -> None:
        """See `Blender`."""
        put = Placement.of(self.lattice, self.bbox, number, prediction.shape[1:])
        z, y, x = put.target
        target = (z if self.in_place else z - self.first, y, x)
        weigh = _add_bfloat16 if prediction.dtype == np.uint16 else _add_float32
        predicted = np.ascontiguousarray(prediction)
        weights = put.weights(self.lattice.weights, number)
        if not weigh(self.slab, target, predicted, put.source, put.shape, self.channels, *weights):
            refuse_not_finite(self.lattice.patch(number))

    def finish(self, stop: int) -> None:
        """See `Blender`."""
        count = min(stop - self.first, self.slab.shape[1])
        if not self.in_place and count:
            done = self.slab[:, :count]
            if self.selection.myelin_threshold is not None:
                done[:-1, done[-1] > self.selection.myelin_threshold] = 0
            quantise(done[: self.output.shape[0]], self.output[:, self.first : self.first + count])
            rest = self.slab.shape[1] - count
            self.slab[:, :rest] = self.slab[:, count:]
            self.slab[:, rest:] = 0
        self.first = stop


def refuse_not_finite(bbox: Bbox) -> NoReturn:
    """Raise the error for a box whose predictions hold NaN or infinity."""
    raise ValueError(
        f"a net must return finite numbers, got NaN or infinity at {bbox}; "
        "values that overflow in float16 may not overflow in bfloat16 or float32: see autocast"
    )


def quantise(voxels: npt.NDArray[np.floating], output: Voxels) -> None:
    """Write values in [0, 1] as the output's type: an integer type holds them times its maximum.

    Args:
        voxels: (channel, z, y, x).
        output: of the same shape, filled; integers are rounded to even and saturate, floats are copied.

    >>> output = np.zeros((1, 1, 1, 4), np.uint8)
    >>> quantise(np.array([-0.1, 0.2, 0.5, 1.5], np.float32).reshape(output.shape), output)
    >>> output.ravel().tolist()
    [0, 51, 128, 255]
    """
    if output.dtype.kind == "f":
        output[...] = voxels
    else:
        _quantise(voxels, np.float32(np.iinfo(output.dtype).max), output)


@njit
def _quantise(voxels: Voxels, most: np.float32, output: Voxels) -> None:
    for c in range(voxels.shape[0]):
        for z in range(voxels.shape[1]):
            for y in range(voxels.shape[2]):
                line, written = voxels[c, z, y], output[c, z, y]
                for x in range(line.size):
                    value = min(max(np.float32(line[x]), np.float32(0)), np.float32(1))
                    written[x] = np.uint32(np.rint(value * most))


# Each product and each sum is rounded on its own (no fused multiply-add), in the lattice's order, so that a voxel
# gets the same bits from every box that contains it.


@njit
def _add_float32(slab, target, prediction, source, shape, channels, wz, wy, wx):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    nonsense = 0
    for c in range(channels.size):
        for z in range(shape[0]):
            for y in range(shape[1]):
                weight = wz[z] * wy[y]
                line = prediction[channels[c], source[0] + z, source[1] + y, source[2] : source[2] + shape[2]]
                sums = slab[c, target[0] + z, target[1] + y, target[2] : target[2] + shape[2]]
                for x in range(shape[2]):
                    sums[x] += line[x] * (weight * wx[x])
                    nonsense |= not np.isfinite(line[x])
    return nonsense == 0


@njit
def _add_bfloat16(slab, target, prediction, source, shape, channels, wz, wy, wx):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    nonsense = 0
    line = np.empty(shape[2], np.float32)
    bits = line.view(np.uint32)
    for c in range(channels.size):
        for z in range(shape[0]):
            for y in range(shape[1]):
                weight = wz[z] * wy[y]
                packed = prediction[channels[c], source[0] + z, source[1] + y, source[2] : source[2] + shape[2]]
                sums = slab[c, target[0] + z, target[1] + y, target[2] : target[2] + shape[2]]
                for x in range(shape[2]):
                    bits[x] = np.uint32(packed[x]) << np.uint32(16)
                for x in range(shape[2]):
                    sums[x] += line[x] * (weight * wx[x])
                    nonsense |= not np.isfinite(line[x])
    return nonsense == 0
