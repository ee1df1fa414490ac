"""Distances inside an object from some of its voxels, as machine code.

Where a step costs its length, no queue in order is needed (Dial 1969, Communications of the ACM 12, 632): voxels whose
distances differ by less than the shortest step cannot improve each other, so they are taken together, from a bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit

NOWHERE = -2
BELOW_A_STEP = 0.99
"""The width of a bucket, in shortest steps: less than one, so that rounding does no harm."""
MOST_BUCKETS = 1 << 16


@njit
def spread_evenly(object_: Any, near: Any, sources: Any, links: Any) -> None:
    """Let voxels come nearer to those around them, beginning with some sources, until none does.

    Args:
        object_: the object's voxels, see `lchunk.operators.tracing`.
        near: (n,) how near each voxel is, nanometres; it is changed.
        sources: (m,) the voxels to begin with, whose `near` is set.
        links: (2, n) the voxels after and before each one in its bucket, -1 for none; the second is `NOWHERE` for a
            voxel that is in no bucket, as all are at first and at last.
    """
    positions, numbers, first, steps, lengths = object_
    before = links[1]
    least, most = near[sources[0]], near[sources[0]]
    for place in sources:
        least, most = min(least, near[place]), max(most, near[place])
    per_nanometre = 1 / (BELOW_A_STEP * lengths.min())
    count = min((most - least + lengths.max()) * per_nanometre + 2, MOST_BUCKETS)  # with fewer, some are taken twice
    heads = np.full(int(count), -1, np.int32)
    waiting = 0
    for place in sources:
        if before[place] == NOWHERE:
            _link(heads, links, int((near[place] - least) * per_nanometre) % len(heads), place)
            waiting += 1
    bucket = 0
    while waiting:
        place = heads[bucket]
        if place < 0:
            bucket = (bucket + 1) % len(heads)
            continue
        _unlink(heads, links, bucket, place)
        waiting -= 1
        position, here = positions[place], near[place]
        for side in range(len(steps)):
            other = numbers[position + steps[side]] - first
            if other < 0 or other >= len(positions):
                continue
            reached = here + lengths[side]
            if reached < near[other]:
                if before[other] == NOWHERE:
                    waiting += 1
                else:
                    _unlink(heads, links, int((near[other] - least) * per_nanometre) % len(heads), other)
                near[other] = reached
                _link(heads, links, int((reached - least) * per_nanometre) % len(heads), other)


@njit(inline=True)
def _link(heads: Any, links: Any, bucket: int, place: int) -> None:
    """Put a voxel into a bucket."""
    head = heads[bucket]
    links[0, place] = head
    links[1, place] = -1
    if head >= 0:
        links[1, head] = place
    heads[bucket] = place


@njit(inline=True)
def _unlink(heads: Any, links: Any, bucket: int, place: int) -> None:
    """Take a voxel out of its bucket."""
    after, before = links[0, place], links[1, place]
    if before < 0:
        heads[bucket] = after
    else:
        links[0, before] = after
    if after >= 0:
        links[1, after] = before
    links[1, place] = NOWHERE
