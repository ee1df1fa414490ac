"""Coarse masks over fine voxels: nearest neighbour, in global coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox, triple
from lchunk.operators.masking import coarsened, erase, mask_factor

TRIPLES = st.tuples(*[st.integers(1, 7)] * 3)


@given(st.tuples(*[st.integers(-9, 9)] * 3), TRIPLES, st.tuples(*[st.integers(1, 4)] * 3), st.integers(0, 99))
def test_a_voxel_is_kept_where_the_mask_voxel_that_covers_it_is(
    start: tuple, shape: tuple, factor: tuple, seed: int
) -> None:
    bbox = Bbox.of(triple(start), triple(shape))
    coarse = coarsened(bbox, factor)
    kept = np.random.default_rng(seed).random(coarse.shape) > 0.5
    voxels = np.ones((2, *shape), np.uint8)
    erase(voxels, bbox, kept, factor)
    for place in np.ndindex(*shape):
        where = tuple((a + i) // f - c for a, i, f, c in zip(start, place, factor, coarse.start, strict=True))
        assert (voxels[(slice(None), *place)] == kept[where]).all()


def test_the_factor_is_the_ratio_of_voxel_sizes() -> None:
    assert mask_factor((40, 32, 32), (40.0, 4.0, 4.0)) == (1, 8, 8)
    for wrong in ((40, 6, 4), (20, 4, 4), (41, 4, 4)):
        with pytest.raises(ValueError, match="whole multiple of the image's on every axis"):
            mask_factor(wrong, (40.0, 4.0, 4.0))
