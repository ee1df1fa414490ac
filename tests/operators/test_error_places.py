"""Wrong merges and splits of made volumes, whose places and costs are known; and the best cut against every cut."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.contacts import Contacts
from lchunk.operators.contingency import contingency
from lchunk.operators.cut import above_threshold, roots_of
from lchunk.operators.cutting import Pieces, best_cut
from lchunk.operators.error_place import Compared
from lchunk.operators.error_places import described, error_places
from lchunk.operators.labels import relabelled
from tests.operators.plain_errors import bits_of
from tests.operators.test_agglomeration import whole_graph


def places(affinities: np.ndarray, truth: np.ndarray, threshold: float, most: int = 9) -> list[dict]:
    fragments, graph = whole_graph(affinities)
    merges = above_threshold(agglomerate_graph(graph)[0], threshold)
    segments = relabelled(graph.nodes, merges.merged, roots_of(merges))
    compared = Compared.of(graph, segments, contingency(truth, fragments))
    bounds = Bbox.of((5, 0, 100), truth.shape)
    return [described(error, bounds, compared.labelled) for error in error_places(compared, merges, most)]


def row(bodies: list[tuple[int, int]], contacts: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """A row of voxels: affinities of 0.9, except at some voxels, and the body of each voxel."""
    truth = np.concatenate([np.full(count, body, np.uint64) for body, count in bodies])[None, None]
    affinities = np.zeros((3, *truth.shape), np.float32)
    affinities[0] = 0.9
    affinities[0, :, :, 0] = 0
    for x, value in contacts.items():
        affinities[0, :, :, x] = value
    return affinities, truth


def test_a_wrong_merge_and_a_wrong_split_are_found_at_their_contacts() -> None:
    found = places(*row([(7, 10), (8, 6), (9, 10)], {10: 0.625, 16: 0.125, 22: 0.4375}), threshold=0.5)
    # 10 and 6 voxels in one segment: what 16 voxels need to tell which; 6 and 4 voxels of one body apart
    merge = 16 * math.log2(16) - 10 * math.log2(10) - 6 * math.log2(6)
    split = 10 * math.log2(10) - 6 * math.log2(6) - 4 * math.log2(4)
    sides = [
        {"segment": 1, "voxels": 10, "body": 7, "body_voxels": 10},
        {"segment": 1, "voxels": 6, "body": 8, "body_voxels": 6},
    ]
    halves = [
        {"segment": 17, "voxels": 6, "body": 9, "body_voxels": 6},
        {"segment": 23, "voxels": 4, "body": 9, "body_voxels": 4},
    ]
    assert found == [
        {"kind": "merge", "voi": pytest.approx(merge / 26), "affinity": 0.625, "at": [[5, 0, 110]], "sides": sides},
        {"kind": "split", "voi": pytest.approx(split / 26), "affinity": 0.4375, "at": [[5, 0, 122]], "sides": halves},
    ]


def test_a_merge_of_parts_is_cut_where_the_bodies_touch_and_not_where_the_last_merge_was() -> None:
    # bodies 7 and 8 touch at x = 20, which merges first; the far parts of both follow
    (found,) = places(*row([(7, 20), (8, 14)], {12: 0.7, 20: 0.8, 28: 0.6}), threshold=0.5)
    assert (found["kind"], found["at"], round(found["affinity"], 6)) == ("merge", [[5, 0, 120]], 0.8)
    assert [side["voxels"] for side in found["sides"]] == [20, 14]


def test_of_equal_cuts_the_first_one_is_made_first() -> None:
    found = places(*row([(7, 10), (8, 10), (9, 10)], {10: 0.6, 20: 0.7}), threshold=0.5)
    assert [place["at"] for place in found] == [[[5, 0, 110]], [[5, 0, 120]]]
    assert [place["voi"] for place in found] == pytest.approx(
        [(30 * math.log2(30) - 20 * math.log2(20) - 10 * math.log2(10)) / 30, 20 / 30]
    )


def test_parts_that_do_not_touch_have_a_place_each() -> None:
    (found,) = places(*row([(7, 8), (8, 10), (7, 4)], {8: 0.1, 18: 0.2}), threshold=0.5)
    assert (found["kind"], found["affinity"]) == ("split", None)
    assert found["at"] == [[5, 0, 100], [5, 0, 118]]
    assert [side["body_voxels"] for side in found["sides"]] == [8, 4]
    assert [side["segment"] for side in found["sides"]] == [1, 19]


def test_the_widest_contact_is_the_place() -> None:
    """Two bodies touch in fragments of one row and of three rows."""
    truth = np.repeat(np.array([[[7, 7, 8, 8]]], np.uint64), 4, axis=1)
    affinities = np.zeros((3, 1, 4, 4), np.float32)
    affinities[0, :, :, 1:] = 0.9
    affinities[0, :, :, 2] = 0.6
    affinities[1, :, 1:] = 0.9
    affinities[1, :, 1] = 0.7  # the first row is a fragment of its own on both sides
    (found,) = places(affinities, truth, threshold=0.5)
    assert (found["kind"], round(found["affinity"], 6), found["at"]) == ("merge", 0.6, [[5, 1, 102]])


@given(st.integers(0, 10**6), st.integers(2, 14), st.integers(1, 4))
def test_the_best_cut_is_the_best_of_all(seed: int, count: int, bodies: int) -> None:
    rng = np.random.default_rng(seed)
    shares: dict[int, Counter[int]] = defaultdict(Counter)
    for node, body in zip(rng.integers(0, count, 3 * count).tolist(), rng.integers(0, bodies, 3 * count).tolist(),
                          strict=True):  # fmt: skip
        shares[node][body] += int(rng.integers(1, 50))
    tree = [(int(rng.integers(0, node)), node) for node in range(1, count)]
    mean = np.where(rng.random(count - 1) < 0.8, 0.5, np.nan).astype(np.float32)
    one, other = np.array(tree).T
    rows = np.array([(node, body, n) for node, own in shares.items() for body, n in own.items()])
    pieces = Pieces.of(Contacts(one, other, np.arange(count - 1), mean), count, *rows.T)
    found, link = best_cut(pieces, int(rng.integers(0, count)), count, 1e-6)

    def total(members: set[int]) -> Counter[int]:
        return sum((shares[member] for member in members), Counter())

    gains = {}
    for number in np.flatnonzero(~np.isnan(mean)).tolist():
        below = {tree[number][1]}
        for parent, node in tree:
            if parent in below:
                below.add(node)
        halves = below, set(range(count)) - below
        gains[number] = bits_of(total(set(range(count)))) - sum(bits_of(total(half)) for half in halves)
    best = max(gains.values(), default=0)
    if best > 1e-6:
        assert found == pytest.approx(best, abs=1e-9)
        assert gains[link] == pytest.approx(best, abs=1e-9)
    else:
        assert link == -1
