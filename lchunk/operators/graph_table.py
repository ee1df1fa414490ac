"""A graph as the columns of a file: few distinct values, which compress well, and the graph back from them, exactly.

Edges are in the order of their pairs, u < v, so that u is only counted and v is a small step:

    edges of u      steps               v
    node 7: three   1, 4, 20         →  8, 12, 32

An affinity k / 255, as nets write it in uint8, is 65793 k + 0 or 1 in fixed point. A sum is therefore stored as the
whole number of greys (255ths) in it, and as its difference from what such affinities usually add up to. The first voxel
of an edge is not before the first voxel of v: what is stored is how far it is behind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lchunk.operators.compiled import njit
from lchunk.operators.graph import COUNT, EDGE, FIRST, ONE, PAIR, SUM, Graph, Numbers, Table

GREY = int(ONE / 255)


def graph_table(graph: Graph) -> Table:
    """A graph as columns.

    Returns:
        nodes, sizes, faces: as in `Graph`. degrees: for each node, the edges to larger nodes. steps: for each edge,
        from the larger end of the edge before it, or from its smaller end if that has changed. greys, rests: its sum
        in 255ths, and the rest, see above; counts: its voxels; behind: of its first voxel, see above. link_from,
        link_to: places in nodes.
    """
    edges, nodes = graph.edges, graph.nodes.astype(np.int64)
    degrees, steps = np.zeros(len(nodes), np.uint32), np.empty(len(edges), np.uint32)
    order = _by_pair(edges, len(nodes))
    _steps(edges, order, degrees, steps)
    values = np.empty((4, len(edges)), np.int64)
    _values(edges, order, nodes, values)
    return {
        "nodes": graph.nodes, "sizes": graph.sizes, "faces": graph.faces, "degrees": degrees, "steps": steps,
        "greys": values[0], "rests": values[1], "counts": values[2], "behind": values[3],
        "link_from": graph.links[:, 0], "link_to": graph.links[:, 1],
    }  # fmt: skip


def graph_of(table: Table) -> Graph:
    """The graph in a file's columns; its edges are in the order of their pairs.

    Raises:
        ValueError: the columns do not belong together.
    """
    if EDGE[PAIR] in table:
        return _graph_of_wide(table)
    nodes = table["nodes"]
    edges = np.empty((len(table["steps"]), len(EDGE)), np.int64)
    for place, name in ((SUM, "greys"), (COUNT, "counts"), (FIRST, "behind")):
        _fill(edges, place, table[name])
    _refuse_unless(_join_pairs(edges, table["degrees"], table["steps"]) and len(table["degrees"]) == len(nodes))
    _refuse_unless(len(table["rests"]) == len(edges))
    _join_values(edges, nodes.astype(np.int64), table["rests"])
    links = np.stack([table["link_from"], table["link_to"]], axis=1)
    return Graph(nodes, table["sizes"], table["faces"], edges, links)


def _graph_of_wide(table: Table) -> Graph:
    """The graph in the columns that earlier versions wrote: an edge's numbers as they are."""
    edges = np.empty((len(table[EDGE[PAIR]]), len(EDGE)), np.int64)
    for place, name in enumerate(EDGE):
        _fill(edges, place, table[name])
    return Graph(table["nodes"], table["sizes"], table["faces"], edges, table["links"])


def _fill(edges: Numbers, place: int, column: Numbers) -> None:
    _refuse_unless(len(column) == len(edges))
    edges[:, place] = column


def _refuse_unless(fits: bool) -> None:
    if not fits:
        raise ValueError("the columns of a graph must belong together, but do not; remove its layer and run again")


@njit
def _by_pair(edges: Any, count: int) -> Any:
    """The rows in the order of their pairs: sorted by the larger end, then, stable, by the smaller one."""
    order = np.arange(len(edges), dtype=np.int32)
    for end in range(2):
        begins = np.zeros(count + 1, np.int64)
        for row in range(len(edges)):
            begins[(edges[row, PAIR] >> 32 * end & 0xFFFFFFFF) + 1] += 1
        for node in range(count):
            begins[node + 1] += begins[node]
        sorted_rows = np.empty_like(order)
        for place in range(len(order)):
            node = edges[order[place], PAIR] >> 32 * end & 0xFFFFFFFF
            sorted_rows[begins[node]] = order[place]
            begins[node] += 1
        order = sorted_rows
    return order


@njit
def _steps(edges: Any, order: Any, degrees: Any, steps: Any) -> None:
    smaller, before = np.int64(-1), np.int64(0)
    for place in range(len(order)):
        pair = edges[order[place], PAIR]
        if pair >> 32 != smaller:
            smaller = before = pair >> 32
        degrees[smaller] += 1
        steps[place] = (pair & 0xFFFFFFFF) - before
        before = pair & 0xFFFFFFFF


@njit
def _join_pairs(edges: Any, degrees: Any, steps: Any) -> bool:
    """Fill in the pairs. Returns whether they are such pairs."""
    place = 0
    for node in range(len(degrees)):
        end = np.int64(node)
        if degrees[node] > len(steps) - place:
            return False
        for _ in range(degrees[node]):
            end += steps[place]
            if end >= len(degrees):
                return False
            edges[place, PAIR] = np.int64(node) << 32 | end
            place += 1
    return place == len(steps)


@njit(inline=True)
def _usual_rest(greys: Any, count: Any) -> Any:
    """What the fixed point usually rounds up: above 127.5 each affinity by 1, down to 64.5 each odd one."""
    if 2 * greys > 255 * count:
        return count
    return (count + (greys & 1)) >> 1 if greys > 64 * count else 0


@njit
def _values(edges: Any, order: Any, nodes: Any, values: Any) -> None:
    greys, rests, counts, behind = values[0], values[1], values[2], values[3]
    for place in range(len(order)):
        pair, total, count, first = edges[order[place]]
        grey = total // GREY
        rest = total - grey * GREY - _usual_rest(grey, count)
        greys[place], counts[place] = grey, count
        rests[place] = 2 * rest if rest >= 0 else -2 * rest - 1
        behind[place] = first - 3 * (nodes[pair & 0xFFFFFFFF] - 1)


@njit
def _join_values(edges: Any, nodes: Any, rests: Any) -> None:
    """Make sums of greys and rests, and first voxels of how far they are behind."""
    for place in range(len(edges)):
        grey, rest = edges[place, SUM], rests[place]
        rest = -(rest + 1) // 2 if rest & 1 else rest // 2
        edges[place, SUM] = grey * GREY + rest + _usual_rest(grey, edges[place, COUNT])
        edges[place, FIRST] += 3 * (nodes[edges[place, PAIR] & 0xFFFFFFFF] - 1)
