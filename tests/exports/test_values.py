"""Values in another type are the same, or an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.exports.values import exactly, renumbered

TYPES = ("uint8", "int8", "uint16", "uint32", "int32", "uint64", "int64", "float32", "float64")
EDGES = [
    n + more for power in (0, 7, 8, 16, 24, 31, 32, 53, 63, 64) for n in (-(2**power), 2**power) for more in (-1, 0, 1)
]


@given(st.sampled_from(TYPES), st.sampled_from(TYPES), st.sampled_from(EDGES))
def test_a_value_is_kept_exactly_or_refused(one: str, other: str, value: int) -> None:
    with np.errstate(over="ignore"):
        held = np.array([value % 2 ** (8 * np.dtype(one).itemsize)]).astype(f"u{np.dtype(one).itemsize}").view(one)
        voxels = held if np.dtype(one).kind in "iu" else np.array([value]).astype(one)
    try:
        found = exactly(voxels, np.dtype(other), "voxels")
    except ValueError:
        # every whole number of the other type is accepted, and every one below where a float has gaps
        known = int(voxels[0])
        if np.dtype(other).kind == "f":
            assert abs(known) > 2 ** (np.finfo(other).nmant + 1)
        else:
            assert not np.iinfo(other).min <= known <= np.iinfo(other).max
    else:
        assert found.dtype == other
        assert int(found[0]) == int(voxels[0])


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
