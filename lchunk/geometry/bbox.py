"""A half-open box of voxels, in global zyx coordinates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import index

Triple = tuple[int, int, int]

_TEXT = re.compile(r"(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)")


def triple(values: Iterable[int]) -> Triple:
    """Three whole numbers, zyx.

    Raises:
        ValueError: there are not three.
        TypeError: one of them is not whole.

    >>> triple([1, 2, 3])
    (1, 2, 3)
    """
    if type(values) is tuple and len(values) == 3:
        z, y, x = values
        if type(z) is type(y) is type(x) is int:  # the usual case
            return values
    numbers = tuple(index(value) for value in values)
    if len(numbers) != 3:
        raise ValueError(f"a zyx triple must have 3 numbers, got {len(numbers)}")
    return numbers[0], numbers[1], numbers[2]


@dataclass(frozen=True, slots=True)
class Bbox:
    """The voxels `start <= voxel < stop`, zyx; coordinates may be negative.

    Raises:
        ValueError: `stop` lies before `start` on some axis.
    """

    start: Triple
    stop: Triple

    def __post_init__(self) -> None:
        start, stop = triple(self.start), triple(self.stop)
        if start is not self.start or stop is not self.stop:
            object.__setattr__(self, "start", start)
            object.__setattr__(self, "stop", stop)
        (z0, y0, x0), (z1, y1, x1) = start, stop
        if z1 < z0 or y1 < y0 or x1 < x0:
            raise ValueError(f"a bbox must stop at or after its start on every axis, got {self}")

    @classmethod
    def of(cls, start: Sequence[int], shape: Sequence[int]) -> Bbox:
        """The box of `shape` voxels that begins at `start`."""
        (z, y, x), (depth, height, width) = triple(start), triple(shape)
        return cls((z, y, x), (z + depth, y + height, x + width))

    @classmethod
    def parse(cls, text: str) -> Bbox:
        """Parse the text that `str` returns for a box.

        Raises:
            ValueError: the text has another form.

        >>> Bbox.parse("-10-118_0-64_0-64")
        Bbox(start=(-10, 0, 0), stop=(118, 64, 64))
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"a bbox must be written z0-z1_y0-y1_x0-x1, got {text!r}")
        z0, z1, y0, y1, x0, x1 = map(int, match.groups())
        return cls((z0, y0, x0), (z1, y1, x1))

    def __str__(self) -> str:
        (z0, y0, x0), (z1, y1, x1) = self.start, self.stop
        return f"{z0}-{z1}_{y0}-{y1}_{x0}-{x1}"

    @property
    def shape(self) -> Triple:
        """Voxels per axis."""
        (z0, y0, x0), (z1, y1, x1) = self.start, self.stop
        return z1 - z0, y1 - y0, x1 - x0

    @property
    def size(self) -> int:
        """Total number of voxels."""
        z, y, x = self.shape
        return z * y * x

    def grown(self, low: Sequence[int], high: Sequence[int] | None = None) -> Bbox:
        """The box with `low` voxels more before it and `high` voxels more after it (default: `low`)."""
        after = low if high is None else high
        return Bbox(
            triple(a - b for a, b in zip(self.start, low, strict=True)),
            triple(a + b for a, b in zip(self.stop, after, strict=True)),
        )

    def clipped(self, to: Bbox) -> Bbox:
        """The part inside another box; empty (never negative) when they do not meet."""
        z0, y0, x0 = map(max, self.start, to.start)
        z1, y1, x1 = map(min, self.stop, to.stop)
        return Bbox((z0, y0, x0), (max(z0, z1), max(y0, y1), max(x0, x1)))

    def contains(self, other: Bbox) -> bool:
        """Whether every voxel of the other box is in this one."""
        return other.size == 0 or self.clipped(other) == other

    def slices(self, origin: Sequence[int] = (0, 0, 0)) -> tuple[slice, slice, slice]:
        """Indices of the box in an array whose first voxel is `origin`."""
        z, y, x = (slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, origin, strict=True))
        return z, y, x
