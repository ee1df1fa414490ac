"""The loops of agglomeration, compiled: clusters as they grow, the edges between them, and a queue of the strongest."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit
from lchunk.operators.graph import COUNT, FIRST, ONE, PAIR, SUM, Numbers
from lchunk.operators.pair_hash import empty_places, longer, place_of


class Forest(NamedTuple):
    """Clusters of nodes, each stored at its top node, and their merges in the order in which they were made."""

    tops: Any
    smallest: Any
    waiting: Any  # clusters that the box does not see whole
    sides: Any  # clusters of different sides, above 0, are never joined
    sizes: Any
    merged: Any
    into: Any
    mean: Any
    grown: Any
    made: Any


def new_forest(waiting: npt.NDArray[np.bool_], sizes: Numbers, sides: npt.NDArray[np.int32] | None = None) -> Forest:
    """A forest in which every node is a cluster of its own.

    Args:
        waiting: nodes that the box does not see whole.
        sizes: voxels of each node.
        sides: nodes with different numbers above 0 stay in different clusters; default: 0, any may be joined.
    """
    count = len(sizes)
    apart = np.zeros(count, np.int32) if sides is None else sides.astype(np.int32)
    ends = np.arange(count, dtype=np.int32)
    return Forest(
        ends, ends.copy(), waiting, apart, sizes.astype(np.int64), np.empty_like(ends), np.empty_like(ends),
        np.empty(count, np.float32), np.empty(count, np.int64), np.zeros(1, np.int64),
    )  # fmt: skip


@njit
def _top(tops: Any, node: Any) -> Any:
    """The top node of a node's cluster; halves the path on the way."""
    while tops[node] != node:
        tops[node] = tops[tops[node]]
        node = tops[node]
    return node


@njit
def _join(forest: Any, keep: Any, lose: Any, mean: float) -> None:
    one, other = forest.smallest[keep], forest.smallest[lose]
    made = forest.made[0]
    forest.tops[lose] = keep
    forest.sizes[keep] += forest.sizes[lose]
    forest.waiting[keep] |= forest.waiting[lose]
    forest.sides[keep] = max(forest.sides[keep], forest.sides[lose])
    forest.smallest[keep] = min(one, other)
    forest.merged[made], forest.into[made] = max(one, other), min(one, other)
    forest.mean[made], forest.grown[made] = mean, forest.sizes[keep]
    forest.made[0] += 1


@njit
def follow_links(forest: Any, links: Any, away: Any) -> None:
    """Join the clusters that are linked inside the box; those that are linked to a label outside it wait."""
    for row in range(len(links)):
        a, b = links[row]
        if not (away[a] or away[b]):
            keep, lose = _top(forest.tops, np.int32(a)), _top(forest.tops, np.int32(b))
            if keep != lose:
                _join(forest, keep, lose, np.inf)
    for row in range(len(links)):
        a, b = links[row]
        if away[a] or away[b]:
            forest.waiting[_top(forest.tops, np.int32(a))] = True
            forest.waiting[_top(forest.tops, np.int32(b))] = True


@njit
def contracted(edges: Any, tops: Any) -> Any:
    """Rename the ends of edges to clusters and add up edges of the same pair. Returns a hash from pairs to edges."""
    between = empty_places(len(edges))
    for edge in range(len(edges)):
        pair = edges[edge, PAIR]
        a, b = _top(tops, np.int32(pair >> 32)), _top(tops, np.int32(pair & 0xFFFFFFFF))
        if a == b:
            edges[edge, COUNT] = 0
            continue
        pair = _pair(a, b)
        edges[edge, PAIR] = pair
        place = place_of(between, edges, pair)
        if between[place] >= 0:
            _add(edges, between[place], edge)
        else:
            between[place] = edge
    return between


