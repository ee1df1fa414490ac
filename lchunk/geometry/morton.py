"""An order of chunks along a curve that stays close.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md#compressed-morton-code
"""

from __future__ import annotations

from lchunk.geometry.bbox import Triple


def morton_code(index: Triple, counts: Triple) -> int:
    """The compressed Morton code of a chunk: chunks with codes that lie close lie close in space.

    The code takes the bits of x, y and z in turn, lowest first, and skips an axis that has no further bits.

    Args:
        index: index of the chunk, zyx.
        counts: number of chunks along each axis, zyx.

    >>> morton_code((0, 1, 3), (1, 2, 4)), morton_code((2, 1, 0), (3, 2, 1))
    (7, 5)
    """
    code = place = 0
    for bit in range(max(counts).bit_length()):
        for number, count in zip(index[::-1], counts[::-1], strict=True):
            if count > 1 << bit:
                code |= (number >> bit & 1) << place
                place += 1
    return code
