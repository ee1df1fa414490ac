"""Agglomeration: against waterz, against a plain greedy loop, and in parts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.agglomeration import Merges, agglomerate_graph
from lchunk.operators.cut import Names, above_threshold, named, roots_of
from lchunk.operators.graph import HIGH_FACES, ONE, Graph, ends_of, pairs_of, put_together
from lchunk.operators.labels import canonical_ids, relabelled
from lchunk.operators.region_graph import region_graph
from lchunk.operators.watershed import label_links, watershed_links
from tests.conftest import same_partition, smooth_affinities
from tests.operators.test_watershed import HIGH, LOW, waterz_segmentation

NO_LINKS = np.empty((0, 2), np.uint32)


def whole_graph(affinities: np.ndarray) -> tuple[np.ndarray, Graph]:
    labels = label_links(watershed_links(affinities, low=LOW, high=HIGH))
    ids = canonical_ids(labels, (0, 0, 0), labels.shape)
    return ids[labels], region_graph(labels, ids, affinities)


def cut(labels: np.ndarray, merges: Merges, threshold: float) -> np.ndarray:
    tree = above_threshold(merges, threshold)
    return relabelled(labels, tree.merged, roots_of(tree))


@pytest.mark.parametrize("seed", range(3))
def test_one_tree_gives_waterz_s_segments_of_tie_free_affinities_at_every_threshold(seed: int) -> None:
    affinities = smooth_affinities((20, 30, 36), seed)
    fragments, graph = whole_graph(affinities)
    merges, left = agglomerate_graph(graph)
    assert len(left.nodes) == 0
    for threshold in (0.2, 0.4, 0.5, 0.6, 0.8):
        segmentation = cut(fragments, merges, threshold)
        assert same_partition(segmentation, waterz_segmentation(affinities, threshold))
        names = named(graph.nodes, above_threshold(merges, threshold), sizes=graph.sizes)
        labels, sizes = np.unique(segmentation[segmentation > 0], return_counts=True)
        assert dict(zip(names.roots.tolist(), names.sizes.tolist(), strict=True)) == dict(
            zip(labels.tolist(), sizes.tolist(), strict=True)
        )


@st.composite
def graphs(draw: st.DrawFn, *, ties: bool = False) -> Graph:
    """Few nodes, many edges; with ties, few different means."""
    nodes = draw(st.integers(2, 14))
    pairs = sorted(
        draw(st.sets(st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)).filter(lambda p: p[0] < p[1])))
    )
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    u, v = np.array(pairs, np.int64).reshape(-1, 2).T
    count = np.full(len(u), 1) if ties else rng.integers(1, 6, len(u))
    affinity = rng.integers(1, 4, len(u)) / 4 if ties else rng.random(len(u))
    sums = (affinity * count * ONE).astype(np.int64)
    edges = np.stack([pairs_of(u, v), sums, count, rng.permutation(len(u))], axis=1)
    labels = np.sort(rng.choice(1000, nodes, replace=False)).astype(np.uint64) + np.uint64(1)
    return Graph(labels, rng.integers(1, 9, nodes), np.zeros(nodes, np.uint8), edges, NO_LINKS)


def greedy(graph: Graph, threshold: float) -> dict[int, int]:
    """The definition: repeatedly merge the strongest pair, and among equal pairs the first one."""
    u, v = ends_of(graph.edges[:, 0])
    edges = {
        (a, b): tuple(numbers)
        for a, b, numbers in zip(u.tolist(), v.tolist(), graph.edges[:, 1:].tolist(), strict=True)
    }
    members = {node: {node} for node in range(len(graph.nodes))}
    while edges:
        (u, v), (s, c, _) = max(edges.items(), key=lambda edge: (edge[1][0] / edge[1][1], -edge[1][2]))
        if s / c <= (1 - threshold) * ONE:
            break
        members[u] |= members.pop(v)
        joined: dict[tuple[int, int], tuple[int, int, int]] = {}
        for (a, b), (sum_, count, first) in edges.items():
            a, b = (u if a == v else a), (u if b == v else b)  # noqa: PLW2901
            if a != b:
                key = min(a, b), max(a, b)
                old = joined.get(key, (0, 0, first))
                joined[key] = old[0] + sum_, old[1] + count, min(old[2], first)
        edges = joined
    return {int(graph.nodes[node]): int(graph.nodes[min(group)]) for group in members.values() for node in group}


@given(st.one_of(graphs(), graphs(ties=True)), st.floats(0, 1))
def test_merges_are_those_of_the_definition(graph: Graph, threshold: float) -> None:
    expected = greedy(graph, threshold)
    for merges in (agglomerate_graph(graph)[0], agglomerate_graph(graph, threshold=threshold)[0]):
        roots = cut(graph.nodes, merges, threshold)
        assert dict(zip(graph.nodes.tolist(), roots.tolist(), strict=True)) == expected
        assert (merges.into < merges.merged).all()
        assert (np.diff(merges.merged.astype(int)) > 0).all()


def split(graph: Graph, low: np.ndarray) -> list[tuple[Graph, np.ndarray]]:
    """Two boxes, as in a grid: one owns the nodes in `low` and their edges, the other the rest and crossing edges."""
    u, v = ends_of(graph.edges[:, 0])
    parts = []
    for own, edges in ((low, low[u] & low[v]), (~low, ~(low[u] & low[v]))):
        crossing = np.zeros(len(graph.nodes), bool)
        across = low[u] != low[v]
        crossing[u[across]] = crossing[v[across]] = True
        there = own | (crossing if own is not low else False)
        place = np.cumsum(there) - 1
        rows = graph.edges[edges].copy()
        rows[:, 0] = pairs_of(place[u[edges]], place[v[edges]])
        faces = np.where(own & low & crossing, HIGH_FACES[0], 0).astype(np.uint8)
        part = Graph(graph.nodes[there], np.where(own, graph.sizes, 0)[there], faces[there], rows, NO_LINKS)
        parts.append((part, ~own[there]))
    return parts


@given(st.one_of(graphs(), graphs(ties=True)), st.floats(0, 1), st.integers(0, 10**6))
def test_two_boxes_and_then_what_they_left_give_the_whole(graph: Graph, threshold: float, seed: int) -> None:
    """The law on which a hierarchy depends, and the names that are passed down again."""
    expected = greedy(graph, threshold)
    low = np.random.default_rng(seed).random(len(graph.nodes)) < 0.5
    done = [(part, away, agglomerate_graph(part, away)) for part, away in split(graph, low)]
    top = put_together([left for _, _, (_, left) in done], [0, 0])
    merges, nothing = agglomerate_graph(top)
    assert len(nothing.nodes) == 0
    above = named(top.nodes, above_threshold(merges, threshold))
    found: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for part, away, (own_merges, _) in done:
        names = named(part.nodes[~away], above_threshold(own_merges, threshold), above, part.sizes[~away])
        found |= dict(zip(names.labels.tolist(), names.roots.tolist(), strict=True))
        sizes |= dict(zip(names.roots.tolist(), names.sizes.tolist(), strict=True))
    assert found == expected
    for root in set(expected.values()):
        members = np.isin(graph.nodes, [label for label, end in expected.items() if end == root])
        assert sizes[root] == graph.sizes[members].sum()


def test_links_come_first_and_their_labels_are_handed_on_where_they_touch_a_face() -> None:
    nodes = np.array([2, 5, 7, 9], np.uint64)
    faces = np.array([0, 8, 0, 0], np.uint8)
    edges = np.array([[pairs_of(np.array(2), np.array(3)), 0.9 * ONE, 1, 0]], np.int64)
    links = np.array([[1, 0], [1, 2]], np.uint32)
    merges, left = agglomerate_graph(Graph(nodes, np.array([1, 2, 4, 8]), faces, edges, links))
    assert list(zip(merges.merged.tolist(), merges.into.tolist(), strict=True)) == [(5, 2), (7, 2)]
    assert np.isinf(merges.mean).all()
    assert left.nodes[left.links].tolist() == [[2, 5]]
    assert dict(zip(left.nodes.tolist(), left.sizes.tolist(), strict=True)) == {2: 7, 5: 0, 9: 8}
    assert left.nodes[list(ends_of(left.edges[:, 0]))].ravel().tolist() == [2, 9]


def test_what_is_linked_with_another_box_waits() -> None:
    nodes = np.array([2, 5, 7], np.uint64)
    edges = np.array([[pairs_of(np.array(1), np.array(2)), 0.9 * ONE, 1, 0]], np.int64)
    graph = Graph(nodes, np.array([0, 2, 4]), np.zeros(3, np.uint8), edges, np.array([[1, 0]], np.uint32))
    merges, left = agglomerate_graph(graph, np.array([True, False, False]))
    assert len(merges.merged) == 0
    assert left.nodes.tolist() == [2, 5, 7]
    assert len(left.edges) == len(left.links) == 1


def test_thresholds_nest() -> None:
    fragments, graph = whole_graph(smooth_affinities((12, 20, 20), 3))
    merges, _ = agglomerate_graph(graph)
    counts = [len(np.unique(cut(fragments, merges, threshold))) for threshold in (0, 0.3, 0.5, 0.7, 1)]
    assert all(more >= fewer for more, fewer in pairwise(counts))
    assert counts[0] == len(np.unique(fragments))
    assert counts[-1] == 1


def test_a_tree_that_ends_at_a_threshold_has_what_a_cut_there_keeps() -> None:
    """The mean is below 0.4, and as float32, as the tree has it, above."""
    edges = np.array([[1, 53_687_091, 8, 0]])
    graph = Graph(np.array([3, 5], np.uint64), np.array([1, 1]), np.zeros(2, np.uint8), edges, NO_LINKS)
    for end in (1, 0.6):
        merges, _ = agglomerate_graph(graph, threshold=end)
        assert above_threshold(merges, 0.6).merged.tolist() == [5]
    assert not len(agglomerate_graph(graph, threshold=0.59)[0].merged)


def test_the_graph_is_left_as_it_was() -> None:
    _, graph = whole_graph(smooth_affinities((8, 10, 10), 3))
    before = graph.edges.copy()
    agglomerate_graph(graph)
    assert np.array_equal(graph.edges, before)


def test_no_edges_no_merges() -> None:
    empty = Graph(
        np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty((0, 4), np.int64), NO_LINKS
    )
    merges, left = agglomerate_graph(empty)
    assert len(merges.merged) == len(left.nodes) == 0
    names = named(empty.nodes, above_threshold(merges, 0.5))
    assert isinstance(names, Names)
    assert len(names.labels) == 0


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    _, graph = whole_graph(smooth_affinities((4, 4, 4), 3))
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        agglomerate_graph(graph, threshold=threshold)
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        above_threshold(agglomerate_graph(graph)[0], threshold)
