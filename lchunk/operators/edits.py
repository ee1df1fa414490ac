"""Edits of a segmentation: segments divided along the graph of their fragments, and segments joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.agglomeration import rising
from lchunk.operators.cut import Names
from lchunk.operators.graph import PAIR, Graph, Labels, Numbers, Table, ends_of
from lchunk.operators.labels import relabelled
from lchunk.operators.merging import contracted, follow_links, merge_strongest, new_forest, shortened

EVERY = -1.0
"""The mean that a pair must exceed where every fragment has to go somewhere."""


class SharedFragmentError(ValueError):
    """Two sides of a split have parts of one fragment."""


@dataclass(frozen=True)
class Edited:
    """What edits change of the names of labels.

    Args:
        fragments: labels of the fragments, in each chunk, of segments that are divided, ascending.
        pieces: the label of the piece that each is in.
        merged: labels of segments or pieces that are joined with others, ascending.
        into: what they become.
        labels: of the segments that come out, ascending; they need not be connected.
        sizes: voxels of each of these.
        touched: labels that the segments had, before any edit, of which one was divided or joined, ascending.
    """

    fragments: Labels
    pieces: Labels
    merged: Labels
    into: Labels
    labels: Labels
    sizes: Numbers
    touched: Labels

    @classmethod
    def of_table(cls, table: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The content of a file's columns."""
        return cls(**{name: table[name] for name in cls.__dataclass_fields__})

    def table(self) -> Table:
        """The content as columns."""
        return dict(vars(self))

    def names(self, before: Names) -> Names:
        """The names of labels after the edits."""
        divided = np.isin(before.labels, self.fragments)
        roots = before.roots.copy()
        roots[divided] = relabelled(before.labels[divided], self.fragments, self.pieces)
        roots = relabelled(roots, self.merged, self.into)
        sizes = before.sizes.copy()
        if len(self.labels):
            at = np.minimum(np.searchsorted(self.labels, roots), len(self.labels) - 1)
            known = self.labels[at] == roots
            sizes[known] = self.sizes[at[known]]
        return Names(before.labels, roots, sizes)


def nothing_edited() -> Edited:
    """No edit at all."""
    none = np.empty(0, np.uint64)
    return Edited(none, none, none, none, none, np.empty(0, np.int64), none)


def divided(graph: Graph, pieces: Labels, sides: Sequence[Sequence[int]]) -> Labels:
    """Divide the fragments of a segment, so that those of different sides come apart.

    The tree of the segment is built again: the pair of clusters with the largest mean affinity merges first, ties by
    first voxel, but never two clusters with fragments of different sides. In the end every fragment is with a side, and
    the clusters of one side are one piece, also where they do not touch.

    Args:
        graph: of the fragments of the segment, connected by edges and links.
        pieces: the label of the piece that each is in already.
        sides: for each side, places of fragments in the graph. Only pieces with fragments of several sides are divided.

    Returns:
        The label of the piece of each fragment. A piece with the fragment of that label keeps it; any other piece has
        the smallest label of its fragments.

    Raises:
        SharedFragmentError: two sides have parts of the same fragment.

    >>> edges = np.array([[1, 9, 1, 0], [(1 << 32) + 2, 5, 1, 3], [(2 << 32) + 3, 8, 1, 6]])  # 0 - 1 - 2 - 3
    >>> row = Graph(np.array([4, 6, 7, 9], np.uint64), np.ones(4), np.zeros(4, np.uint8), edges, np.empty((0, 2), int))
    >>> divided(row, np.full(4, 4, np.uint64), [[0], [3]]).tolist()
    [4, 4, 7, 7]
    """
    forest = new_forest(np.zeros(len(graph.nodes), np.bool_), graph.sizes)
    follow_links(forest, graph.links, forest.waiting)
    whole = shortened(forest.tops)
    side_of = np.zeros(len(graph.nodes), np.int32)
    for number, side in enumerate(sides, 1):
        tops = whole[list(side)]
        if side_of[tops].any():
            raise SharedFragmentError("two sides must not have a fragment in common, but do; choose other fragments")
        side_of[tops] = number
    tops = _grown(graph, whole, side_of[whole], pieces)
    return _named(graph.nodes, tops, pieces)


def _grown(graph: Graph, whole: Any, sides: npt.NDArray[np.int32], pieces: Labels) -> Any:
    """The top of each fragment's cluster, once every cluster has grown as far as it may.

    Args:
        graph: of the fragments.
        whole: the top of the parts of one fragment.
        sides: the side of each fragment; 0 where it has none.
        pieces: clusters of different pieces are not joined.
    """
    _, piece = np.unique(pieces, return_inverse=True)
    forest = new_forest(np.zeros(len(whole), np.bool_), graph.sizes, sides)
    forest.tops[:] = whole
    u, v = ends_of(graph.edges[:, PAIR])
    edges = graph.edges[piece[u] == piece[v]]
    between = contracted(edges, forest.tops)
    merge_strongest(forest, edges, between, rising(edges, EVERY), EVERY)
    tops = shortened(forest.tops)
    for side in range(1, int(sides.max(initial=0)) + 1):
        together = np.flatnonzero((forest.sides[tops] == side) & (tops == np.arange(len(tops))))
        for label in np.unique(pieces[together]):
            same = together[pieces[together] == label]
            tops[np.isin(tops, same)] = same[0]
    return tops


def _named(nodes: Labels, tops: Any, pieces: Labels) -> Labels:
    """Name clusters: after the piece that they were in, where its fragment of that name is in them."""
    smallest = np.full(len(nodes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, tops, nodes)
    own = nodes == pieces
    smallest[tops[own]] = nodes[own]
    named: Labels = smallest[tops]
    return named


def joined(groups: Sequence[Sequence[int]]) -> tuple[Labels, Labels]:
    """What labels become if all labels of each group are one; groups with a label in common are one group.

    Returns:
        The labels that change, ascending; and the smallest label of each one's group.

    >>> [labels.tolist() for labels in joined([[5, 9], [9, 3], [7, 8]])]
    [[5, 8, 9], [3, 7, 3]]
    """
    top: dict[int, int] = {}

    def end(label: int) -> int:
        while (above := top.setdefault(label, label)) != label:
            label = above
        return label

    for group in groups:
        ends = sorted(map(end, group))
        top.update(dict.fromkeys(ends, ends[0]))
    changed = sorted(label for label in top if end(label) != label)
    return np.array(changed, np.uint64), np.array([end(label) for label in changed], np.uint64)
