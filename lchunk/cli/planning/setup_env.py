"""The chunk shapes that chunkflow's `setup-env` chooses, by its rules.

There, a chunk is a whole number of patches, and loses a margin on every side; half of the memory holds its float32
output. `lchunk plan` finds other shapes, because lchunk's patches lie on a lattice over the whole volume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lchunk.geometry.bbox import Triple, triple

FLOAT32_BYTES = 4
FARTHEST = 64
"""Voxels by which an overlap is changed at most, to find one that has a solution."""
MORE_MEMORY = 10
"""Times that the memory is doubled at most, to find an amount that has a solution."""


@dataclass(frozen=True)
class Request:
    """What `setup-env` is asked; shapes are voxels zyx of the mip that the net sees.

    Args:
        memory: GB of a worker; option `-r`.
        output_patch: option `-z`.
        overlap: voxels that output patches share; option `-o`, by default half of the output patch.
        channels: of the net; option `-c`.
        mip: mip that the net sees; option `-m`.
        max_mip: coarsest mip of the layer; option `--max-mip`.
        input_patch: option `-s`; None: the output patch.
        margin: voxels that a chunk loses on each side; None: the overlap.
        thumbnail_mip: mip of the thumbnail.
    """

    memory: float
    output_patch: Triple
    overlap: Triple
    channels: int = 1
    mip: int = 0
    max_mip: int = 8
    input_patch: Triple | None = None
    margin: Triple | None = None
    thumbnail_mip: int = 6

    @property
    def stride(self) -> Triple:
        """Voxels from one patch to the next."""
        return triple(side - shared for side, shared in zip(self.output_patch, self.overlap, strict=True))

    @property
    def ideal(self) -> int:
        """Patches whose output fills half of the memory."""
        return int(self.memory * 1e9 / 2 / FLOAT32_BYTES / self.channels / math.prod(self.stride))

    @property
    def counts(self) -> range:
        """Patches along an axis that are tried."""
        least = int(self.ideal ** (1 / 3) / 2)
        return range(least, 3 * least)

    @property
    def divisors(self) -> Triple:
        """What the sides of an output chunk must be divisible by."""
        return (2**self.mip, 2**self.max_mip, 2**self.max_mip)

    def chunk(self, patches: Triple) -> Triple:
        """The output chunk of so many patches along each axis."""
        margin = self.margin or self.overlap
        sides = zip(patches, self.stride, self.overlap, margin, strict=True)
        return triple(count * stride + shared - 2 * lost for count, stride, shared, lost in sides)


@dataclass(frozen=True)
class Answer:
    """What `setup-env` prints; shapes are voxels zyx.

    Args:
        patches: patches along each axis of a chunk.
        output_chunk: voxels of a chunk.
        input_chunk: voxels that are read for it.
        halo: voxels that are read beyond it on each side.
        block: voxels that are stored together.
        thumbnail_block: voxels of the thumbnail that are stored together.
    """

    patches: Triple
    output_chunk: Triple
    input_chunk: Triple
    halo: Triple
    block: Triple
    thumbnail_block: Triple


def setup_env(asked: Request) -> Answer:
    """Choose shapes as `setup-env` does.

    Raises:
        ValueError: no number of patches has a chunk that is divisible as it must be; names the nearest that has one.

    The tutorial's example, ``-r 14 -z 20 256 256 -c 3 -m 1 --max-mip 6``:

    >>> answer = setup_env(Request(14, (20, 256, 256), (10, 128, 128), 3, 1, 6))
    >>> answer.patches, answer.output_chunk, answer.input_chunk, answer.halo
    ((11, 18, 18), (100, 2176, 2176), (120, 2432, 2432), (10, 128, 128))
    >>> answer.block, answer.thumbnail_block
    ((50, 272, 272), (50, 34, 34))

    And ``-r 1 -z 20 256 256 -o 4 64 64 -c 3 -m 0 --max-mip 5``:

    >>> answer = setup_env(Request(1, (20, 256, 256), (4, 64, 64), 3, 0, 5))
    >>> answer.patches, answer.output_chunk
    ((3, 5, 5), (44, 896, 896))
    """
    patches = _best(asked)
    if patches is None:
        raise ValueError(_refusal(asked))
    output = asked.chunk(patches)
    margin, seen = asked.margin or asked.overlap, asked.input_patch or asked.output_patch
    crops = zip(margin, seen, asked.output_patch, strict=True)
    halo = triple(lost + (outer - inner) // 2 for lost, outer, inner in crops)
    z, y, x = output
    middle, coarse = 2 ** ((asked.mip + asked.thumbnail_mip) // 2), 2**asked.thumbnail_mip
    return Answer(
        patches, output, triple(side + 2 * more for side, more in zip(output, halo, strict=True)), halo,
        block=(z // 2**asked.mip, y // middle, x // middle),
        thumbnail_block=(z // 2**asked.mip, y // coarse, x // coarse),
    )  # fmt: skip


def _best(asked: Request) -> Triple | None:
    """The numbers of patches that come closest to the ideal among those that are allowed; None if none is."""
    deep = [count for count in asked.counts if _fits(asked, (count, 0, 0), (0,))]
    wide = [count for count in asked.counts if _fits(asked, (0, count, count), (1, 2))]
    ideal = asked.ideal
    pairs = ((z, yx) for yx in wide for z in deep)
    best = min(pairs, key=lambda pair: (pair[0] * pair[1] ** 2 / ideal - 1) ** 2, default=None)
    return None if best is None else (best[0], best[1], best[1])


def _fits(asked: Request, patches: Triple, axes: tuple[int, ...]) -> bool:
    chunk = asked.chunk(patches)
    return all(chunk[axis] > 0 and chunk[axis] % asked.divisors[axis] == 0 for axis in axes)


def _refusal(asked: Request) -> str:
    """The message for a request without a solution, with the nearest ones that have one."""
    near = list(_nearest(asked))
    ways = f"the nearest that have one: {'; '.join(near)}" if near else "take another patch and overlap"
    tried = f"from {asked.counts.start} to {asked.counts.stop - 1}" if asked.counts else "(the memory holds too few)"
    overlap = ",".join(map(str, asked.overlap))
    return (
        f"a chunk must be whole patches, divisible by {asked.divisors[0]} along z and {asked.divisors[1]} along y and "
        f"x, got no such number of patches {tried} for overlap {overlap} and {asked.memory:g} GB; {ways}"
    )


def _nearest(asked: Request) -> Iterator[str]:
    """Options that have a solution if they alone are changed, as a user would write them."""
    for step in range(1, FARTHEST + 1):
        found = [shared for shared in _overlaps(asked, step) if _best(replace(asked, overlap=shared)) is not None]
        if found:
            yield " or ".join(f"--overlap {','.join(map(str, shared))}" for shared in found)
            break
    lower = (mip for mip in range(asked.max_mip - 1, -1, -1) if _best(replace(asked, max_mip=mip)) is not None)
    if (mip := next(lower, None)) is not None:
        yield f"--max-mip {mip}"
    more = (asked.memory * 2**times for times in range(1, MORE_MEMORY + 1))
    enough = next((memory for memory in more if _best(replace(asked, memory=memory)) is not None), None)
    if enough is not None:
        yield f"--memory {enough:g}"


def _overlaps(asked: Request, step: int) -> Iterator[Triple]:
    """Overlaps that differ by `step` voxels, along z, or along y and x."""
    z, y, x = asked.overlap
    for sign in (-1, 1):
        more = sign * step
        for shared in ((z + more, y, x), (z, y + more, x + more), (z + more, y + more, x + more)):
            if all(0 <= part < side for part, side in zip(shared, asked.output_patch, strict=True)):
                yield shared
