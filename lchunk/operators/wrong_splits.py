"""Wrong splits: segments of one true body that should be joined."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lchunk.operators.contacts import strongest_contacts
from lchunk.operators.error_place import SPLIT, Compared, ErrorPlace, Side
from lchunk.operators.graph import COUNT, FIRST, ONE, PAIR, SUM, Graph, Labels, Numbers, Table, ends_of, pairs_of


def wrong_splits(compared: Compared) -> list[ErrorPlace]:
    """The joins of segments that lower VOI, those that lower it most first.

    A segment belongs to the body that it shares most voxels with; of equal ones, to that with the smallest label. The
    segments of a body are joined along their strongest contacts, the strongest first. Two segments touch in the body if
    two of their fragments do that belong to it as well. Parts of a body that do not touch in it are then joined with
    the one that has most of it, the largest first.
    """
    shared = _shared(compared)
    labels, bodies = _owners(shared["segment"], shared["truth"], shared["voxels"])
    graph, inside = _within_bodies(compared, labels, bodies)
    between, widest = strongest_contacts(graph, compared.segments, inside)
    sizes = dict(zip(between.nodes.tolist(), between.sizes.tolist(), strict=True))
    joins = _Joins(shared, dict(zip(labels.tolist(), bodies.tolist(), strict=True)), sizes)
    one, other = (between.nodes[ends].tolist() for ends in ends_of(between.edges[:, PAIR]))
    means = (between.edges[:, SUM] / between.edges[:, COUNT] / ONE).tolist()
    firsts = graph.edges[widest, FIRST].tolist()
    found = [joins.joined(*join) for join in zip(one, other, means, firsts, strict=True)]
    found += joins.without_contact()
    return sorted((error for error in found if error.bits > compared.least), key=lambda error: (-error.bits, error.at))


def joined_bits(one: dict[int, int], other: dict[int, int]) -> float:
    """What joining two segments adds to VOI split + merge, times the labelled voxels (see `error_places`).

    Args:
        one: voxels that a segment shares with each true body,
        other: and those that the other segment shares with each.

    >>> joined_bits({7: 4}, {7: 4}), joined_bits({7: 4}, {8: 4}), joined_bits({7: 4}, {7: 2, 8: 2})
    (-8.0, 8.0, -3.019550008653873)
    """
    both = sum(_bits(one[body], other[body]) for body in sorted(one.keys() & other.keys()))
    return _bits(sum(one.values()), sum(other.values())) - 2 * both


def _bits(one: int, other: int) -> float:
    """N log2 n of the sum of two counts, less that of each."""
    return (one + other) * math.log2(one + other) - (one * math.log2(one) + other * math.log2(other))


def _shared(compared: Compared) -> Table:
    """Columns segment, truth, voxels; and fragment, that of the segment which has most of the body. A pair once."""
    segment = compared.segments[compared.places]
    order = np.lexsort((compared.places, -compared.voxels, compared.truth, segment))
    segment, truth, voxels = segment[order], compared.truth[order], compared.voxels[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (segment[1:] != segment[:-1]) | (truth[1:] != truth[:-1])
    first = np.flatnonzero(new)
    fragment = compared.graph.nodes[compared.places[order[first]]]
    total = np.add.reduceat(voxels, first) if len(first) else voxels
    return {"segment": segment[first], "truth": truth[first], "voxels": total, "fragment": fragment}


def _owners(labels: Labels, truth: Labels, voxels: Numbers) -> tuple[Labels, Labels]:
    """The labels that share voxels with a body, ascending, without background, and the body of each."""
    order = np.lexsort((truth, -voxels, labels))
    owned, first = np.unique(labels[order], return_index=True)
    kept = owned != 0
    return owned[kept], truth[order][first[kept]]


def _within_bodies(compared: Compared, labels: Labels, bodies: Labels) -> tuple[Graph, npt.NDArray[np.bool_]]:
    """The graph with the edges between segments of one body that touch in it, and which edges are in the body."""
    graph, segments = compared.graph, compared.segments
    owner = _body_of(segments, labels, bodies)
    own = _body_of(graph.nodes, *_owners(graph.nodes[compared.places], compared.truth, compared.voxels))
    u, v = ends_of(graph.edges[:, PAIR])
    kept = np.flatnonzero((segments[u] != segments[v]) & (owner[u] == owner[v]) & (owner[u] != 0))
    u, v = u[kept], v[kept]
    inside = (own[u] == owner[u]) & (own[v] == owner[v])
    _, place = np.unique(segments, return_inverse=True)
    pairs = pairs_of(place[u], place[v])
    touching = np.isin(pairs, pairs[inside])
    return replace(graph, edges=graph.edges[kept[touching]]), inside[touching]


def _body_of(labels: Labels, owned: Labels, bodies: Labels) -> Labels:
    """The body of each label; 0, which no body has, where it has none."""
    if not len(owned):
        return np.zeros(len(labels), np.uint64)
    at = np.minimum(np.searchsorted(owned, labels), len(owned) - 1)
    return np.where(owned[at] == labels, bodies[at], np.uint64(0))


class _Joins:
    """Segments while they are joined.

    Args:
        shared: columns as of `_shared`.
        body: of each segment.
        sizes: voxels of each segment.
    """

    def __init__(self, shared: Table, body: dict[int, int], sizes: dict[int, int]) -> None:
        self.body, self.sizes = body, sizes
        self.shares: dict[int, dict[int, int]] = defaultdict(dict)  # of the top of what has been joined
        self.own: dict[int, int] = {}
        self.fragment: dict[int, int] = {}
        self.tops: dict[int, int] = {}
        for segment, truth, voxels, fragment in zip(*(column.tolist() for column in shared.values()), strict=True):
            if segment:
                self.shares[segment][truth] = voxels
                if body[segment] == truth:
                    self.own[segment], self.fragment[segment] = voxels, fragment

    def joined(self, one: int, other: int, mean: float | None, first: int = 0) -> ErrorPlace:
        """Join what two segments are part of.

        Args:
            one: label of a segment,
            other: and that of the other segment, of the same body.
            mean: affinity between the two; None if they do not touch in the body.
            first: of their contact, as in `Graph`.
        """
        large, small = sorted((self._top(one), self._top(other)), key=lambda top: -len(self.shares[top]))
        bits = joined_bits(self.shares[large], self.shares[small])
        for body, voxels in self.shares.pop(small).items():
            self.shares[large][body] = self.shares[large].get(body, 0) + voxels
        self.tops[small] = large
        one, other = sorted((one, other), key=lambda segment: (-self.own[segment], segment))
        at = (first // 3,) if mean is not None else (self.fragment[one] - 1, self.fragment[other] - 1)
        return ErrorPlace(SPLIT, -bits, mean, at, (self._side(one), self._side(other)))

    def without_contact(self) -> Iterator[ErrorPlace]:
        """Join what is left of each body."""
        parts: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for segment, body in self.body.items():
            parts[body][self._top(segment)].append(segment)
        for body, apart in parts.items():
            order = sorted(apart, key=lambda top: (-self.shares[top][body], min(apart[top])))
            largest, *others = [min(apart[top], key=lambda each: (-self.own[each], each)) for top in order]
            for other in others:
                yield self.joined(largest, other, None)

    def _side(self, segment: int) -> Side:
        return Side(segment, self.sizes[segment], self.body[segment], self.own[segment])

    def _top(self, segment: int) -> int:
        while (top := self.tops.get(segment, segment)) != segment:
            self.tops[segment] = self.tops.get(top, top)
            segment = top
        return segment
