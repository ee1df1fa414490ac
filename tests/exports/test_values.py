"""A conversion to another type keeps every value, or is an error."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lchunk.exports.values import exactly, limits, renumbered

TYPES = ("uint8", "int8", "uint16", "uint32", "int32", "uint64", "int64", "float32", "float64")
EDGES = [
    n + more for power in (0, 7, 8, 16, 24, 31, 32, 53, 63, 64) for n in (-(2**power), 2**power) for more in (-1, 0, 1)
]


@pytest.mark.parametrize("other", TYPES)
@pytest.mark.parametrize("one", TYPES)
def test_a_whole_number_is_kept_exactly_or_refused(one: str, other: str) -> None:
    for value in EDGES:
        if np.dtype(one).kind != "f" and not np.iinfo(one).min <= value <= np.iinfo(one).max:
            continue
        voxels = np.array([value], object).astype(one)
        known, (low, high) = int(voxels[0]), limits(np.dtype(other))
        between_floats = np.dtype(one).kind == np.dtype(other).kind == "f"
        if (int(voxels.astype(other)[0]) == known) if between_floats else (low <= known <= high or one == other):
            found = exactly(voxels, np.dtype(other), "voxels")
            assert found.dtype == other
            assert int(found[0]) == known
        else:
            with pytest.raises(ValueError, match=re.escape(f"voxels must fit {other}, got {voxels[0]};")):
                exactly(voxels, np.dtype(other), "voxels")


def test_floats_hold_whole_numbers_without_gaps_up_to_their_significand() -> None:
    assert limits(np.dtype("float32")) == (-(2**24), 2**24)
    assert limits(np.dtype("float64")) == (-(2**53), 2**53)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, -1.0, 256.0])
def test_floats_that_are_no_uint8(value: float) -> None:
    with pytest.raises(ValueError, match=f"voxels must fit uint8, got {value}; give a wider --dtype"):
        exactly(np.array([1.0, value]), np.dtype("uint8"), "voxels")


def test_floats_in_a_smaller_type() -> None:
    voxels = np.array([0.5, np.nan, np.inf])
    assert np.array_equal(exactly(voxels, np.dtype("float32"), "a"), voxels.astype("float32"), equal_nan=True)
    for value in (0.1, 1e300):
        with pytest.raises(ValueError, match="must fit float32"):
            exactly(np.array([value]), np.dtype("float32"), "a")


def test_the_value_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"labels must fit uint16, got 65536; .*--relabel"):
        exactly(np.array([3, 65536, 7], np.uint64), np.dtype("uint16"), "labels")


def test_numbers_follow_the_order_of_labels() -> None:
    labels = np.array([[2**64 - 1, 0], [5, 2**63]], np.uint64)
    numbers = np.array([5, 2**63, 2**64 - 1], np.uint64)
    assert renumbered(labels, numbers).tolist() == [[3, 0], [1, 2]]