def added_between(edges: Numbers, place: npt.NDArray[np.intp], count: int) -> Numbers:
    """The edges between clusters, one for each pair that touches, in the order of the first row of each.

    Args:
        edges: rows as in `Graph`; they are overwritten.
        place: the number of each node's cluster.
        count: number of clusters.
    """
    _rename(edges, place)
    contracted(edges, np.arange(count, dtype=np.int32))
    return edges[edges[:, COUNT] > 0]


@njit
def _rename(edges: Any, place: Any) -> None:
    for row in range(len(edges)):
        edges[row, PAIR] = _pair(place[edges[row, PAIR] >> 32], place[edges[row, PAIR] & 0xFFFFFFFF])


@njit(inline=True)
def _pair(a: Any, b: Any) -> Any:
    return np.int64(min(a, b)) << 32 | np.int64(max(a, b))


@njit(inline=True)
def _add(edges: Any, to: Any, edge: Any) -> None:
    """Add an edge to another, and remove it by setting its count to 0."""
    edges[to, SUM] += edges[edge, SUM]
    edges[to, COUNT] += edges[edge, COUNT]
    edges[to, FIRST] = min(edges[to, FIRST], edges[edge, FIRST])
    edges[edge, COUNT] = 0


@njit
def merge_strongest(forest: Any, edges: Any, between: Any, rising: Any, least: float) -> None:
    """Merge in place, the strongest edge first: the last of `rising`, or of the edges that have changed since.

    Each edge has two half-edges, 2e and 2e + 1, chained from the node that they leave. Entries of `between` for
    clusters that no longer exist stay, because they are never looked up.
    """
    chains = np.full((len(forest.tops), 3), -1, np.int32)  # first half-edge, last one, their number minus 1
    following = np.full(2 * len(edges), -1, np.int32)
    used = 0
    for edge in range(len(edges)):
        if edges[edge, COUNT] > 0:
            used += 1
            _append(chains, following, edges[edge, PAIR] >> 32, 2 * edge)
            _append(chains, following, edges[edge, PAIR] & 0xFFFFFFFF, 2 * edge + 1)
    means, queue = np.empty(1024, np.float64), np.empty((1024, 2), np.int64)
    changed = 0
    has_changed = np.zeros(len(edges), np.bool_)
    unchanged = len(rising)
    while True:
        while unchanged > 0 and (has_changed[rising[unchanged - 1]] or edges[rising[unchanged - 1], COUNT] == 0):
            unchanged -= 1
        if unchanged == 0 and changed == 0:
            break
        from_queue = unchanged == 0
        if not from_queue:
            edge = rising[unchanged - 1]
            mean = edges[edge, SUM] / edges[edge, COUNT]
            from_queue = changed > 0 and _before(means, queue, 0, mean, edges[edge, FIRST])
        if from_queue:
            mean, tie, edge = means[0], queue[0, 0], queue[0, 1]
            changed -= 1
            means[0] = means[changed]
            queue[0] = queue[changed]
            _sink(means, queue, changed)
            count = edges[edge, COUNT]
            if count == 0 or edges[edge, SUM] / count != mean or edges[edge, FIRST] != tie:
                continue
        else:
            unchanged -= 1
        if mean <= least:
            break
        keep, lose = edges[edge, PAIR] >> 32, edges[edge, PAIR] & 0xFFFFFFFF
        if forest.waiting[keep] or forest.waiting[lose]:
            forest.waiting[keep] = forest.waiting[lose] = True
            continue
        if forest.sides[keep] != forest.sides[lose] and min(forest.sides[keep], forest.sides[lose]) > 0:
            continue
        if chains[keep, 2] < chains[lose, 2]:
            keep, lose = lose, keep
        edges[edge, COUNT] = 0
        _join(forest, keep, lose, mean / ONE)
        half = chains[lose, 0]
        while half >= 0:
            after = following[half]
            moved = np.int64(half >> 1)
            if edges[moved, COUNT] > 0:
                old = edges[moved, PAIR]
                other = old & 0xFFFFFFFF if old >> 32 == lose else old >> 32
                pair = _pair(keep, other)
                place = place_of(between, edges, pair)
                if between[place] >= 0:
                    joined = np.int64(between[place])
                    _add(edges, joined, moved)
                    has_changed[joined] = True
                    mean = edges[joined, SUM] / edges[joined, COUNT]
                    if mean > least:
                        if changed == len(means):
                            means, queue = longer(means), longer(queue)
                        means[changed] = mean
                        queue[changed, 0], queue[changed, 1] = edges[joined, FIRST], joined
                        changed += 1
                        _rise(means, queue, changed - 1)
                else:
                    between[place] = moved
                    used += 1
                    edges[moved, PAIR] = pair
                    _append(chains, following, keep, half)
                    if 3 * used > 2 * len(between):
                        between, used = _without_old(edges)
            half = after


