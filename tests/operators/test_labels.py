"""Labels that links join."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.agglomeration import agglomerate_graph
from lchunk.operators.cut import roots_of
from lchunk.operators.graph import linked_labels
from lchunk.operators.labels import relabelled

pair_lists = st.lists(
    st.tuples(st.integers(1, 30), st.integers(1, 30)).filter(lambda pair: pair[0] != pair[1]), max_size=40
)


def with_links(labels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Each label as the smallest that links reach."""
    ids = np.unique(pairs)
    merges, _ = agglomerate_graph(linked_labels(ids, np.ones(len(ids), np.int64), pairs, {}))
    return relabelled(labels, merges.merged, roots_of(merges))


@given(pair_lists)
def test_each_label_becomes_the_smallest_that_a_chain_of_links_reaches(pairs: list[tuple[int, int]]) -> None:
    groups = {label: {label} for label in range(1, 31)}
    for a, b in pairs:
        joint = groups[a] | groups[b]
        for label in joint:
            groups[label] = joint
    changed = with_links(np.arange(31, dtype=np.uint64), np.array(pairs, np.uint64).reshape(-1, 2))
    assert changed.tolist() == [0] + [min(groups[label]) for label in range(1, 31)]
