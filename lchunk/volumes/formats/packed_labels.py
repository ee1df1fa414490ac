"""A check of `compressed_segmentation`, whose decoder reads wherever the bytes send it.

The format: https://github.com/google/neuroglancer/blob/master/src/sliceview/compressed_segmentation/README.md. For each
block of voxels there are a table of its labels and, in as many bits as that takes, a place in the table for each voxel.
Offsets count 32-bit words from the channel's first.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple

_BITS = (0, 1, 2, 4, 8, 16, 32)


def check_compressed_labels(body: bytes, shape: tuple[int, ...], block: Triple, itemsize: int) -> None:
    """Raise where a block reaches beyond the end, as in a file that was cut off.

    Args:
        body: a chunk's bytes.
        shape: (channel, z, y, x) of the chunk.
        block: sides of a block, zyx.
        itemsize: bytes of a label.

    Raises:
        ValueError: it does.
    """
    channels, *zyx = shape
    blocks = math.prod(-(-side // part) for side, part in zip(zyx, block, strict=True))
    if len(body) % 4:
        raise ValueError(f"it is {len(body)} bytes, which are no whole words")
    words = np.frombuffer(body, "<u4")
    if len(words) < channels:
        raise ValueError(f"it ends after {len(body)} bytes, in the offsets of its channels")
    for first in words[:channels].astype(np.int64):
        _check_channel(words[first:], blocks, math.prod(block), itemsize // 4)


def _check_channel(words: npt.NDArray[np.uint32], blocks: int, voxels: int, label: int) -> None:
    """Raise where a block of a channel reaches beyond the end.

    Args:
        words: of the channel, up to the end of the chunk.
        blocks: how many there are.
        voxels: of a block.
        label: words of a label.

    Raises:
        ValueError: it does.
    """
    if len(words) < 2 * blocks:
        raise ValueError(f"it ends in the headers of its {blocks} blocks")
    headers = words[: 2 * blocks].reshape(-1, 2).astype(np.int64)
    tables, bits, values = headers[:, 0] & 0xFFFFFF, headers[:, 0] >> 24, headers[:, 1]
    if not np.isin(bits, _BITS).all():
        raise ValueError(f"a block has {next(b for b in bits.tolist() if b not in _BITS)} bits a voxel")
    ends = values + -(-bits * voxels // 32)
    if ends.max() > len(words):
        raise ValueError(f"its blocks end at word {ends.max()} of {len(words)}")
    # few tables lie so near the end that it takes a look at the places in them
    for at in np.flatnonzero(tables + (label << bits) > len(words)).tolist():
        most = _largest(words[values[at] : ends[at]], int(bits[at]), voxels)
        if tables[at] + label * (most + 1) > len(words):
            raise ValueError(f"a table ends at word {tables[at] + label * (most + 1)} of {len(words)}")


def _largest(values: npt.NDArray[np.uint32], bits: int, voxels: int) -> int:
    """The largest of the values that are packed in words, lowest bits first."""
    if not bits:
        return 0
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    found = (values[:, None] >> shifts) & np.uint32((1 << bits) - 1)
    return int(found.reshape(-1)[:voxels].max())
