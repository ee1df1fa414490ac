"""Run lengths of skeletons: against funlib.evaluate, against another way to count, and laws."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.run_length import skeleton_scores

Forest = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def forest(seed: int, skeletons: int = 6, nodes: int = 40) -> Forest:
    """Nodes, edges, skeletons and labels of random trees, whose labels change along some edges."""
    rng = np.random.default_rng(seed)
    places, edges, skeleton, labels = [], [], [], []
    for number in range(skeletons):
        first = len(places)
        own = rng.permutation(np.arange(3 * number, 3 * number + 5)) % (3 * skeletons + 1)
        for k in range(nodes):
            parent = first + int(rng.integers(max(0, k - 4), k)) if k else None
            places.append([int(v) for v in rng.integers(0, 4000, 3)])
            skeleton.append(number)
            if parent is None or rng.random() < 0.15:
                labels.append(int(own[rng.integers(5)]))
            else:
                labels.append(labels[parent])
            if parent is not None:
                edges.append((parent, first + k))
    return np.array(places), np.array(edges), np.array(skeleton), np.array(labels)


# Of funlib.evaluate d2852b3, for forest(seed) as a networkx.Graph:
#     expected_run_length(graph, "skeleton", "length", labels, skeleton_position_attributes=["z", "y", "x"],
#                         return_merge_split_stats=True)
#     evaluate_skeletons(graph, "skeleton", labels)
# run length (it rounds to float32), split edges, skeletons but one of each merging segment other than 0
FUNLIB = {
    0: (31367.55078125, 22, 6),
    1: (39498.55859375, 12, 2),
    2: (42614.125, 15, 3),
    3: (29177.564453125, 24, 5),
}


@pytest.mark.parametrize("seed", FUNLIB)
def test_scores_are_those_of_funlib(seed: int) -> None:
    run_length, splits, merges = FUNLIB[seed]
    ours = skeleton_scores(*forest(seed))
    assert ours["expected_run_length"] == pytest.approx(run_length, rel=1e-6)
    assert (ours["splits"], ours["merges"]) == (splits, merges)


def by_walking(places: Any, edges: Any, skeleton: Any, labels: Any, merge_nodes: int) -> tuple[float, float]:
    """Run length and its share, as the mean over places on edges: a graph of correct edges, and its pieces."""
    graph = networkx.Graph()
    shared: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for node, label in enumerate(labels):
        shared[int(label)][int(skeleton[node])] += 1
    bad = {label for label, of in shared.items() if sum(count >= merge_nodes for count in of.values()) > 1} | {0}
    whole = networkx.Graph()
    for a, b in edges.tolist():
        length = math.dist(places[a], places[b])
        whole.add_edge(a, b, length=length)
        one, other = (int(skeleton[a]), int(labels[a])), (int(skeleton[b]), int(labels[b]))
        if one == other and one[1] not in bad:
            graph.add_edge(a, b, length=length)
            graph.add_edge(a, one, length=0.0)  # all of a skeleton in a segment is one piece, also if it comes back
    total = whole.size("length")
    runs = [graph.subgraph(piece).size("length") for piece in networkx.connected_components(graph)]
    perfect = [whole.subgraph(np.flatnonzero(skeleton == k)).size("length") for k in set(skeleton.tolist())]
    found, best = (sum(run / total * run for run in each) for each in (runs, perfect))
    return found, found / best


@pytest.mark.parametrize("merge_nodes", [1, 2, 4, 9])
@pytest.mark.parametrize("seed", range(4, 8))
def test_scores_are_means_over_random_places(seed: int, merge_nodes: int) -> None:
    places, edges, skeleton, labels = forest(seed)
    ours = skeleton_scores(places, edges, skeleton, labels, merge_nodes=merge_nodes)
    expected = by_walking(places, edges, skeleton, labels, merge_nodes)
    assert (ours["expected_run_length"], ours["normalized_run_length"]) == pytest.approx(expected, rel=1e-6)


def line(labels: list[int], skeleton: list[int] | None = None, step: float = 10) -> tuple[Any, ...]:
    """Nodes on a line, `step` nanometres apart; edges between neighbours of one skeleton."""
    count = len(labels)
    places = np.arange(count)[:, None] * np.array([0, 0, step])
    numbers = np.array(skeleton or [0] * count)
    edges = np.array([(n, n + 1) for n in range(count - 1) if numbers[n] == numbers[n + 1]])
    return places, edges, numbers, np.array(labels)


def test_an_edge_is_omitted_before_it_is_split_and_split_before_it_is_merged() -> None:
    #     skeleton 0: one correct edge, a split one, an omitted one; skeleton 1: two merged edges with skeleton 2
    scores = skeleton_scores(*line([5, 5, 6, 0, 7, 7, 7, 7, 7], [0, 0, 0, 0, 1, 1, 1, 2, 2]))
    lengths = {kind: scores[f"{kind}_length"] for kind in ("correct", "split", "merged", "omitted")}
    assert lengths == {"correct": 10, "split": 10, "omitted": 10, "merged": 30}
    assert (scores["length"], scores["splits"], scores["omitted_nodes"]) == (60, 1, 1)
    assert (scores["merges"], scores["merging_segments"]) == (1, 1)
    assert scores["expected_run_length"] == 10 * 10 / 60
    assert scores["perfect_run_length"] == (30**2 + 20**2 + 10**2) / 60


def test_a_segment_that_comes_back_is_one_run() -> None:
    assert skeleton_scores(*line([5, 5, 6, 5, 5]))["expected_run_length"] == 20**2 / 40


@pytest.mark.parametrize(("merge_nodes", "merges"), [(1, 1), (2, 1), (3, 0)])
def test_an_overlap_of_too_few_nodes_is_no_merge(merge_nodes: int, merges: int) -> None:
    scores = skeleton_scores(*line([5, 5, 5, 5, 5, 6, 6], [0, 0, 0, 1, 1, 1, 1]), merge_nodes=merge_nodes)
    assert scores["merges"] == merges
    assert scores["merged_length"] == (30 if merges else 0)


def test_a_third_skeleton_in_a_merging_segment_loses_its_run_but_is_no_merge() -> None:
    scores = skeleton_scores(*line([5, 5, 5, 5, 5, 5, 5, 5], [0, 0, 0, 1, 1, 1, 2, 2]), merge_nodes=3)
    assert (scores["merges"], scores["correct_length"]) == (1, 0)
    assert [row["merges"] for row in sorted(scores["skeletons"], key=lambda row: row["skeleton"])] == [1, 1, 0]


def test_nodes_outside_do_not_count() -> None:
    places, edges, skeleton, labels = line([5, 5, 5, 9, 0])
    inside = np.array([True, True, True, False, False])
    scores = skeleton_scores(places, edges, skeleton, labels, inside=inside)
    assert (scores["length"], scores["normalized_run_length"]) == (20, 1)
    assert (scores["nodes"], scores["outside_nodes"], scores["omitted_nodes"]) == (3, 2, 0)


def test_the_worst_skeleton_is_first_and_errors_have_their_node() -> None:
    labels = [1, 1, 2, 2, 0, 0, 3, 3, 4, 4, 2]
    scores = skeleton_scores(*line(labels, [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), listed=1)
    worst, other = scores["skeletons"]
    assert (worst["skeleton"], worst["splits"], worst["merges"], worst["omitted_nodes"]) == (1, 1, 1, 2)
    assert worst["at"] == {
        "splits": [{"node": 1, "segments": [1, 2]}],
        "merges": [{"node": 2, "segment": 2, "skeletons": [0]}],
        "omitted": [{"node": 4}],
    }
    assert other["at"]["merges"] == [{"node": 10, "segment": 2, "skeletons": [1]}]
    assert worst["run_length"] == 10**2 / 50
    mean = (worst["run_length"] * worst["length"] + other["run_length"] * other["length"]) / scores["length"]
    assert mean == pytest.approx(scores["expected_run_length"])


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_no_order_and_no_name_changes_a_score(seed: int, merge_nodes: int) -> None:
    places, edges, skeleton, labels = forest(seed % 1000, 3, 12)
    places = places * 0.1
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(places))
    place_of = np.argsort(order)
    names = np.append(0, rng.choice(2**62, 99, replace=False) + 1).astype(np.uint64)
    swapped = place_of[edges][rng.permutation(len(edges))][:, ::-1]
    one = skeleton_scores(places, edges, skeleton, labels, merge_nodes=merge_nodes)
    other = skeleton_scores(places[order], swapped, skeleton[order], names[labels][order], merge_nodes=merge_nodes)
    for scores in (one, other):
        for row in scores["skeletons"]:
            del row["at"]
    assert one == other


@given(st.integers(0, 1000))
def test_a_split_shortens_runs_and_truth_is_perfect(seed: int) -> None:
    places, edges, skeleton, labels = forest(seed, 3, 12)
    before = skeleton_scores(places, edges, skeleton, skeleton + 1)
    assert before["normalized_run_length"] == 1
    assert before["expected_run_length"] == before["perfect_run_length"]
    node = seed % len(labels)
    cut = np.where(np.arange(len(labels)) == node, 99, skeleton + 1)
    assert skeleton_scores(places, edges, skeleton, cut)["normalized_run_length"] < 1


def test_one_picometre_in_a_metre_is_not_lost() -> None:
    places = np.array([[0, 0, 0], [0, 0, 1e9], [0, 0, 1e9 + 0.0008]])
    scores = skeleton_scores(places, np.array([[0, 1], [1, 2]]), np.zeros(3, int), np.array([1, 1, 2]))
    assert scores["split_length"] == 0.001
    assert scores["normalized_run_length"] < 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nodes": np.zeros((2, 2))}, "nodes must be"),
        ({"edges": np.array([[0, 2]])}, "positions of 2 nodes, got 0 to 2"),
        ({"edges": np.array([0, 1])}, r"edges must be \(m, 2\)"),
        ({"skeleton": np.array([0, 1])}, "one skeleton"),
        ({"skeleton": np.array([0, -1])}, "from 0, got -1"),
        ({"labels": np.zeros(3, int)}, "labels must have one value for each of 2 nodes"),
        ({"merge_nodes": 0}, "merge_nodes must be at least 1, got 0"),
        ({"inside": np.array([True, False])}, "an edge inside the volume"),
    ],
)
def test_what_cannot_be_scored_is_refused(changed: dict[str, Any], message: str) -> None:
    good = {"nodes": np.eye(2, 3), "edges": np.array([[0, 1]]), "skeleton": np.zeros(2, int), "labels": np.ones(2, int)}
    assert skeleton_scores(**good)["normalized_run_length"] == 1
    with pytest.raises(ValueError, match=message):
        skeleton_scores(**good | changed)
