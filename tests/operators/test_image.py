"""Image operators, beside scikit-image and plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.filters
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from lchunk.operators import image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (5, 9, 11)).astype(np.uint8)
SHARES = RANDOM.random((3, 5, 9, 11)).astype(np.float32)


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_fraction_of_uint8_is_above_when_the_grey_value_is(value: int, limit: int) -> None:
    above = image.threshold(np.array([value], np.uint8), limit / 255)
    assert above.tolist() == [255 * (value > limit)]


def test_a_value_at_the_threshold_is_background() -> None:
    assert image.threshold(np.array([0.5, np.nextafter(0.5, 1)]), 0.5).tolist() == [0, 255]


@pytest.mark.parametrize("sigma", [(0.0, 1.0, 2.0), (1.5, 0.0, 0.0)])
def test_a_gaussian_is_that_of_scikit_image(sigma: tuple[float, ...]) -> None:
    expected = skimage.filters.gaussian(SHARES[0].astype(np.float64), sigma, mode="reflect", truncate=4.0)
    assert np.allclose(image.gaussian(SHARES[0], sigma), expected, atol=1e-6)
    rounded = np.rint(skimage.filters.gaussian(GREY.astype(np.float64), sigma, mode="reflect", truncate=4.0))
    assert np.abs(image.gaussian(GREY, sigma) - rounded).max() == 0


def test_channels_are_not_mixed() -> None:
    for filtered in (image.gaussian(SHARES, (1, 1, 1)), image.median(SHARES, (3, 3, 3))):
        assert filtered.shape == SHARES.shape
    assert np.array_equal(image.gaussian(SHARES, (1, 1, 1))[1], image.gaussian(SHARES[1], (1, 1, 1)))
    assert np.array_equal(image.median(SHARES, (3, 3, 3))[2], image.median(SHARES[2], (3, 3, 3)))


def test_a_median_is_that_of_the_sorted_box() -> None:
    size = (1, 3, 5)
    mirrored = np.pad(GREY, [(side // 2, side // 2) for side in size], mode="symmetric")
    expected = np.median(sliding_window_view(mirrored, size), axis=(3, 4, 5))
    assert np.array_equal(image.median(GREY, size), expected)


@pytest.mark.parametrize("size", [(2, 3, 3), (1, 0, 1)])
def test_a_median_box_has_a_middle(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="size must be three odd numbers"):
        image.median(GREY, size)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint64, np.float32])
def test_products_saturate_and_keep_their_type(dtype: Any) -> None:
    high = image.multiply(np.ones((1, 1, 1), dtype), 1e30)
    assert high.dtype == dtype
    assert high.item() > 1e18 if dtype in (np.uint64, np.float32) else high.item() == np.iinfo(dtype).max
    assert image.multiply(np.full((1, 1, 1), 5, dtype), 0.5).item() == (2.5 if dtype is np.float32 else 2)


def test_a_factor_of_several_channels_may_be_one_map() -> None:
    by = RANDOM.integers(0, 256, SHARES.shape[1:]).astype(np.uint8)
    assert np.allclose(image.multiply(SHARES, 2.0, by), 2 * SHARES * (by / 255), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_inverting_twice_changes_nothing(dtype: Any) -> None:
    voxels = GREY.astype(dtype)
    assert np.array_equal(image.invert(image.invert(voxels)), voxels)
    assert image.invert(np.zeros(1, dtype)).item() == np.iinfo(dtype).max


def test_normal_values_are_from_minus_1_to_1() -> None:
    assert np.allclose(image.normalize(GREY), GREY / 127.5 - 1, atol=1e-6)
    assert np.allclose(image.normalize(SHARES), 2 * SHARES - 1, atol=1e-6)


def test_a_picture_of_affinities_is_the_mean_of_x_and_y_or_z() -> None:
    assert np.abs(image.grey_affinities(SHARES, "xy") - 255 * SHARES[:2].mean(axis=0)).max() <= 0.5001
    assert np.abs(image.grey_affinities(SHARES, "z") - 255 * SHARES[2]).max() <= 0.5001
    eight = np.rint(SHARES * 255).astype(np.uint8)
    assert np.array_equal(image.grey_affinities(eight, "z"), eight[2])
    with pytest.raises(ValueError, match=r"affinities must be \(3, z, y, x\)"):
        image.grey_affinities(SHARES[:2], "xy")


def test_of_equal_channels_the_first_wins() -> None:
    voxels = np.array([[1, 0, 2], [1, 3, 2], [0, 3, 5]], np.uint8).reshape(3, 1, 1, 3)
    assert image.channel_vote(voxels).ravel().tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="to vote"):
        image.channel_vote(GREY)


def test_sections_that_are_blacked_out_are_counted_from_the_first() -> None:
    dark = image.black_out(SHARES, -2, [-2, 1, 99, -99])
    assert not dark[:, [0, 3]].any()
    assert np.array_equal(dark[:, [1, 2, 4]], SHARES[:, [1, 2, 4]])
    assert SHARES[:, 0].all()
