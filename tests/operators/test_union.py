"""Unions of pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators.union import relabelled, union

pair_lists = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=40)


@given(pair_lists)
def test_each_label_becomes_the_smallest_that_a_chain_of_pairs_reaches(pairs: list[tuple[int, int]]) -> None:
    groups = {label: {label} for label in range(1, 31)}
    for a, b in pairs:
        joined = groups[a] | groups[b]
        for label in joined:
            groups[label] = joined
    labels = np.arange(31, dtype=np.uint64)
    changed = relabelled(labels, *union(np.array(pairs, np.uint64).reshape(-1, 2)))
    assert changed.tolist() == [0] + [min(groups[label]) for label in range(1, 31)]
