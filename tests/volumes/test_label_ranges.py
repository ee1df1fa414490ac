"""Ranges of labels, compared with the texts of the labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.volumes.label_ranges import labels_of, labels_with_prefix
from lchunk.volumes.label_shards import LabelSharding

LABELS = st.one_of(st.integers(1, 2000), st.integers(1, 2**64 - 1), st.integers(2**64 - 50, 2**64 - 1))
KEYS = LabelSharding(3, 0).keys
PREFIXES = st.one_of(st.just(""), st.integers(1, 2**64 - 1).map(str), st.integers(1, 200).map(str),
                     st.integers(1, 200).map("{}:".format))  # fmt: skip


@given(labels=st.lists(LABELS, min_size=1), prefix=PREFIXES)
def test_a_prefix_holds_the_labels_whose_text_begins_with_it(labels: list[int], prefix: str) -> None:
    found = labels_with_prefix(prefix).holds(np.array(labels, np.uint64))
    assert found.tolist() == [f"{label}:".startswith(prefix) for label in labels]


@pytest.mark.parametrize("digits", [1, 2])
@given(label=LABELS)
def test_the_prefixes_of_a_length_cover_each_label_once(digits: int, label: int) -> None:
    prefixes = (
        [f"{n}:" for n in range(1, 10)] + [str(n) for n in range(10, 100)] if digits == 2 else map(str, range(1, 10))
    )
    assert sum(int(labels_with_prefix(prefix).holds(np.array([label], np.uint64))[0]) for prefix in prefixes) == 1


@given(wanted=st.lists(LABELS), ends=st.lists(st.tuples(LABELS, LABELS), min_size=1))
def test_a_range_of_keys_meets_some_labels_where_a_key_is_in_it(wanted: list[int], ends: list[tuple[int, int]]) -> None:
    firsts, lasts = np.array([sorted(pair) for pair in ends], np.uint64).T
    keys = KEYS(np.array(wanted, np.uint64)).tolist()
    expected = [
        any(first <= key <= last for key in keys) for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]
    assert labels_of(wanted).meets(firsts, lasts, KEYS).tolist() == expected
    assert labels_with_prefix("7").meets(firsts, lasts, KEYS).all()  # its labels have keys everywhere
