"""Mean-affinity agglomeration of a region graph: merge the strongest pair until none is strong enough.

The linkage is reducible: a merge never makes an edge stronger than the stronger of the two it joins. So a
part of the graph may merge whatever it sees whole, in any order, and the result is that of the whole graph;
fragments that it does not see whole are `frozen`, and stay for whoever sees more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from lchunk.operators.pair_sums import Table, mixed
from lchunk.operators.region_graph import ONE

Labels = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Agglomerated:
    """What a part of the graph could decide.

    Args:
        changed: fragments that became part of another, ascending.
        roots: for each, the smallest fragment of its segment.
        rest: edges between what is frozen now, in the names of their roots.
        frozen: roots that may still merge.
    """

    changed: Labels
    roots: Labels
    rest: Table
    frozen: Labels


def agglomerate_graph(edges: Table, *, threshold: float, frozen: Labels | None = None) -> Agglomerated:
    """Merge fragments while the mean affinity between them is above `1 - threshold`.

    Args:
        edges: a region graph with one row a pair.
        threshold: waterz's score, 1 - mean affinity; pairs below it merge, in [0, 1].
        frozen: fragments with edges or voxels that the graph does not hold.

    Raises:
        ValueError: threshold is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    labels, places = np.unique(np.concatenate([edges["u"], edges["v"]]), return_inverse=True)
    count = len(edges["u"])
    u, v = places[:count].astype(np.int64), places[count:].astype(np.int64)
    cold = np.isin(labels, frozen) if frozen is not None else np.zeros(len(labels), bool)
    sums, counts = edges["sum"].astype(np.int64), edges["count"].astype(np.int64)
    parents, alive = _merge(len(labels), u, v, sums, counts, (1 - threshold) * ONE, cold)

    tops = _tops(parents)
    smallest = np.zeros(len(labels), np.uint64)
    smallest[tops[::-1]] = labels[::-1]
    roots = smallest[tops]
    changed = roots != labels
    still = alive & cold[u] & cold[v]
    ends = np.sort(np.stack([smallest[u[still]], smallest[v[still]]]), axis=0)
    order = np.lexsort((ends[1], ends[0]))
    rest = {"u": ends[0][order], "v": ends[1][order], "sum": sums[still][order], "count": counts[still][order]}
    return Agglomerated(labels[changed], roots[changed], rest, np.unique(roots[cold[tops]]))


