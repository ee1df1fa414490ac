"""Wrong merges: the contacts of a segment that should be cut."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from lchunk.operators.agglomeration import Merges
from lchunk.operators.contacts import contacts_within
from lchunk.operators.cutting import Pieces, best_cut, shares, walked
from lchunk.operators.error_place import MERGE, Compared, ErrorPlace, Side
from lchunk.operators.graph import Labels, Numbers


def wrong_merges(compared: Compared, merges: Merges) -> Iterator[ErrorPlace]:
    """The cuts that lower VOI, the best one first; each is looked for after all before it have been made.

    A segment is a tree of contacts (see `contacts_within`), which falls in two where one is cut. A side that still
    holds several bodies is then a segment of its own. Contacts that small segments have followed are not cut.

    Args:
        compared: the segments and the truth.
        merges: those of the tree that the threshold keeps, without links.

    Yields:
        The body of a side is the one of which this side has most more than the other.
    """
    graph = compared.graph
    contacts = contacts_within(graph, merges, compared.segments)
    labels, bodies = np.unique(compared.truth, return_inverse=True)
    pieces = Pieces.of(contacts, len(graph.nodes), compared.places, bodies, compared.voxels)
    waiting: list[tuple[float, int, int]] = []

    def look_for_cut(start: int, most: int) -> None:
        bits, link = best_cut(pieces, start, most, compared.least)
        if link >= 0:
            heapq.heappush(waiting, (-bits, link, most))

    for start, count in _with_several_bodies(compared):
        look_for_cut(start, count)
    while waiting:
        bits, link, most = heapq.heappop(waiting)
        pieces.cut[link] = True
        halves = [walked(pieces, int(end[link]), most)[0] for end in (contacts.one, contacts.other)]
        shared = [_shared(pieces, half, len(labels)) for half in halves]
        sides = [_side(compared, labels, *side) for side in zip(halves, shared, shared[::-1], strict=True)]
        one, other = sorted(sides, key=lambda side: -side.voxels)
        yield ErrorPlace(MERGE, -bits, float(contacts.mean[link]), (int(contacts.first[link]) // 3,), (one, other))
        for half in halves:
            look_for_cut(int(half[0]), len(half))


def _with_several_bodies(compared: Compared) -> Iterator[tuple[int, int]]:
    """The first fragment of each segment that shares voxels with several bodies, and the number of its fragments."""
    labels, starts, owner, counts = np.unique(
        compared.segments, return_index=True, return_inverse=True, return_counts=True
    )
    pairs = np.unique(np.stack([owner[compared.places].astype(np.uint64), compared.truth]), axis=1)
    several = np.bincount(pairs[0].astype(np.int64), minlength=len(labels)) > 1
    for row in np.flatnonzero(several & (labels != 0)):
        yield int(starts[row]), int(counts[row])


def _shared(pieces: Pieces, half: Numbers, count: int) -> Numbers:
    """Voxels of each body in some fragments."""
    keys, voxels = shares(pieces, half)
    total: Numbers = np.zeros(count, np.int64)
    np.add.at(total, keys >> 32, voxels)
    return total


def _side(compared: Compared, labels: Labels, half: Numbers, own: Numbers, other: Numbers) -> Side:
    """A side of a cut.

    Args:
        compared: the volume.
        labels: of the true bodies.
        half: its fragments.
        own: voxels that each body shares with this side,
        other: and with the other side.
    """
    body = int(np.argmax(np.where(own > 0, own - other, np.iinfo(np.int64).min)))
    segment, voxels = compared.segments[half[0]], compared.graph.sizes[half].sum()
    return Side(int(segment), int(voxels), int(labels[body]), int(own[body]))
