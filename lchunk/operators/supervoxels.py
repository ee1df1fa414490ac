"""Ids of supervoxels as PyChunkedGraph lays them out: they tell the chunk in which the supervoxel lies.

    from the highest bit     8 bits      b bits   b bits   b bits   the other 56 - 3 b bits
                             layer, 1    x        y        z        number in the chunk: 0, 1, 2 …
                                         of the chunk

https://github.com/CAVEconnectome/PyChunkedGraph/blob/main/docs/segmentation_preprocessing.md
"""

from __future__ import annotations

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.operators.graph import Labels

LAYER_BITS = 8
LAYER = 1
"""The layer of supervoxels; higher layers hold the nodes that PyChunkedGraph makes of them."""
MOST_BITS = (64 - LAYER_BITS) // 3
"""Most bits for one axis of the chunk."""


def least_bits(counts: Triple) -> int:
    """Fewest bits that hold each coordinate of the chunks of a grid; PyChunkedGraph needs one bit at least.

    Args:
        counts: chunks per axis.

    >>> least_bits((1, 1, 1)), least_bits((2, 4, 1)), least_bits((5, 1, 1))
    (1, 2, 3)
    """
    return max(1, (max(counts) - 1).bit_length())


def supervoxel_ids(index: Triple, count: int, bits: int) -> Labels:
    """The ids of the supervoxels of a chunk, ascending.

    Args:
        index: of the chunk, zyx from the volume's first chunk; each below 2^bits.
        count: number of supervoxels.
        bits: bits for each axis of the chunk, at most `MOST_BITS`.

    Raises:
        ValueError: the ids have too few bits for so many.

    >>> [f"{number:#x}" for number in supervoxel_ids((3, 2, 1), 2, bits=4)]
    ['0x112300000000000', '0x112300000000001']
    """
    left = 64 - LAYER_BITS - 3 * bits
    if count > 1 << left:
        raise ValueError(
            f"a chunk must hold at most {1 << left:,} supervoxels where each axis takes {bits} bits of an id, got "
            f"{count:,}; set Supervoxels-spatial-bits lower, or LocalFragments-chunk-shape smaller"
        )
    z, y, x = index
    chunk = ((LAYER << bits | x) << bits | y) << bits | z
    return np.uint64(chunk << left) + np.arange(count, dtype=np.uint64)
