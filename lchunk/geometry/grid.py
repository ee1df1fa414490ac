"""A box divided into chunks, anchored at the box's start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from lchunk.geometry.bbox import Bbox, Triple, triple


@dataclass(frozen=True, slots=True)
class Grid:
    """Chunks of one shape that tile `bounds` once; those at its end are clipped.

        bounds.start ──┬────────┬──┐
          │  (0,0,0)   │ (0,0,1)│  │  the last chunk of an axis
          ├────────────┼────────┼──┤  ends where the volume ends
          │  (0,1,0)   │ (0,1,1)│  │

    Raises:
        ValueError: a side of the chunk is not positive.
    """

    bounds: Bbox
    chunk_shape: Triple

    def __post_init__(self) -> None:
        object.__setattr__(self, "chunk_shape", triple(self.chunk_shape))
        if min(self.chunk_shape) < 1:
            raise ValueError(f"chunk_shape must be positive on every axis, got {self.chunk_shape}")

    @property
    def counts(self) -> Triple:
        """Chunks per axis."""
        return triple(-(-size // side) for size, side in zip(self.bounds.shape, self.chunk_shape, strict=True))

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def __iter__(self) -> Iterator[Triple]:
        """Every chunk's index, z-major."""
        z, y, x = map(range, self.counts)
        return product(z, y, x)

    def chunk(self, index: Triple) -> Bbox:
        """Voxels of one chunk."""
        (k, j, i), (depth, height, width) = index, self.chunk_shape
        (z, y, x), (z_end, y_end, x_end) = self.bounds.start, self.bounds.stop
        z, y, x = z + k * depth, y + j * height, x + i * width
        return Bbox((z, y, x), (min(z + depth, z_end), min(y + height, y_end), min(x + width, x_end)))

    def meeting(self, bbox: Bbox) -> Iterator[Triple]:
        """Indices of the chunks that share a voxel with a box, z-major."""
        yield from product(*self.span(bbox))

    def span(self, bbox: Bbox) -> tuple[range, range, range]:
        """Indices along each axis of the chunks that share a voxel with a box; all are empty if no chunk does."""
        inside = bbox.clipped(self.bounds)
        if inside.size == 0:
            return range(0), range(0), range(0)
        sides = zip(inside.start, inside.stop, self.bounds.start, self.chunk_shape, strict=True)
        z, y, x = (range((a - o) // c, -(-(b - o) // c)) for a, b, o, c in sides)
        return z, y, x

    def index_of(self, bbox: Bbox) -> Triple:
        """Index of the chunk that is exactly this box.

        Raises:
            ValueError: the box is not a chunk of the grid.
        """
        (z, y, x), (z0, y0, x0), (depth, height, width) = bbox.start, self.bounds.start, self.chunk_shape
        index = ((z - z0) // depth, (y - y0) // height, (x - x0) // width)
        z1, y1, x1 = self.bounds.stop
        inside = z0 <= z < z1 and y0 <= y < y1 and x0 <= x < x1
        if not inside or self.chunk(index) != bbox:
            raise ValueError(f"{bbox} must be a chunk of the grid of {self.chunk_shape} over {self.bounds}")
        return index

    def aligned(self, bbox: Bbox) -> bool:
        """Whether a box is made of whole chunks."""
        if bbox.size == 0 or not self.bounds.contains(bbox):
            return False
        sides = zip(bbox.start, bbox.stop, self.bounds.start, self.bounds.stop, self.chunk_shape, strict=True)
        return all((a - o) % c == 0 and ((b - o) % c == 0 or b == end) for a, b, o, end, c in sides)
