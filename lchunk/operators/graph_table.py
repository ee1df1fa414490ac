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
from lchunk.operators.graph import COUNT, EDGE, FIRST, ONE, PAIR, SUM, Graph, Table

GREY = int(ONE / 255)
EDGES = ("steps", "greys", "rests", "counts", "behind")
"""Columns with a row per edge."""
FEW = 48
"""Rows that are sorted fastest by insertion."""


def graph_table(graph: Graph) -> Table:
    """A graph as columns.

    Returns:
        nodes, sizes, faces: as in `Graph`. degrees: for each node, the edges to larger nodes. steps: for each edge,
        from the larger end of the edge before it, or from its smaller end if that has changed. greys, rests: its sum
        in 255ths, and the rest, see above; counts: its voxels; behind: of its first voxel, see above. link_from,
        link_to: places in nodes.
    """
    nodes = graph.nodes.astype(np.int64)
    rows, ends = _by_smaller_end(graph.edges, len(nodes))
    columns = np.empty((len(EDGES), len(rows)), np.uint32)
    if not _sorted_columns(graph.edges, nodes, rows, ends, columns):
        columns = np.empty(columns.shape, np.int64)
        _sorted_columns(graph.edges, nodes, rows, ends, columns)
    return {
        "nodes": graph.nodes, "sizes": graph.sizes, "faces": graph.faces,
        "degrees": np.diff(ends, prepend=0).astype(np.uint32), **dict(zip(EDGES, columns, strict=True)),
        "link_from": graph.links[:, 0], "link_to": graph.links[:, 1],
    }  # fmt: skip


def graph_of(table: Table) -> Graph:
    """The graph in a file's columns; its edges are in the order of their pairs.

    Raises:
        ValueError: the columns do not belong together.
    """
    nodes, degrees = table["nodes"], table["degrees"]
    columns = tuple(table[name] for name in EDGES)
    edges = np.empty((len(columns[0]), len(EDGE)), np.int64)
    if (
        {len(column) for column in columns} != {len(edges)}
        or len(degrees) != len(nodes)
        or not _joined(columns, degrees, nodes.astype(np.int64), edges)
    ):
        raise ValueError("the columns of a graph must belong together, but do not; remove its layer and run again")
    links = np.stack([table["link_from"], table["link_to"]], axis=1)
    return Graph(nodes, table["sizes"], table["faces"], edges, links)


@njit
def _by_smaller_end(edges: Any, count: int) -> Any:
    """The rows in the order of their smaller ends, and where those of each node end."""
    ends = np.zeros(count + 1, np.int64)
    for row in range(len(edges)):
        ends[(edges[row, PAIR] >> 32) + 1] += 1
    for node in range(count):
        ends[node + 1] += ends[node]
    rows = np.empty(len(edges), np.int32)
    for row in range(len(edges)):
        node = edges[row, PAIR] >> 32
        rows[ends[node]] = row
        ends[node] += 1
    return rows, ends[:count]


@njit(inline=True)
def _usual_rest(greys: Any, count: Any) -> Any:
    """What the fixed point usually rounds up: above 127.5 each affinity by 1, down to 64.5 each odd one."""
    if 2 * greys > 255 * count:
        return count
    return (count + (greys & 1)) >> 1 if greys > 64 * count else 0


@njit
def _sorted_columns(edges: Any, nodes: Any, rows: Any, ends: Any, columns: Any) -> Any:
    """Fill in `EDGES`, sorting the rows of each node. Returns whether all values fit in 32 bits."""
    begin = np.int64(0)
    bits = np.int64(0)
    for node in range(len(ends)):
        _sort_by_pair(rows, begin, ends[node], edges)
        last = np.int64(node)
        for place in range(begin, ends[node]):
            row = rows[place]
            end, count = edges[row, PAIR] & 0xFFFFFFFF, edges[row, COUNT]
            grey = edges[row, SUM] // GREY
            rest = edges[row, SUM] - grey * GREY - _usual_rest(grey, count)
            rest = 2 * rest if rest >= 0 else -2 * rest - 1
            late = edges[row, FIRST] - 3 * (nodes[end] - 1)
            columns[0, place], columns[1, place], columns[2, place] = end - last, grey, rest
            columns[3, place], columns[4, place] = count, late
            bits |= grey | rest | count | late
            last = end
        begin = ends[node]
    return bits >> 32 == 0


@njit
def _sort_by_pair(rows: Any, begin: int, stop: int, edges: Any) -> None:
    """Sort the rows of one node; most are few, and nearly in order."""
    if stop - begin > FEW:
        keys = np.empty(stop - begin, np.uint64)  # larger end, row: pairs differ, so that rows decide nothing
        for place in range(begin, stop):
            end, row = edges[rows[place], PAIR] & 0xFFFFFFFF, rows[place]
            keys[place - begin] = np.uint64(end) << np.uint64(32) | np.uint64(row)
        keys.sort()
        for place in range(begin, stop):
            rows[place] = keys[place - begin] & np.uint64(0xFFFFFFFF)
        return
    for number in range(begin + 1, stop):
        row, place = rows[number], number
        pair = edges[row, PAIR]
        while place > begin and edges[rows[place - 1], PAIR] > pair:
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@njit
def _joined(columns: Any, degrees: Any, nodes: Any, edges: Any) -> bool:
    """Fill in the edges. Returns whether the columns are those of edges between these nodes."""
    steps, greys, rests, counts, behind = columns
    place = 0
    for node in range(len(degrees)):
        end = np.int64(node)
        if degrees[node] > len(steps) - place:
            return False
        for _ in range(degrees[node]):
            end += np.int64(steps[place])
            if end >= len(nodes) or end < 0:
                return False
            grey, rest, count = np.int64(greys[place]), np.int64(rests[place]), np.int64(counts[place])
            rest = -((rest + 1) >> 1) if rest & 1 else rest >> 1
            edges[place, PAIR] = np.int64(node) << 32 | end
            edges[place, SUM] = grey * GREY + rest + _usual_rest(grey, count)
            edges[place, COUNT] = count
            edges[place, FIRST] = np.int64(behind[place]) + 3 * (nodes[end] - 1)
            place += 1
    return place == len(steps)
