"""Mean-affinity agglomeration of a graph: merge the strongest pair until none is left; the result is a tree of merges.

Among pairs of equal mean, the one whose first voxel comes first (`FIRST`) is merged first, so that the order is strict.
The linkage is reducible: a merge never makes an edge stronger than the stronger of the two edges that it joins. A part
of the graph may therefore merge every cluster that it sees whole, in any order, and the merges are those of the whole
graph. The clusters that it does not see whole wait for a larger part. Links are edges stronger than any mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.graph import (
    COUNT,
    FIRST,
    ONE,
    PAIR,
    SUM,
    Graph,
    Labels,
    Numbers,
    Table,
    ends_of,
    pairs_of,
)
from lchunk.operators.merging import Forest, contracted, follow_links, merge_strongest, new_forest, shortened

MOST_EDGES = 1 << 30
"""Edges that one box may hold: about 150 GB."""


@dataclass(frozen=True)
class Merges:
    """A tree of merges: `merged` becomes `into`, the smaller label of the two clusters that join.

    Args:
        merged: ascending; a label is merged once.
        into: for each the label that it becomes.
        mean: affinity between the two clusters, in (0, 1]; infinite for a link. Means fall from leaf to root.
        size: voxels of the two together.
    """

    merged: Labels
    into: Labels
    mean: npt.NDArray[np.float32]
    size: Numbers

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """The merges in a file's columns."""
        return cls(**{name: table[name] for name in cls.__dataclass_fields__})

    @classmethod
    def together(cls, boxes: Sequence[Self]) -> Self:
        """The merges of all boxes of a level, which merge different labels."""
        merged, into, mean, size = (
            np.concatenate([getattr(box, name) for box in boxes]) for name in cls.__dataclass_fields__
        )
        order = np.argsort(merged)
        return cls(merged[order], into[order], mean[order], size[order])

    def table(self) -> Table:
        """The merges as columns."""
        return dict(vars(self))


def agglomerate_graph(
    graph: Graph, outside: npt.NDArray[np.bool_] | None = None, *, threshold: float = 1.0, overwrite: bool = False
) -> tuple[Merges, Graph]:
    """Merge the clusters that a part of the volume's graph sees whole: all of them, if it is the whole graph.

    Args:
        graph: of a box.
        outside: whether each node is a label outside the box; default: none is.
        threshold: merge pairs whose score, 1 - mean affinity, is below it, in [0, 1]; a score that is equal to it but
            for the rounding of float32 may be below, so that `above_threshold` keeps the same of a larger tree.
        overwrite: reuse the memory of the graph's edges, which are invalid afterwards.

    Returns:
        The merges, and the graph that remains: the edges between labels that the box does not see whole, and links
        between the labels at its faces and the labels that they have become.

    Raises:
        ValueError: more than `MOST_EDGES` edges, or threshold is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold}")
    if len(graph.edges) > MOST_EDGES:
        raise ValueError(f"a box must have at most {MOST_EDGES} edges to be merged at once, got {len(graph.edges)}")
    away = np.zeros(len(graph.nodes), np.bool_) if outside is None else outside
    forest = new_forest(away | (graph.faces > 0), graph.sizes)
    edges = graph.edges if overwrite else graph.edges.copy()
    follow_links(forest, graph.links, away)
    between = contracted(edges, forest.tops)
    least = _least_mean(threshold) * ONE
    merge_strongest(forest, edges, between, rising(edges, least), least)
    names = forest.smallest[shortened(forest.tops)].astype(np.int64)
    return _merges(forest, graph.nodes), _left(graph, forest, edges, names, away)


def _least_mean(threshold: float) -> float:
    """The mean that a pair must exceed: 1 - threshold, rounded down to float32, as means in the tree are float32."""
    least = np.float32(1 - threshold)
    return float(np.nextafter(least, np.float32(0)) if float(least) > 1 - threshold else least)


def rising(edges: Numbers, least: float) -> npt.NDArray[np.int32]:
    """The remaining edges whose mean is above the least, the strongest last."""
    left = np.flatnonzero((edges[:, COUNT] > 0) & (edges[:, SUM] > least * edges[:, COUNT]))
    means = edges[left, SUM] / edges[left, COUNT]
    order = np.argsort(means)
    means = means[order]
    same = means[1:] == means[:-1]
    ties = np.flatnonzero(np.append(same, False) | np.append(False, same))
    tied = order[ties]
    order[ties] = tied[np.lexsort((-edges[left[tied], FIRST], means[ties]))]
    return left[order].astype(np.int32)


def _merges(forest: Forest, nodes: Labels) -> Merges:
    made = forest.made[0]
    order = np.argsort(forest.merged[:made])
    merged, into = forest.merged[:made][order], forest.into[:made][order]
    return Merges(nodes[merged], nodes[into], forest.mean[:made][order], forest.grown[:made][order])


def _left(graph: Graph, forest: Forest, edges: Numbers, names: Numbers, away: npt.NDArray[np.bool_]) -> Graph:
    """The graph for the next level: edges between waiting clusters, and links, also of labels renamed at the faces."""
    waiting = forest.waiting[forest.tops]
    u, v = ends_of(edges[:, PAIR])
    still = (edges[:, COUNT] > 0) & waiting[u] & waiting[v]
    u, v = names[u[still]], names[v[still]]
    faces = np.flatnonzero(graph.faces)
    renamed = faces[names[faces] != faces]
    crossing = graph.links[away[graph.links].any(axis=1)]
    links = np.concatenate([names[crossing], np.stack([names[renamed], renamed], axis=1)])
    needed = np.zeros(len(graph.nodes), np.bool_)
    for places in (u, v, links, faces, names[faces]):
        needed[places] = True
    kept = np.flatnonzero(needed)
    place = np.cumsum(needed, dtype=np.int64) - 1
    left = np.concatenate([pairs_of(place[u], place[v])[:, None], edges[still, SUM:]], axis=1)
    sizes = np.where(names[kept] == kept, forest.sizes[forest.tops[kept]], 0)
    return Graph(
        graph.nodes[kept], sizes, graph.faces[kept], left,
        np.unique(place[links], axis=0).astype(np.uint32),
    )  # fmt: skip
