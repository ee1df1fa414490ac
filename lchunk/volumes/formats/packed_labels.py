"""Check the bytes of `compressed_segmentation`, because its decoder follows wrong offsets beyond the end.

The format: https://github.com/google/neuroglancer/blob/master/src/sliceview/compressed_segmentation/README.md. Each
block of voxels has a table of its labels and, for each voxel, an index into the table, with the fewest bits that
suffice. Offsets count 32-bit words from the first word of the channel.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple

_BITS = (0, 1, 2, 4, 8, 16, 32)


def check_compressed_labels(body: bytes, shape: tuple[int, ...], block: Triple, itemsize: int) -> None:
    """Raise an error if a block extends beyond the end, as in a file that was cut off.

    Args:
        body: bytes of a chunk.
        shape: (channel, z, y, x) of the chunk.
        block: shape of a block, zyx.
        itemsize: bytes per label.

    Raises:
        ValueError: a block extends beyond the end.
    """
    channels, *zyx = shape
    blocks = math.prod(-(-side // part) for side, part in zip(zyx, block, strict=True))
    if len(body) % 4:
        raise ValueError(f"it has {len(body)} bytes, which is not a multiple of 4")
    words = np.frombuffer(body, "<u4")
    if len(words) < channels:
        raise ValueError(f"it ends after {len(body)} bytes, in the offsets of its channels")
    for first in words[:channels].astype(np.int64):
        _check_channel(words[first:], blocks, math.prod(block), itemsize // 4)


def _check_channel(words: npt.NDArray[np.uint32], blocks: int, voxels: int, label: int) -> None:
    """Raise an error if a block of a channel extends beyond the end.

    Args:
        words: words from the start of the channel to the end of the chunk.
        blocks: number of blocks.
        voxels: voxels per block.
        label: words per label.

    Raises:
        ValueError: a block extends beyond the end.
    """
    if len(words) < 2 * blocks:
        raise ValueError(f"it ends in the headers of its {blocks} blocks")
    headers = words[: 2 * blocks].reshape(-1, 2).astype(np.int64)
    tables, bits, values = headers[:, 0] & 0xFFFFFF, headers[:, 0] >> 24, headers[:, 1]
    if not np.isin(bits, _BITS).all():
        raise ValueError(f"a block has {next(b for b in bits.tolist() if b not in _BITS)} bits per voxel")
    ends = values + -(-bits * voxels // 32)
    if ends.max() > len(words):
        raise ValueError(f"its blocks end at word {ends.max()} of {len(words)}")
    # only for the few tables near the end, it is necessary to look at the indices
    for at in np.flatnonzero(tables + (label << bits) > len(words)).tolist():
        most = _largest(words[values[at] : ends[at]], int(bits[at]), voxels)
        if tables[at] + label * (most + 1) > len(words):
            raise ValueError(f"a table ends at word {tables[at] + label * (most + 1)} of {len(words)}")


def _largest(values: npt.NDArray[np.uint32], bits: int, voxels: int) -> int:
    """The largest of the values that are stored in words, lowest bits first."""
    if not bits:
        return 0
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    found = (values[:, None] >> shifts) & np.uint32((1 << bits) - 1)
    return int(found.reshape(-1)[:voxels].max())