@njit(inline=True)
def _append(chains: Any, following: Any, node: Any, half: Any) -> None:
    """Put a half-edge at the end of a node's chain."""
    if chains[node, 0] < 0:
        chains[node, 0] = half
    else:
        following[chains[node, 1]] = half
    chains[node, 1] = half
    chains[node, 2] += 1
    following[half] = -1


@njit
def _without_old(edges: Any) -> Any:
    """A hash of the edges that remain, and their number."""
    used = 0
    for edge in range(len(edges)):
        used += edges[edge, COUNT] > 0
    between = empty_places(2 * used)
    for edge in range(len(edges)):
        if edges[edge, COUNT] > 0:
            between[place_of(between, edges, edges[edge, PAIR])] = edge
    return between, used


@njit(inline=True)
def _before(means: Any, queue: Any, place: int, mean: float, tie: int) -> Any:
    """Whether the entry at a place is stronger: a larger mean, or the same and a smaller first voxel."""
    return means[place] > mean or (means[place] == mean and queue[place, 0] < tie)


@njit
def _sink(means: Any, queue: Any, count: int) -> None:
    """Move the entry at the top of the queue, which has the strongest first, down to its place."""
    place = 0
    mean, tie, edge = means[0], queue[0, 0], queue[0, 1]
    while 2 * place + 1 < count:
        below = 2 * place + 1
        if below + 1 < count and _before(means, queue, below + 1, means[below], queue[below, 0]):
            below += 1
        if not _before(means, queue, below, mean, tie):
            break
        means[place], queue[place, 0], queue[place, 1] = means[below], queue[below, 0], queue[below, 1]
        place = below
    means[place], queue[place, 0], queue[place, 1] = mean, tie, edge


@njit
def _rise(means: Any, queue: Any, place: int) -> None:
    """Move an entry of the queue up to its place."""
    mean, tie, edge = means[place], queue[place, 0], queue[place, 1]
    while place > 0:
        above = (place - 1) // 2
        if _before(means, queue, above, mean, tie):
            break
        means[place], queue[place, 0], queue[place, 1] = means[above], queue[above, 0], queue[above, 1]
        place = above
    means[place], queue[place, 0], queue[place, 1] = mean, tie, edge


@njit
def shortened(tops: Any) -> Any:
    """The top of each node, with every path reduced to one step."""
    for node in range(len(tops)):
        tops[node] = _top(tops, node)
    return tops


@njit
def joining(one: Any, other: Any, count: int) -> Any:
    """Which of the pairs, taken in turn, join two clusters that those before them have not joined.

    Args:
        one: a node of each pair,
        other: and the other node.
        count: number of nodes.
    """
    tops, joins = np.arange(count).astype(np.int32), np.zeros(len(one), np.bool_)
    for row in range(len(one)):
        a, b = _top(tops, np.int32(one[row])), _top(tops, np.int32(other[row]))
        if a != b:
            tops[max(a, b)] = min(a, b)
            joins[row] = True
    return joins
