"""Edges of one chunk: what the stages never hand over is refused. tests/tasks/test_proofreading.py tests the rest."""

from __future__ import annotations

import numpy as np
import pytest

from lchunk.operators.chunk_edges import CutFragments, chunk_edges
from lchunk.operators.graph import Graph
from lchunk.operators.supervoxels import least_bits, supervoxel_ids


def cut(*fragments: int) -> CutFragments:
    labels = np.array(fragments, np.uint64)
    return CutFragments(labels, labels + np.uint64(1000), labels)


def test_an_edge_to_a_fragment_that_no_chunk_has_is_refused() -> None:
    graph = Graph(
        np.array([3, 5, 9], np.uint64), np.zeros(3, np.int64), np.zeros(3, np.uint8),
        np.array([[1 << 32 | 2, 1 << 24, 1, 0]]), np.empty((0, 2), np.uint32),
    )  # fmt: skip
    edges, components = chunk_edges(cut(5), [cut(3, 9)], [graph])
    assert edges["between_chunk"]["node_ids2"].tolist() == [1009]
    assert components.tolist() == [1, 1005]
    with pytest.raises(ValueError, match="the names of neighbouring chunks must hold each fragment"):
        chunk_edges(cut(5), [cut(3)], [graph])


def test_as_many_supervoxels_as_an_id_has_room_for_and_no_more() -> None:
    ids = supervoxel_ids((1, 2, 3), 4, 18)
    assert ids.tolist() == list(range((((1 << 18 | 3) << 18 | 2) << 18 | 1) << 2, ids[0] + 4))
    with pytest.raises(ValueError, match="at most 4 supervoxels where each axis takes 18 bits of an id, got 5; set"):
        supervoxel_ids((1, 2, 3), 5, 18)


@pytest.mark.parametrize(("chunks", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1024, 10), (1025, 11)])
def test_the_bits_hold_the_last_chunk_of_the_longest_axis(chunks: int, bits: int) -> None:
    for counts in ((chunks, 1, 1), (1, chunks, 1), (1, 1, chunks)):
        assert least_bits(counts) == bits
