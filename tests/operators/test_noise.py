"""Random numbers of voxels."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from lchunk.geometry.bbox import Bbox
from lchunk.operators.noise import noise
from tests.operators.parts import parts_of

BOUNDS = Bbox.of((-3, 5, -30), (9, 17, 40))


@given(parts_of(BOUNDS))
def test_every_part_has_the_numbers_of_the_whole(part: Bbox) -> None:
    assert np.array_equal(noise(part, 7), noise(BOUNDS, 7)[part.slices(BOUNDS.start)])


def test_every_bit_is_set_as_often_as_not_and_depends_on_no_neighbour() -> None:
    numbers = noise(BOUNDS, 7)
    bits = np.unpackbits(numbers.view(np.uint8).reshape(*BOUNDS.shape, 8), axis=-1).astype(float) - 0.5
    few = 5 * 0.5 * numbers.size**-0.5
    assert np.abs(bits.mean(axis=(0, 1, 2))).max() < few
    for axis in range(3):
        pairs = (bits * np.roll(bits, 1, axis)).mean(axis=(0, 1, 2))
        assert np.abs(pairs).max() < few / 2


def test_axes_and_seeds_are_not_exchangeable() -> None:
    cube = noise(Bbox.of((0, 0, 0), (4, 4, 4)), 1)
    assert len(np.unique(np.concatenate([cube.ravel(), noise(Bbox.of((0, 0, 0), (4, 4, 4)), 2).ravel()]))) == 128
