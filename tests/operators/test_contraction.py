"""Contraction: edges of parts, added up in any steps, are those between clusters; and small clusters follow them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators import contraction
from lchunk.operators.agglomeration import Merges
from lchunk.operators.contraction import Cut, absorbed, clustered, whole_graph
from lchunk.operators.graph import PAIR, Graph, Labels, ends_of, pairs_of
from tests.operators.test_absorb import in_rounds


def parts_of(seed: int, count: int, parts: int) -> Iterator[Graph]:
    """Graphs of boxes: each has some of the labels, and voxels of them; some labels and pairs are in several."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(1000, count, replace=False)).astype(np.uint64) + np.uint64(1)
    for part in range(parts):
        nodes = labels[rng.random(count) < 0.7]
        pairs = np.triu(rng.random((len(nodes),) * 2) < 0.4, 1)
        u, v = np.nonzero(pairs)
        numbers = rng.integers(1, 4, (2, len(u)))
        first = part * 10_000 + rng.permutation(len(u))
        edges = np.stack([pairs_of(u, v), numbers[0] * numbers[1], numbers[1], first], axis=1).astype(np.int64)
        faces = rng.integers(0, 64, len(nodes)).astype(np.uint8)
        yield Graph(nodes, rng.integers(0, 9, len(nodes)), faces, edges, np.empty((0, 2), np.uint32))


def content(graph: Graph, roots: dict[int, int]) -> tuple[dict[int, int], dict[tuple[int, int], list[int]]]:
    """The voxels of each cluster, and sum, count and first voxel of the edges between each two."""
    sizes: dict[int, int] = defaultdict(int)
    edges: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 1 << 62])
    for label, size in zip(graph.nodes.tolist(), graph.sizes.tolist(), strict=True):
        sizes[roots.get(label, label)] += size
    for u, v, row in zip(*(graph.nodes[ends].tolist() for ends in ends_of(graph.edges[:, PAIR])), graph.edges.tolist(),
                         strict=True):  # fmt: skip
        a, b = sorted((roots.get(u, u), roots.get(v, v)))
        if a != b:
            edge = edges[a, b]
            edge[:] = edge[0] + row[1], edge[1] + row[2], min(edge[2], row[3])
    return dict(sizes), dict(edges)


def tree(seed: int) -> Merges:
    """A chain of merges of any of the labels that `parts_of` gives; the larger label becomes the smaller one."""
    rng = np.random.default_rng(seed)
    merged = np.sort(rng.choice(np.arange(2, 1001), 800, replace=False)).astype(np.uint64)
    into = (merged * rng.random(len(merged))).astype(np.uint64) + np.uint64(1)
    into = np.minimum(into, merged - np.uint64(1))
    # means fall from leaf to root, as in a tree of agglomeration
    return Merges(merged, into, (merged / 1001).astype(np.float32), np.ones(len(merged), np.int64))


def roots_at(merges: Merges, threshold: float) -> dict[int, int]:
    roots: dict[int, int] = {}
    for label, into, mean in zip(merges.merged.tolist(), merges.into.tolist(), merges.mean.tolist(), strict=True):
        if mean > 1 - threshold:
            roots[label] = roots.get(into, into)
    return roots


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 5), st.sampled_from([1, 30, 1 << 20]))
def test_steps_and_parts_add_up_to_the_graph_between_the_clusters(
    seed: int, count: int, parts: int, batch: int
) -> None:
    graphs, merges = list(parts_of(seed, count, parts)), tree(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contraction, "BATCH_EDGES", batch)
        lowest = Cut.at([merges], 0.1)
        graph = whole_graph(clustered(part, lowest.segments(part.nodes)) for part in graphs)
    for threshold in (0.1, 0.3, 0.5):
        graph = clustered(graph, Cut.at([merges], threshold).segments(graph.nodes))
        roots = roots_at(merges, threshold)
        sizes: dict[int, int] = defaultdict(int)
        edges: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 1 << 62])
        for part in graphs:
            for label, size in content(part, roots)[0].items():
                sizes[label] += size
            for pair, row in content(part, roots)[1].items():
                edge = edges[pair]
                edge[:] = edge[0] + row[0], edge[1] + row[1], min(edge[2], row[2])
        assert content(graph, {}) == (sizes, edges)
        assert len(graph.edges) == len(edges)
        assert not graph.faces.any()


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 60))
def test_small_clusters_follow_the_rule(seed: int, count: int, min_voxels: int) -> None:
    graph = whole_graph(parts_of(seed, count, 3))
    u, v = (graph.nodes[ends].astype(np.int64) for ends in ends_of(graph.edges[:, PAIR]))
    sizes = dict(zip(graph.nodes.tolist(), graph.sizes.tolist(), strict=True))
    expected = in_rounds(sizes, np.column_stack([u, v, graph.edges[:, 1:]]), min_voxels)
    labels: Labels = np.concatenate([graph.nodes[::-1], np.zeros(2, np.uint64), graph.nodes])
    assert absorbed(labels, graph, min_voxels).tolist() == [expected.get(label, 0) for label in labels.tolist()]


def test_a_cut_follows_the_levels_upwards() -> None:
    levels = [((9, 5), (0.9, 0.4)), ((5, 3), (0.8, 0.4))]
    trees = [
        Merges(np.array([a], np.uint64), np.array([b], np.uint64), np.array([mean], np.float32), np.array([2]))
        for (a, b), (mean, _) in levels
    ]
    labels = np.array([0, 3, 5, 9], np.uint64)
    assert Cut.at(trees, 0.15).segments(labels).tolist() == [0, 3, 5, 5]
    assert Cut.at(trees, 0.25).segments(labels).tolist() == [0, 3, 3, 3]


def test_too_many_edges_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (graph,) = parts_of(1, 20, 1)
    monkeypatch.setattr(contraction, "MOST_EDGES", len(graph.edges) - 1)
    with pytest.raises(ValueError, match=f"at most {len(graph.edges) - 1}, got {len(graph.edges)}; begin at a higher"):
        clustered(graph, graph.nodes)
