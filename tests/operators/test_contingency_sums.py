"""Pairs that are closed box by box give the same sums as all pairs at once, and are not kept."""

from __future__ import annotations

from functools import reduce
from operator import add
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators import contingency_sums
from lchunk.operators.contingency_sums import MOST_LISTED, NEVER, PairSums, never_closed, open_segments
from lchunk.operators.evaluation import scores, worst

BIT = 8
"""A face that boxes of these tests have in common."""
BOXES = 4


def sums_of(rows: dict[tuple[int, int], int], at_faces: set[int] | None = None) -> PairSums:
    """The sums of a box, with the segments that touch its face."""
    truth, segment = np.array(list(rows), np.uint64).reshape(-1, 2).T
    labels = np.array(sorted(at_faces or ()), np.uint64)
    table = {"truth": truth, "segment": segment, "voxels": np.array(list(rows.values()), np.int64)}
    return PairSums.of_table(table | {"labels": labels, "faces": np.full(len(labels), BIT, np.uint8)})


def same(one: PairSums, other: PairSums) -> bool:
    tables = one.table(), other.table()
    assert tables[0].keys() == tables[1].keys()
    return all(
        column.dtype == tables[1][name].dtype and np.array_equal(column, tables[1][name])
        for name, column in tables[0].items()
    )


def added_in_a_tree(parts: list[PairSums], random: Random) -> PairSums:
    parts = parts.copy()
    while len(parts) > 1:
        random.shuffle(parts)
        parts.append(parts.pop() + parts.pop())
    return parts[0]


PAIRS = st.dictionaries(
    st.tuples(st.integers(1, 5), st.integers(0, 9)),
    st.integers(1, 9) | st.integers(10**14, 10**15),
    min_size=1,
    max_size=30,
)


@given(PAIRS, st.sets(st.integers(0, 9)), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_tree_of_boxes_gives_the_sums_of_all_pairs_at_once(
    pairs: dict[tuple[int, int], int], crossing: set[int], remembered: int, random: Random
) -> None:
    """Segments that cross faces are spread over the boxes; each of the others lies in one box."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contingency_sums, "MOST_LISTED", remembered)
        boxes: list[dict[tuple[int, int], int]] = [{} for _ in range(BOXES)]
        home = {segment: random.randrange(BOXES) for _, segment in pairs}
        for (body, segment), voxels in pairs.items():
            left = voxels
            for box in random.sample(range(BOXES), 3) if segment in crossing else ():
                part = random.randrange(left)
                boxes[box][body, segment] = part
                left -= part
            place = boxes[home[segment]]
            place[body, segment] = place.get((body, segment), 0) + left
        parts = [sums_of(rows, crossing).closed() for rows in boxes]
        for rows, part in zip(boxes, parts, strict=True):
            assert set(part.pairs["segment"].tolist()) == {s for (_, s), n in rows.items() if n} & crossing
        one, other = (added_in_a_tree(parts, random) for _ in range(2))
        assert same(one, other)
        assert same(one.closed(), one)  # what touches a face stays open
        assert same(one.within(0).closed(), sums_of(pairs).closed())
        assert scores(one.table()) == scores(sums_of(pairs).table())
        most = min(remembered, 3)
        assert worst(one.table(), most) == worst(sums_of(pairs).table(), most)


def test_a_box_does_not_grow_with_the_segments_inside_it() -> None:
    def lengths(segments: int) -> dict[str, int]:
        inside = {(1 + n % 3 + m, 10 + n): 1 + n % 7 for n in range(segments) for m in range(2)}
        sums = sums_of(inside | {(1, 5): 9, (4, 5): 2}, {5, 6}).closed()
        return {name: len(column) for name, column in sums.table().items()}

    small = lengths(MOST_LISTED + 1)
    assert lengths(5 * MOST_LISTED) == small
    assert (small["truth"], small["labels"], small["body_labels"], small["merge_labels"]) == (2, 2, 4, MOST_LISTED)


def test_a_segment_is_open_until_no_box_holds_a_face_of_it() -> None:
    parts = [
        sums_of({(1, 7): 5}, {7}),
        sums_of({(1, 8): 4}, {7}),
    ]  # the second is crossed by 7 where nothing is labelled
    beyond = parts[0].within(0) + parts[1]
    assert beyond.closed().pairs["segment"].tolist() == [7]
    assert not len(reduce(add, (part.within(0) for part in parts)).closed().pairs["segment"])


def test_segments_at_faces_are_those_of_all_voxels_of_its_planes() -> None:
    labels = np.random.default_rng(0).integers(0, 40, (3, 4, 5)).astype(np.uint64)
    planes = {1: labels[0], 2: labels[:, 0], 4: labels[..., 0], 8: labels[-1], 16: labels[:, -1], 32: labels[..., -1]}
    for faces in (0, 1, 63, 2 | 32, 4 | 8 | 16):
        found = open_segments(labels, faces)
        expected = {0: NEVER}
        for bit, plane in planes.items():
            for label in set(plane.ravel().tolist()) if faces & bit else ():
                expected[label] = expected.get(label, 0) | bit
        assert dict(zip(found["labels"].tolist(), found["faces"].tolist(), strict=True)) == expected
        assert found["labels"].tolist() == sorted(expected)


def test_segments_that_need_not_be_connected_are_open_in_every_box() -> None:
    found = never_closed(np.array([9, 4, 4], np.uint64))
    assert (found["labels"].tolist(), found["faces"].tolist()) == ([4, 9], [NEVER, NEVER])
