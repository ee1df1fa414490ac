"""Agglomeration: against waterz, against a plain greedy loop, and in parts."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.pair_sums import added
from lchunk.operators.region_graph import ONE, region_graph
from lchunk.operators.union import relabelled, union
from tests.conftest import same_partition, smooth_affinities
from tests.operators.test_watershed import waterz_segmentation, whole_fragments

Graph = dict[str, np.ndarray]


def segment(affinities: np.ndarray, threshold: float) -> np.ndarray:
    fragments = whole_fragments(affinities)
    around = np.pad(fragments, ((1, 0),) * 3)
    graph = region_graph(around, affinities, start=(0, 0, 0), volume_shape=fragments.shape)
    merged = agglomerate_graph(graph, threshold=threshold)
    return relabelled(fragments, merged.changed, merged.roots)


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.5, 0.6, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_segments_of_tie_free_affinities_are_waterz_s(seed: int, threshold: float) -> None:
    affinities = smooth_affinities((20, 30, 36), seed)
    assert same_partition(segment(affinities, threshold), waterz_segmentation(affinities, threshold))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    nodes = draw(st.integers(2, 14))
    pairs = sorted(draw(st.sets(st.tuples(st.integers(1, nodes), st.integers(1, nodes)).filter(lambda p: p[0] < p[1]))))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = rng.integers(1, 6, len(pairs))
    u, v = np.array(pairs, np.uint64).reshape(-1, 2).T
    return {"u": u, "v": v, "sum": (rng.random(len(pairs)) * count * ONE).astype(np.int64), "count": count}


def greedy(graph: Graph, threshold: float) -> dict[int, int]:
    """The definition, slowly: merge the pair of largest mean, recompute, until none is above 1 - threshold."""
    edges = {
        (u, v): (s, c) for u, v, s, c in zip(*(graph[n].tolist() for n in ("u", "v", "sum", "count")), strict=True)
    }
    members = {int(node): {int(node)} for node in np.concatenate([graph["u"], graph["v"]])}
    while edges:
        (u, v), (s, c) = max(edges.items(), key=lambda edge: edge[1][0] / edge[1][1])
        if s / c <= (1 - threshold) * ONE:
            break
        members[u] |= members.pop(v)
        joined: dict[tuple[int, int], tuple[int, int]] = {}
        for (a, b), (sum_, count) in edges.items():
            a, b = (u if a == v else a), (u if b == v else b)  # noqa: PLW2901
            if a != b:
                key = min(a, b), max(a, b)
                old = joined.get(key, (0, 0))
                joined[key] = old[0] + sum_, old[1] + count
        edges = joined
    return {node: min(group) for group in members.values() for node in group}


@given(graphs(), st.floats(0, 1))
def test_merges_are_those_of_the_definition(graph: Graph, threshold: float) -> None:
    merged = agglomerate_graph(graph, threshold=threshold)
    nodes = np.unique(np.concatenate([graph["u"], graph["v"]]))
    roots = relabelled(nodes, merged.changed, merged.roots)
    assert dict(zip(nodes.tolist(), roots.tolist(), strict=True)) == greedy(graph, threshold)


@given(graphs(), st.floats(0, 1), st.integers(0, 10**6))
def test_two_parts_that_freeze_what_they_share_and_then_the_rest_give_the_whole(
    graph: Graph, threshold: float, seed: int
) -> None:
    """The law that a hierarchy rests on."""
    whole = agglomerate_graph(graph, threshold=threshold)
    nodes = np.unique(np.concatenate([graph["u"], graph["v"]]))
    first = np.random.default_rng(seed).random(len(graph["u"])) < 0.5
    halves = [{name: column[part] for name, column in graph.items()} for part in (first, ~first)]
    ends = [np.unique(np.concatenate([half["u"], half["v"]])) for half in halves]
    shared = np.intersect1d(*ends)
    parts = [agglomerate_graph(half, threshold=threshold, frozen=shared) for half in halves]
    top = agglomerate_graph(added([part.rest for part in parts]), threshold=threshold)
    pairs = [np.stack([step.changed, step.roots], axis=1) for step in (*parts, top)]
    assert np.array_equal(
        relabelled(nodes, *union(np.concatenate(pairs))), relabelled(nodes, whole.changed, whole.roots)
    )


def test_thresholds_nest() -> None:
    affinities = smooth_affinities((12, 20, 20), 3)
    counts = [len(np.unique(segment(affinities, threshold))) for threshold in (0, 0.3, 0.5, 0.7, 1)]
    assert all(more >= fewer for more, fewer in pairwise(counts))
    assert counts[0] == len(np.unique(whole_fragments(affinities)))
    assert counts[-1] == 1


def test_no_edges_no_merges() -> None:
    empty = {
        "u": np.empty(0, np.uint64),
        "v": np.empty(0, np.uint64),
        "sum": np.empty(0, int),
        "count": np.empty(0, int),
    }
    merged = agglomerate_graph(empty, threshold=0.5)
    assert len(merged.changed) == len(merged.roots) == len(merged.frozen) == 0


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_outside_its_range_is_refused(threshold: float) -> None:
    empty = {name: np.empty(0, np.uint64) for name in ("u", "v", "sum", "count")}
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        agglomerate_graph(empty, threshold=threshold)
