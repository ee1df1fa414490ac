"""Expected run length: how far one can follow a true skeleton until the segmentation errs.

Lengths of edges are whole picometres, so that their sums are exact and no score depends on the order of nodes. The
kinds of edges and of errors are those of Januszewski et al. 2018 (Nature Methods 15, 605, "Skeleton metrics") as
funlib.evaluate (MIT) implements them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint64]

PICOMETRES = 1000
"""In a nanometre: lengths of edges are rounded to whole picometres, and each sum of them is below 2^63."""
KINDS = ("correct", "split", "merged", "omitted")
CORRECT, SPLIT, MERGED, OMITTED = range(len(KINDS))


@dataclass(frozen=True)
class _Pairs:
    """The segments of each skeleton, ordered by skeleton, then segment; segment 0 is not one.

    Args:
        skeleton, segment: of each pair.
        first: the first node of the skeleton that lies in the segment.
        of_node: (n,) the pair of each node; -1 where its segment is 0.
        merging: whether the segment overlaps several skeletons.
        merges: the pairs of these segments whose own overlap is one of them.
    """

    skeleton: Numbers
    segment: Labels
    first: Numbers
    of_node: Numbers
    merging: npt.NDArray[np.bool_]
    merges: Numbers


@dataclass(frozen=True)
class _Judged:
    """Skeletons with the label of each node, and the kind of each edge between nodes inside.

    Args:
        skeleton, labels, inside: (n,) of the nodes; labels outside are 0.
        edges, lengths, kinds: of the edges; lengths in picometres.
        pairs: skeletons and segments.
    """

    skeleton: Numbers
    labels: Labels
    inside: npt.NDArray[np.bool_]
    edges: npt.NDArray[Any]
    lengths: Numbers
    kinds: npt.NDArray[np.int8]
    pairs: _Pairs

    @property
    def splits(self) -> npt.NDArray[Any]:
        """The edges that are split."""
        split: npt.NDArray[Any] = self.edges[self.kinds == SPLIT]
        return split

    @cached_property
    def omitted(self) -> Numbers:
        """The nodes on background."""
        return np.flatnonzero(self.inside & (self.labels == 0))

    def length_of(self, kind: int) -> Numbers:
        """The length of the edges of a kind, of each skeleton."""
        count = int(self.skeleton.max(initial=-1)) + 1
        return _sums(self.skeleton[self.edges[:, 0]], self.lengths * (self.kinds == kind), count)

    def squared_runs(self) -> list[int]:
        """The sum of the squared runs of each skeleton, which may have more than 64 bits."""
        correct = self.lengths * (self.kinds == CORRECT)
        runs = _sums(self.pairs.of_node[self.edges[:, 0]], correct, len(self.pairs.segment))
        squares = [0] * (int(self.skeleton.max(initial=-1)) + 1)
        for number, run in zip(self.pairs.skeleton.tolist(), runs.tolist(), strict=True):
            squares[number] += run * run
        return squares


def skeleton_scores(
    nodes: npt.NDArray[np.floating[Any]],
    edges: npt.NDArray[np.integer[Any]],
    skeleton: npt.NDArray[np.integer[Any]],
    labels: npt.NDArray[np.integer[Any]],
    *,
    inside: npt.NDArray[np.bool_] | None = None,
    merge_nodes: int = 1,
    listed: int = 10,
) -> dict[str, Any]:
    """Score a segmentation against true skeletons, by the segment under each node.

    A segment *overlaps* a skeleton if at least `merge_nodes` nodes of the skeleton lie in it, and *merges* if it
    overlaps several skeletons. An edge is omitted if one of its nodes is background (0); otherwise split if its nodes
    lie in two segments; otherwise merged if its segment merges; otherwise correct. With l the length of the correct
    edges of one skeleton in one segment (its run, also where it leaves the segment and comes back), L the length of a
    skeleton, and sums over all skeletons:

        expected run length             sum l² / sum L     the mean run at a random place on the skeletons
        that of a perfect segmentation  sum L² / sum L     every skeleton is one run
        normalized                      sum l² / sum L²    1 if and only if every edge is correct

    Args:
        nodes: (n, 3) places in nanometres, zyx.
        edges: (m, 2) positions in `nodes`; both nodes are of the same skeleton.
        skeleton: (n,) number of each node's skeleton, from 0.
        labels: (n,) label under each node, 0 for background.
        inside: (n,) whether each node is inside the volume. Other nodes, and the edges to them, do not count.
        merge_nodes: how many nodes of a skeleton must lie in a segment before that overlap counts as a merge: 1 as in
            funlib.evaluate; with more, a merge of a few nodes, as at a skeleton that strays from its neuron, is none.
        listed: how many splits, merges and omitted nodes to list for each skeleton.

    Returns:
        `expected_run_length`, `perfect_run_length` in nanometres, `normalized_run_length` in [0, 1];
        `length`, and `correct_length`, `split_length`, `merged_length`, `omitted_length`, which add up to it;
        `splits`, the edges of that kind; `merges`, sum over merging segments of the skeletons that it overlaps but
        one; `merging_segments`; `omitted_nodes`, those on background; `nodes`, and `outside_nodes`, which are not
        among them;
        `skeletons`, for each one with nodes inside, the worst (largest L² - sum l²) first: its number `skeleton`,
        `length`, `run_length` (sum l² / L), `splits`, `merges` (merging segments that overlap it), `omitted_nodes`,
        `nodes`, `outside_nodes`; and `at`, the first errors with a node each: `splits` (node, segments), `merges`
        (node, segment, skeletons: others that the segment overlaps, at most `listed`), `omitted` (node).

    Raises:
        ValueError: shapes differ, an edge joins two skeletons, `merge_nodes` is below 1, or no edge inside has a
            length.

    >>> nodes = np.array([[0, 0, 0], [0, 0, 10], [0, 0, 20], [0, 0, 50]])
    >>> edges, labels = np.array([[0, 1], [1, 2], [2, 3]]), np.array([7, 7, 7, 8])
    >>> scores = skeleton_scores(nodes, edges, np.zeros(4, int), labels)
    >>> scores["expected_run_length"], scores["perfect_run_length"], scores["splits"]
    (8.0, 50.0, 1)
    """
    inside = np.ones(len(nodes), bool) if inside is None else inside
    columns = {"skeleton": skeleton, "labels": labels, "inside": inside}
    _refuse_other_shapes(nodes, edges, columns)
    if merge_nodes < 1:
        raise ValueError(f"merge_nodes must be at least 1, got {merge_nodes}")
    judged = _judged(nodes, edges, columns, merge_nodes)
    sides = [judged.length_of(kind) for kind in range(len(KINDS))]
    whole: Numbers = np.sum(sides, axis=0)
    total = int(whole.sum())
    if not total:
        raise ValueError(
            "skeletons must have an edge inside the volume, got none of any length; check their unit and their place"
        )
    squares = judged.squared_runs()
    perfect, found = sum(side * side for side in whole.tolist()), sum(squares)
    each = _each(judged, whole, squares)
    _list_errors(each, judged, listed)
    pairs = judged.pairs
    merging = np.unique(pairs.segment[pairs.merging])
    return {
        "expected_run_length": found / (total * PICOMETRES),
        "perfect_run_length": perfect / (total * PICOMETRES),
        "normalized_run_length": found / perfect,
        "length": total / PICOMETRES,
        **{f"{kind}_length": int(side.sum()) / PICOMETRES for kind, side in zip(KINDS, sides, strict=True)},
        "splits": len(judged.splits),
        "merges": len(pairs.merges) - len(merging),
        "merging_segments": len(merging),
        "omitted_nodes": len(judged.omitted),
        "nodes": int(inside.sum()),
        "outside_nodes": int((~inside).sum()),
        "skeletons": [each[number] for number in sorted(each, key=lambda k: (squares[k] - int(whole[k]) ** 2, k))],
    }


def _refuse_other_shapes(nodes: Any, edges: Any, columns: dict[str, Any]) -> None:
    if nodes.ndim != 2 or nodes.shape[1] != 3:
        raise ValueError(f"nodes must be (n, 3) places, zyx, got shape {nodes.shape}")
    for name, column in columns.items():
        if column.shape != (len(nodes),):
            raise ValueError(f"{name} must have one value for each of {len(nodes)} nodes, got shape {column.shape}")
    skeleton = columns["skeleton"]
    if len(skeleton) and skeleton.min() < 0:
        raise ValueError(f"skeleton must be numbers from 0, got {skeleton.min()}; number the skeletons from 0")
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ValueError(f"edges must be (m, 2) positions of nodes, got shape {edges.shape}")
    if edges.size and not 0 <= edges.min() <= edges.max() < len(nodes):
        raise ValueError(f"edges must be positions of {len(nodes)} nodes, got {edges.min()} to {edges.max()}")
    if (skeleton[edges[:, 0]] != skeleton[edges[:, 1]]).any():
        raise ValueError("an edge must join two nodes of one skeleton, got nodes of two; give both the same number")


def _judged(nodes: Any, edges: Any, columns: dict[str, Any], merge_nodes: int) -> _Judged:
    inside = columns["inside"]
    edges = edges[inside[edges].all(axis=1)]
    labels = np.where(inside, columns["labels"], 0).astype(np.uint64)
    skeleton = columns["skeleton"].astype(np.int64)
    pairs = _pairs(skeleton, labels, merge_nodes)
    return _Judged(skeleton, labels, inside, edges, _lengths(nodes, edges), _kinds(edges, labels, pairs), pairs)


def _lengths(nodes: npt.NDArray[Any], edges: npt.NDArray[Any]) -> Numbers:
    """Length of each edge in picometres."""
    z, y, x = (nodes[edges[:, 0]].astype(float) - nodes[edges[:, 1]]).T
    lengths: Numbers = np.rint(np.sqrt(z * z + y * y + x * x) * PICOMETRES).astype(np.int64)
    return lengths


def _sums(places: Numbers, values: Numbers, count: int) -> Numbers:
    """The exact sum of the values of each place; values of 0 may have the place -1."""
    sums = np.zeros(count, np.int64)
    there = values != 0
    np.add.at(sums, places[there], values[there])
    return sums


def _pairs(skeleton: Numbers, labels: Labels, merge_nodes: int) -> _Pairs:
    known = np.flatnonzero(labels)
    order = known[np.lexsort((labels[known], skeleton[known]))]
    differs = (np.diff(skeleton[order]) != 0) | (labels[order][1:] != labels[order][:-1])
    starts = np.flatnonzero(np.append(True, differs)[: len(order)])
    of_node = np.full(len(labels), -1, np.int64)
    nodes = np.diff(np.append(starts, len(order)))
    of_node[order] = np.repeat(np.arange(len(starts)), nodes)
    first = order[starts]
    overlap = nodes >= merge_nodes
    segments, skeletons = np.unique(labels[first][overlap], return_counts=True)
    merging = np.isin(labels[first], segments[skeletons > 1])
    return _Pairs(skeleton[first], labels[first], first, of_node, merging, np.flatnonzero(merging & overlap))


def _kinds(edges: npt.NDArray[Any], labels: Labels, pairs: _Pairs) -> npt.NDArray[np.int8]:
    """The kind of each edge."""
    one, other = labels[edges].T
    merged = np.append(pairs.merging, False)[pairs.of_node[edges[:, 0]]]  # -1 is the last
    kinds = np.where(merged, MERGED, CORRECT).astype(np.int8)
    kinds[one != other] = SPLIT
    kinds[(one == 0) | (other == 0)] = OMITTED
    return kinds


def _each(judged: _Judged, whole: Numbers, squares: list[int]) -> dict[int, dict[str, Any]]:
    """The scores of each skeleton that has a node inside."""
    skeleton, inside, pairs = judged.skeleton, judged.inside, judged.pairs
    counts = {
        "splits": skeleton[judged.splits[:, 0]],
        "merges": pairs.skeleton[pairs.merges],
        "omitted_nodes": skeleton[judged.omitted],
        "nodes": skeleton[inside],
        "outside_nodes": skeleton[~inside],
    }
    columns = {name: np.bincount(places, minlength=len(whole)).tolist() for name, places in counts.items()}
    return {
        number: {
            "skeleton": number,
            "length": length / PICOMETRES,
            "run_length": square / (length * PICOMETRES) if length else 0.0,
            **{name: column[number] for name, column in columns.items()},
            "at": {"splits": [], "merges": [], "omitted": []},
        }
        for number, (length, square) in enumerate(zip(whole.tolist(), squares, strict=True))
        if columns["nodes"][number]
    }


def _list_errors(each: dict[int, dict[str, Any]], judged: _Judged, listed: int) -> None:
    """Write the first errors of each skeleton, in the order of edges and of nodes, to `at`."""
    skeleton, labels, pairs = judged.skeleton, judged.labels, judged.pairs
    for a, b in judged.splits[_first_of_each(skeleton[judged.splits[:, 0]], listed)].tolist():
        each[int(skeleton[a])]["at"]["splits"].append({"node": a, "segments": [int(labels[a]), int(labels[b])]})
    for node in judged.omitted[_first_of_each(skeleton[judged.omitted], listed)].tolist():
        each[int(skeleton[node])]["at"]["omitted"].append({"node": node})
    by_segment = pairs.merges[np.argsort(pairs.segment[pairs.merges], kind="stable")]
    segments, skeletons = pairs.segment[by_segment], pairs.skeleton[by_segment]
    in_turn = pairs.merges[np.argsort(pairs.first[pairs.merges])]
    for pair in in_turn[_first_of_each(pairs.skeleton[in_turn], listed)].tolist():
        number, segment = int(pairs.skeleton[pair]), pairs.segment[pair]
        start, stop = (int(np.searchsorted(segments, segment, side)) for side in ("left", "right"))
        others = [other for other in skeletons[start:stop][: listed + 1].tolist() if other != number][:listed]
        each[number]["at"]["merges"].append(
            {"node": int(pairs.first[pair]), "segment": int(segment), "skeletons": others}
        )


def _first_of_each(groups: Numbers, most: int) -> Numbers:
    """The first rows of each group, at most so many."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(groups[order]) != 0)[: len(order)])
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    rows: Numbers = np.sort(order[rank < most])
    return rows
