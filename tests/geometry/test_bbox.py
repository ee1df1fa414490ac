"""Laws of boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox, triple

coordinates = st.tuples(*[st.integers(-1000, 1000)] * 3)
shapes = st.tuples(*[st.integers(0, 50)] * 3)
bboxes = st.builds(Bbox.of, coordinates, shapes)


@given(bboxes)
def test_text_round_trips(bbox: Bbox) -> None:
    assert Bbox.parse(str(bbox)) == bbox


@given(bboxes, bboxes)
def test_clipping_is_intersection(one: Bbox, other: Bbox) -> None:
    sides = zip(one.start, one.stop, other.start, other.stop, strict=True)
    voxels = [len(set(range(a, b)) & set(range(c, d))) for a, b, c, d in sides]
    assert one.clipped(other).size == np.prod(voxels)
    assert one.clipped(other).size == other.clipped(one).size


@given(bboxes, shapes)
def test_growing_adds_to_both_sides(bbox: Bbox, halo: tuple[int, int, int]) -> None:
    grown = bbox.grown(halo)
    assert grown.contains(bbox)
    assert grown.shape == tuple(size + 2 * more for size, more in zip(bbox.shape, halo, strict=True))


def test_slices_count_from_the_origin() -> None:
    voxels = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    part = voxels[Bbox((-9, 201, 302), (-8, 203, 304)).slices(origin=(-10, 200, 300))]
    assert part.tolist() == [[[38, 39], [44, 45]]]


def test_numpy_integers_are_taken_as_plain_ones() -> None:
    assert Bbox(tuple(np.array([1, 2, 3])), tuple(np.array([4, 5, 6]))) == Bbox((1, 2, 3), (4, 5, 6))
    assert type(triple(np.array([1, 2, 3]))[0]) is int


@pytest.mark.parametrize("text", ["", "0-1_0-1", "0-1_0-1_0-1_0-1", "a-b_0-1_0-1", "0:1_0:1_0:1"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="z0-z1_y0-y1_x0-x1"):
        Bbox.parse(text)


def test_stop_before_start_is_refused() -> None:
    with pytest.raises(ValueError, match="5-4"):
        Bbox((0, 5, 0), (1, 4, 1))


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError):
        triple([1.5, 2, 3])  # type: ignore[list-item]
