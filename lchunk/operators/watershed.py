"""The watershed by local rules, so that any box of a volume gets the same result as the whole volume.

Each voxel follows its strongest edge (Zlateski and Seung 2015, arXiv:1505.00249). Where several are equally strong (a
plateau), voxels next to an outlet are drained first, then their neighbours, ring by ring, in the order of waterz.
After `rings` rings the rest of a plateau becomes one basin, as does a plateau without an outlet; waterz would continue
here. The edge that a voxel follows therefore depends only on voxels at most `halo(rings)` away.
"""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from lchunk.operators.affinities import as_float, check_affinities
from lchunk.operators.compiled import njit
from lchunk.operators.pair_hash import longer

RINGS = 16
"""Deep enough for affinities made of real boundary maps in uint8: deeper plateaus add a hundredth of the fragments."""

FOREGROUND = 1
LINKS = (2, 8, 32)
"""Bits of a voxel's byte: it has an edge; it is joined to the voxel before it along z, y, x."""


def halo(rings: int = RINGS) -> int:
    """Voxels around a box that its links depend on."""
    return rings + 3


def watershed_links(
    affinities: npt.NDArray[Any], *, low: float, high: float, rings: int = RINGS
) -> npt.NDArray[np.uint8]:
    """Which edges the watershed follows.

    Args:
        affinities: (3, z, y, x), channels x, y, z, in [0, 1] or uint8. The first plane of each axis has no edge.
        low: a voxel without an edge above it is background.
        high: edges at or above it always join.
        rings: how deep a plateau of equal affinities is drained, in voxels from its outlets.

    Returns:
        (z, y, x) bits, see `FOREGROUND` and `LINKS`; exact from `halo(rings)` voxels away from any side of the array
        that is not a side of the volume.

    Raises:
        ValueError: `affinities` is not (3, z, y, x), or not `0 <= low < high`.
    """
    check_affinities(affinities)
    if not 0 <= low < high:
        raise ValueError(f"low and high must be 0 <= low < high, got low {low} and high {high}")
    edges = as_float(affinities)
    best = _best_edges(edges, np.float32(low), np.float32(high))
    links: npt.NDArray[np.uint8] = _links(edges, best, _kept(best, rings), np.float32(high))
    return links


def label_links(links: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Number the objects that links join, from 1; 0 for background.

    Links that leave the box are not followed.
    """
    inside = links & np.uint8(sum(LINKS))
    for axis, bit in enumerate(LINKS):
        face = (slice(None),) * axis + (0,)
        inside[face] &= np.uint8(255 - bit)
    labels: npt.NDArray[np.uint32] = cc3d.color_connectivity_graph(inside, connectivity=6).astype(np.uint32, copy=False)
    labels[links & FOREGROUND == 0] = 0
    return labels


# Directions 0 to 5 are -z, -y, -x, +z, +y, +x; the opposite of k is (k + 3) % 6. Of several, the last is chosen.


@njit
def _best_edges(edges: Any, low: Any, high: Any) -> Any:
    """Directions of each voxel's strongest edges and of those at or above `high`; 0 for background."""
    depth, height, width = edges.shape[1:]
    best = np.zeros((depth, height, width), np.uint8)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                values = (
                    edges[2, z, y, x] if z > 0 else low,
                    edges[1, z, y, x] if y > 0 else low,
                    edges[0, z, y, x] if x > 0 else low,
                    edges[2, z + 1, y, x] if z + 1 < depth else low,
                    edges[1, z, y + 1, x] if y + 1 < height else low,
                    edges[0, z, y, x + 1] if x + 1 < width else low,
                )
                strongest = low
                for value in values:
                    strongest = max(strongest, value)
                if strongest > low:
                    bits = 0
                    for direction in range(6):
                        if values[direction] == strongest or values[direction] >= high:
                            bits |= 1 << direction
                    best[z, y, x] = bits
    return best


@njit(inline=True)
def _steps(shape: Any) -> Any:
    """Distance to the neighbour in each direction, in a flat array."""
    rows = shape[1] * shape[2]
    return (-rows, -shape[2], -1, rows, shape[2], 1)


@njit
def _kept(best: Any, rings: int) -> Any:
    """The one direction that each voxel keeps; 0 where a plateau has no outlet nearby, and for background.

    Voxels with an outlet, a chosen direction to a voxel that did not choose the opposite one, come first, in the order
    of the volume; then their neighbours on the plateau, in the order in which they are reached. A voxel keeps the last
    of its directions to a voxel that does not choose the opposite direction, or no longer does.
    """
    flat = best.ravel()
    steps = _steps(best.shape)
    chosen = flat.copy()
    kept = np.zeros(flat.size, np.uint8)
    reached = np.zeros(flat.size, np.bool_)
    ring = np.empty(1024, np.int64)
    count = 0
    only = np.full(64, -1)  # the direction of a voxel that chose only one
    for direction in range(6):
        only[1 << direction] = direction
    for voxel in range(flat.size):
        bits = flat[voxel]
        if bits == 0:
            continue
        if only[bits] >= 0:
            # a chosen direction never leaves the box: edges there are `low`
            if not flat[voxel + steps[only[bits]]] >> ((only[bits] + 3) % 6) & 1:
                kept[voxel] = bits
                reached[voxel] = True
            continue
        for direction in range(6):
            if bits >> direction & 1 and not flat[voxel + steps[direction]] >> ((direction + 3) % 6) & 1:
                if count == ring.size:
                    ring = longer(ring)
                ring[count] = voxel
                reached[voxel] = True
                count += 1
                break
    for left in range(rings, -1, -1):
        following = np.empty(1024, np.int64)
        found = 0
        for place in range(count):
            voxel = ring[place]
            outlet = 0
            for direction in range(6):
                if chosen[voxel] >> direction & 1:
                    other = voxel + steps[direction]
                    if not chosen[other] >> ((direction + 3) % 6) & 1:
                        outlet = 1 << direction
                    elif left > 0 and not reached[other]:
                        if found == following.size:
                            following = longer(following)
                        following[found] = other
                        reached[other] = True
                        found += 1
            chosen[voxel] = kept[voxel] = outlet
        ring, count = following, found
    return kept.reshape(best.shape)


@njit
def _links(edges: Any, best: Any, kept: Any, high: Any) -> Any:
    steps = _steps(best.shape)
    best_flat, kept_flat = best.ravel(), kept.ravel()
    links = np.zeros(best_flat.size, np.uint8)
    for axis in range(3):
        strengths = edges[2 - axis].ravel()
        bit = (2, 8, 32)[axis]
        step = steps[axis]
        side = best.shape[axis]
        for voxel in range(-step, best_flat.size):
            if (voxel // -step) % side == 0:
                continue
            before = voxel + step
            joined = kept_flat[voxel] >> axis & 1 or kept_flat[before] >> (axis + 3) & 1 or strengths[voxel] >= high
            closed = kept_flat[voxel] == 0 and kept_flat[before] == 0
            if joined or (closed and best_flat[voxel] >> axis & best_flat[before] >> (axis + 3) & 1):
                links[voxel] |= bit
    for voxel in range(best_flat.size):
        if best_flat[voxel] != 0:
            links[voxel] |= 1
    return links.reshape(best.shape)
