"""The best cut of a segment into two: where its voxels would fit the true bodies best."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, NamedTuple, Self

import numpy as np

from lchunk.operators.compiled import njit
from lchunk.operators.contacts import Contacts
from lchunk.operators.graph import Numbers


class Pieces(NamedTuple):
    """Fragments, the contacts that connect them without a ring, and the voxels of true bodies in each.

    Args:
        begin: where the contacts of each fragment begin in `ends` and `links`; and their number.
        ends: the other fragment of each contact.
        links: the number of the contact.
        merged: whether the contact may be cut, because a merge was made there.
        cut: whether it has been cut.
        rows: where the rows of each fragment begin in `bodies` and `voxels`; and their number.
        bodies: number of a true body.
        voxels: voxels that it shares with the fragment.
    """

    begin: Any
    ends: Any
    links: Any
    merged: Any
    cut: Any
    rows: Any
    bodies: Any
    voxels: Any

    @classmethod
    def of(cls, contacts: Contacts, count: int, places: Numbers, bodies: Numbers, voxels: Numbers) -> Self:
        """All segments, uncut.

        Args:
            contacts: of all segments.
            count: number of fragments.
            places: rows of the place of a fragment,
            bodies: of the number of a true body in it,
            voxels: and of the voxels that they share. A pair has one row.
        """
        numbers = np.arange(len(contacts.one))
        here = np.concatenate([contacts.one, contacts.other])
        order, rows = np.argsort(here, kind="stable"), np.lexsort((bodies, places))
        bounds = np.arange(count + 1)
        return cls(
            np.searchsorted(here[order], bounds), np.concatenate([contacts.other, contacts.one])[order],
            np.concatenate([numbers, numbers])[order], ~np.isnan(contacts.mean), np.zeros(len(numbers), np.bool_),
            np.searchsorted(places[rows], bounds), bodies[rows], voxels[rows],
        )  # fmt: skip


@njit
def walked(pieces: Any, start: int, most: int) -> Any:
    """The fragments of a piece, and the way to each.

    Args:
        pieces: see `Pieces`.
        start: a fragment of the piece.
        most: number of fragments that the piece has at most.

    Returns:
        The fragments, from the start outwards; for each the place in this order of the one before it on the way, and
        the number of the contact between both. The start has -1 for both.
    """
    order, up, through = np.empty(most, np.int64), np.full(most, -1, np.int64), np.full(most, -1, np.int64)
    order[0] = start
    used, place = 1, 0
    while place < used:
        for half in range(pieces.begin[order[place]], pieces.begin[order[place] + 1]):
            link = pieces.links[half]
            if link != through[place] and not pieces.cut[link]:
                order[used], up[used], through[used] = pieces.ends[half], place, link
                used += 1
        place += 1
    return order[:used], up[:used], through[:used]


@njit
def shares(pieces: Any, order: Any) -> Any:
    """The voxels of true bodies in some fragments.

    Returns:
        Rows of body · 2^32 + place of the fragment in the order, ascending, and voxels.
    """
    count = 0
    for place in range(len(order)):
        count += pieces.rows[order[place] + 1] - pieces.rows[order[place]]
    keys, voxels = np.empty(count, np.int64), np.empty(count, np.int64)
    count = 0
    for place in range(len(order)):
        for row in range(pieces.rows[order[place]], pieces.rows[order[place] + 1]):
            keys[count], voxels[count] = (np.int64(pieces.bodies[row]) << 32) | place, pieces.voxels[row]
            count += 1
    rising = np.argsort(keys)
    return keys[rising], voxels[rising]


@njit
def best_cut(pieces: Any, start: int, most: int, least: float) -> Any:
    """The contact of a piece whose cut lowers VOI the most.

    Args:
        pieces: see `Pieces`.
        start: a fragment of the piece.
        most: number of fragments that the piece has at most.
        least: what a cut must lower VOI by, in bits · labelled voxels.

    Returns:
        What it lowers VOI by, in the same unit, and the number of the contact; -1 if no cut does. Of equal ones the
        smallest number.
    """
    order, up, through = walked(pieces, start, most)
    keys, voxels = shares(pieces, order)
    labelled = np.zeros(len(order), np.int64)
    for row in range(len(keys)):
        labelled[keys[row] & 0xFFFFFFFF] += voxels[row]
    for place in range(len(order) - 1, 0, -1):
        labelled[up[place]] += labelled[place]
    shared = _shared(keys, voxels, up)
    best, link = least, -1
    for place in range(1, len(order)):
        if pieces.merged[through[place]]:
            below = labelled[place]
            gain = _joined_bits(below, labelled[0] - below) - 2 * shared[place]
            if gain > best or (gain == best and link >= 0 and through[place] < link):
                best, link = gain, through[place]
    return best, link


@njit
def _shared(keys: Any, voxels: Any, up: Any) -> Any:
    """For the contact above each place, `_joined_bits` of the voxels of each body on both sides, added up.

    A body adds something only between its fragments: it is followed upwards until all of it is below.
    """
    shared, below = np.zeros(len(up)), np.zeros(len(up), np.int64)
    row = 0
    while row < len(keys):
        body, total, first = keys[row] >> 32, 0, row
        while row < len(keys) and keys[row] >> 32 == body:
            total += voxels[row]
            row += 1
        waiting = [np.int64(0) for _ in range(0)]  # the largest place first: nothing below it is left
        for each in range(first, row):
            place = keys[each] & 0xFFFFFFFF
            below[place] = voxels[each]
            heappush(waiting, -place)
        while waiting:
            place = -heappop(waiting)
            here = below[place]
            below[place] = 0
            if here < total:
                shared[place] += _joined_bits(here, total - here)
                if below[up[place]] == 0:
                    heappush(waiting, -up[place])
                below[up[place]] += here
    return shared


@njit(inline=True)
def _joined_bits(one: Any, other: Any) -> Any:
    """N log2 n of the sum of two counts, less that of each; the same bits for either order."""
    return _bits(one + other) - (_bits(one) + _bits(other))


@njit(inline=True)
def _bits(count: Any) -> Any:
    return count * np.log2(count) if count > 1 else 0.0
