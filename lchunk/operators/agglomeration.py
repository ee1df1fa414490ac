"""Mean-affinity agglomeration of a region graph: merge the strongest pair until none is strong enough.

The linkage is reducible: a merge never makes an edge stronger than the stronger of the two it joins. So a
part of the graph may merge whatever it sees whole, in any order, and the result is that of the whole graph;
fragments that it does not see whole are `frozen`, and stay for whoever sees more.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.typed import Dict as TypedDict

from lchunk.operators.pair_sums import Table
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

    Each edge has two half-edges, 2e and 2e + 1, chained from the node that they leave.
    """
    edges = u.size
    parents = np.arange(nodes)
    alive = np.ones(edges, np.bool_)
    first, last = np.full(nodes, -1), np.full(nodes, -1)
    degree = np.zeros(nodes, np.int64)
    following = np.full(2 * edges, -1)
    between = TypedDict.empty(numba.int64, numba.int64)
    heap = [(0.0, 0, 0) for _ in range(0)]
    for edge in range(edges):
        for half, node in ((2 * edge, u[edge]), (2 * edge + 1, v[edge])):
            if first[node] < 0:
                first[node] = half
            else:
                following[last[node]] = half
            last[node] = half
            degree[node] += 1
        between[u[edge] * nodes + v[edge]] = edge
        mean = sums[edge] / counts[edge]
        if mean > least:
            heap.append((-mean, edge, counts[edge]))
    heapq.heapify(heap)
    while len(heap) > 0:
        _, edge, seen = heapq.heappop(heap)
        if not alive[edge] or counts[edge] != seen:
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
                del between[min(lose, other) * nodes + max(lose, other)]
                key = min(keep, other) * nodes + max(keep, other)
                if key in between:
                    joined = between[key]
                    sums[joined] += sums[moved]
                    counts[joined] += counts[moved]
                    alive[moved] = False
                    mean = sums[joined] / counts[joined]
                    if mean > least:
                        heapq.heappush(heap, (-mean, joined, counts[joined]))
                else:
                    between[key] = moved
                    u[moved], v[moved] = min(keep, other), max(keep, other)
                    following[half] = -1
                    following[last[keep]] = half
                    last[keep] = half
                    degree[keep] += 1
            half = after
    return parents, alive


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