@numba.njit(cache=True, nogil=True)
def _merge(nodes: int, u: Any, v: Any, sums: Any, counts: Any, least: float, frozen: Any) -> Any:
    """Merge in place: `u`, `v`, `sums`, `counts` and `frozen` end as they are after the last merge.

    Each edge has two half-edges, 2e and 2e + 1, chained from the node that they leave. The edge between two nodes is
    found by a hash of both; entries of nodes that are no more stay, as nobody asks for them.
    """
    edges = u.size
    parents = np.arange(nodes)
    alive = np.ones(edges, np.bool_)
    first, last = np.full(nodes, -1), np.full(nodes, -1)
    degree = np.zeros(nodes, np.int64)
    following = np.full(2 * edges, -1)
    between = _empty_places(edges)
    used = edges
    means, queue = np.empty(edges + 1, np.float64), np.empty(edges + 1, np.int64)
    waiting = 0
    for edge in range(edges):
        for half, node in ((2 * edge, u[edge]), (2 * edge + 1, v[edge])):
            if first[node] < 0:
                first[node] = half
            else:
                following[last[node]] = half
            last[node] = half
            degree[node] += 1
        _put(between, u[edge] * nodes + v[edge], edge)
        mean = sums[edge] / counts[edge]
        if mean > least:
            means[waiting], queue[waiting] = mean, edge
            waiting += 1
    for place in range(waiting // 2 - 1, -1, -1):
        _sink(means, queue, waiting, place)
    while waiting > 0:
        mean, edge = means[0], queue[0]
        waiting -= 1
        means[0], queue[0] = means[waiting], queue[waiting]
        _sink(means, queue, waiting, 0)
        if not alive[edge] or sums[edge] / counts[edge] != mean:
            continue
        keep, lose = u[edge], v[edge]
        if frozen[keep] or frozen[lose]:
            frozen[keep] = frozen[lose] = True
            continue
        if degree[keep] < degree[lose]:
            keep, lose = lose, keep
        parents[lose] = keep
        alive[edge] = False
        half = first[lose]
        while half >= 0:
            after = following[half]
            moved = half >> 1
            if alive[moved]:
                other = v[moved] if u[moved] == lose else u[moved]
                key = min(keep, other) * nodes + max(keep, other)
                place = _place(between[0], key)
                joined = between[1][place] if between[0][place] == key else -1
                if joined >= 0:
                    sums[joined] += sums[moved]
                    counts[joined] += counts[moved]
                    alive[moved] = False
                    mean = sums[joined] / counts[joined]
                    if mean > least:
                        if waiting == means.size:
                            means, queue = _longer(means), _longer(queue)
                        means[waiting], queue[waiting] = mean, joined
                        waiting += 1
                        _rise(means, queue, waiting - 1)
                else:
                    _put(between, key, moved)
                    used += 1
                    if 2 * used > between[0].size:
                        between = _empty_places(2 * used)
                        used = 0
                        for kept in range(edges):
                            if alive[kept] and kept != moved:
                                _put(between, u[kept] * nodes + v[kept], kept)
                                used += 1
                        _put(between, key, moved)
                        used += 1
                    u[moved], v[moved] = min(keep, other), max(keep, other)
                    following[half] = -1
                    following[last[keep]] = half
                    last[keep] = half
                    degree[keep] += 1
            half = after
    return parents, alive


@numba.njit(cache=True, nogil=True)
def _empty_places(count: int) -> Any:
    """Room for some numbered keys, at most half full: keys (-1 is free), and what they stand for."""
    size = 16
    while size < 2 * count:
        size *= 2
    return np.full(size, -1), np.empty(size, np.int64)


@numba.njit(cache=True, nogil=True, inline="always")
def _place(keys: Any, key: int) -> Any:
    """Where a key is, or belongs."""
    mask = np.uint64(keys.size - 1)
    place = mixed(key) & mask
    while keys[place] not in (-1, key):
        place = (place + np.uint64(1)) & mask
    return place


@numba.njit(cache=True, nogil=True, inline="always")
def _put(places: Any, key: int, value: int) -> None:
    place = _place(places[0], key)
    places[0][place] = key
    places[1][place] = value


@numba.njit(cache=True, nogil=True)
def _longer(values: Any) -> Any:
    longer = np.empty(2 * values.size, values.dtype)
    longer[: values.size] = values
    return longer


@numba.njit(cache=True, nogil=True, inline="always")
def _sink(means: Any, queue: Any, count: int, place: int) -> None:
    """Let an entry of the queue, largest mean first, sink to where it belongs."""
    mean, edge = means[place], queue[place]
    while 2 * place + 1 < count:
        below = 2 * place + 1
        if below + 1 < count and _before(means, queue, below + 1, means[below], queue[below]):
            below += 1
        if not _before(means, queue, below, mean, edge):
            break
        means[place], queue[place] = means[below], queue[below]
        place = below
    means[place], queue[place] = mean, edge


@numba.njit(cache=True, nogil=True, inline="always")
def _rise(means: Any, queue: Any, place: int) -> None:
    mean, edge = means[place], queue[place]
    while place > 0:
        above = (place - 1) // 2
        if means[above] > mean or (means[above] == mean and queue[above] <= edge):
            break
        means[place], queue[place] = means[above], queue[above]
        place = above
    means[place], queue[place] = mean, edge


@numba.njit(cache=True, nogil=True, inline="always")
def _before(means: Any, queue: Any, place: int, mean: float, edge: int) -> Any:
    """Whether the entry at a place comes before a mean and an edge; equal means by the edge's number."""
    return means[place] > mean or (means[place] == mean and queue[place] < edge)


@numba.njit(cache=True, nogil=True)
def _tops(parents: Any) -> Any:
    """The last ancestor of each node; `parents` is shortened to it."""
    for node in range(parents.size):
        top = node
        while parents[top] != top:
            top = parents[top]
        walked = node
        while parents[walked] != top:
            parents[walked], walked = top, parents[walked]
    return parents
