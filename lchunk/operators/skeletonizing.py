"""Skeletons of labels, box by box, which join exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox, Triple
from lchunk.operators.components import connected_components
from lchunk.operators.contact_points import contact_points, depths, shared_part
from lchunk.operators.tracing import trace

CENTRING = 4
"""The cost of a step falls with this power of the distance to the boundary."""


@dataclass(frozen=True)
class Skeleton:
    """The skeleton of a label, or a piece of it.

    Args:
        voxels: (n, 3) the voxels zyx, in the volume, in whose centres its vertices are.
        radius: (n,) the distance from each to the boundary, nanometres.
        edges: (m, 2) the vertices that are joined, as rows of `voxels`.
    """

    voxels: npt.NDArray[np.int64]
    radius: npt.NDArray[np.float32]
    edges: npt.NDArray[np.int64]


def skeletonize(
    labels: npt.NDArray[np.uint64],
    *,
    voxel_size: tuple[float, float, float],
    wanted: npt.NDArray[np.uint64] | None = None,
    scale: float = 1.5,
    constant: float = 300.0,
    start: Triple = (0, 0, 0),
    chunk: Bbox | None = None,
    bounds: Bbox | None = None,
    reach: Triple = (0, 0, 0),
) -> dict[int, Skeleton]:
    """The skeleton of each label, by TEASAR: paths along the middle, from the farthest voxels of the object.

    Each object, a connected region of a label (26 neighbours), has one tree. The trees of neighbouring chunks share a
    vertex for each contact of their objects, see `contact_points`; so the trees of all chunks together are connected
    exactly where the label is.

    Args:
        labels: (z, y, x), 0 is background.
        voxel_size: nanometres zyx.
        wanted: the labels to take; None for all.
        scale: a path covers, around each of its voxels, this many times the distance to the boundary; only what no path
            covers gets another path.
        constant: and so many nanometres more.
        start: the array's first voxel, in the volume.
        chunk: the voxels to make; None for all of the array. A chunk also has the first plane of the next one.
        bounds: those of the volume; None where the array is the volume. The volume's faces are no boundary of objects.
        reach: voxels zyx that the array has beside the chunk, and one more on the high sides, if the volume has them.

    Returns:
        Skeletons by label, ascending.

    >>> rod = np.zeros((3, 3, 60), np.uint64)
    >>> rod[1, 1] = 7
    >>> skeleton = skeletonize(rod, voxel_size=(40, 4, 4))[7]
    >>> skeleton.voxels[[0, -1]].tolist(), len(skeleton.edges), skeleton.radius.max().item()
    ([[1, 1, 0], [1, 1, 59]], 59, 4.0)
    """
    seen = Bbox.of(start, labels.shape)
    volume = bounds or seen
    own_chunk = chunk or seen
    part = shared_part(own_chunk, volume)
    points = contact_points(labels, seen=seen, chunk=own_chunk, bounds=volume, reach=reach, voxel_size=voxel_size)
    inside = part.slices(seen.start)
    own = labels[inside]
    kept = own if wanted is None else np.where(np.isin(own, wanted), own, np.uint64(0))
    radius = np.pad(depths(labels, voxel_size)[inside], 1).ravel()
    objects = _Objects(np.pad(kept, 1), voxel_size)
    ends = objects.numbers[np.ravel_multi_index((points - part.start + 1).T, objects.shape)]
    ends = np.sort(ends[ends >= 0])
    origin = np.array(part.start) - 1
    pieces: dict[int, list[Skeleton]] = {}
    for row, first in enumerate(objects.firsts[:-1]):
        last = objects.firsts[row + 1]
        positions = objects.positions[first:last]
        deep = radius[positions].astype(np.float64)
        required = ends[slice(*np.searchsorted(ends, (first, last)))] - first
        root = required[np.argmax(deep[required])] if len(required) else _extreme(positions, objects.shape, voxel_size)
        places, above = trace(
            (positions, objects.numbers, first, objects.steps, objects.lengths),
            (deep.max() / deep) ** CENTRING, scale * deep + constant, int(root), required,
        )  # fmt: skip
        label, found = int(objects.labels[positions[0]]), positions[places]
        voxels = np.stack(np.unravel_index(found, objects.shape), 1) + origin
        piece = Skeleton(voxels, radius[found], _edges(places, above, last - first))
        pieces.setdefault(label, []).append(piece)
    return {label: _together(pieces[label]) for label in sorted(pieces)}


class _Objects:
    """The connected regions of labels.

    Args:
        labels: (z, y, x), with a border of background.
        voxel_size: nanometres zyx.
    """

    def __init__(self, labels: npt.NDArray[np.uint64], voxel_size: tuple[float, float, float]) -> None:
        self.shape = labels.shape
        self.labels = labels.ravel()
        regions = connected_components(labels).ravel()
        places = np.flatnonzero(regions)
        order = np.argsort(regions[places], kind="stable")
        self.positions: npt.NDArray[np.int64] = places[order]
        """Positions in the flat array, by region."""
        self.numbers = np.full(labels.size, -1, np.int32)
        self.numbers[self.positions] = np.arange(len(places), dtype=np.int32)
        self.firsts: list[int] = [
            *np.flatnonzero(np.diff(regions[self.positions], prepend=np.uint32(0))).tolist(), len(places)
        ]  # fmt: skip
        """The number of the first voxel of each region, and that after the last voxel."""
        around = np.array([side for side in product((-1, 0, 1), repeat=3) if any(side)])
        self.steps = around @ np.array([labels.shape[1] * labels.shape[2], labels.shape[2], 1])
        self.lengths = np.sqrt(((around * voxel_size) ** 2).sum(1))


def _extreme(positions: npt.NDArray[np.int64], shape: Triple, voxel_size: tuple[float, float, float]) -> np.intp:
    """The voxel of an object that is farthest away from its first one; of several, the first."""
    places = np.stack(np.unravel_index(positions, shape), 1) * np.array(voxel_size)
    return np.argmax(((places - places[0]) ** 2).sum(1))


def _edges(places: npt.NDArray[np.int64], above: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """The rows of the vertices that are joined, from their numbers of `count`; the first one is the root."""
    row = np.empty(count, np.int64)
    row[places] = np.arange(len(places))
    return np.stack([row[places], row[above]], 1)[1:]


def _together(pieces: list[Skeleton]) -> Skeleton:
    """Several skeletons as one, with the vertices in the order of their voxels."""
    firsts = np.cumsum([0, *(len(piece.voxels) for piece in pieces)])
    voxels = np.concatenate([piece.voxels for piece in pieces])
    edges = np.concatenate([piece.edges + first for piece, first in zip(pieces, firsts, strict=False)])
    order = np.lexsort(voxels.T[::-1])
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    ends = np.sort(row[edges], axis=1)
    radius = np.concatenate([piece.radius for piece in pieces])
    return Skeleton(voxels[order], radius[order], ends[np.lexsort(ends.T[::-1])])
