"""Ranges that are read together: their bytes are right, and those between them do not stay in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.volumes.ranges import read_ranges

BODY = bytes(range(256)) * 4
PLACES = st.integers(0, len(BODY))


@given(ends=st.lists(st.tuples(PLACES, PLACES)), close=st.integers(0, 99), most=st.integers(1, 999))
def test_each_range_has_its_bytes(ends: list[tuple[int, int]], close: int, most: int) -> None:
    ranges = [(min(pair), max(pair)) for pair in ends]
    found = read_ranges(ranges, lambda start, stop: BODY[start:stop], close=close, most=most, threads=1)
    assert [bytes(part) for part in found] == [BODY[start:stop] for start, stop in ranges]


@pytest.mark.parametrize(("gap", "held"), [(10, 210), (900, 100)])
def test_bytes_between_ranges_are_held_only_where_they_are_few(gap: int, held: int) -> None:
    found = read_ranges(
        [(0, 100), (100 + gap, 200 + gap)], lambda start, stop: bytes(stop - start), close=999, most=9999
    )
    assert [len(part.obj) for part in found] == [held, held]  # type: ignore[arg-type]
