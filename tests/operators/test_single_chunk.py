"""The tutorial's agglomerate: waterz, without its pitfalls."""

import numpy as np
import pytest

from lchunk.operators.single_chunk import agglomerate
from tests.conftest import same_partition, smooth_affinities
from tests.operators.test_watershed import waterz_segmentation

AFFINITIES = smooth_affinities((10, 20, 24), 3)


def test_thresholds_in_any_order_are_those_of_waterz(capfd: pytest.CaptureFixture[str]) -> None:
    found = agglomerate(AFFINITIES, (0.6, 0.3, 0.6))
    for threshold, labels in zip((0.6, 0.3, 0.6), found, strict=True):
        assert np.array_equal(labels, waterz_segmentation(AFFINITIES, threshold, 0.001, 0.9999))
    assert len(np.unique(found[0])) < len(np.unique(found[1]))
    capfd.readouterr()
    agglomerate(AFFINITIES)
    assert capfd.readouterr().out == ""


def test_bytes_are_affinities_too() -> None:
    whole_numbers = np.rint(AFFINITIES * 255).astype(np.uint8)
    (found,) = agglomerate(whole_numbers, (0.5,))
    assert np.array_equal(found, waterz_segmentation(whole_numbers / np.float32(255), 0.5, 0.001, 0.9999))


def test_fragments_with_large_labels_are_merged_and_left_as_they_are() -> None:
    (fragments,) = agglomerate(AFFINITIES, (0,))
    large = fragments * np.uint64(10**11)
    before = large.copy()
    (found,) = agglomerate(AFFINITIES, (0.5,), fragments=large)
    assert np.array_equal(large, before)
    assert same_partition(found, waterz_segmentation(AFFINITIES, 0.5, 0.001, 0.9999))


def test_fragments_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fragments must be \(10, 20, 24\)"):
        agglomerate(AFFINITIES, fragments=np.zeros((2, 2, 2), np.uint64))
    with pytest.raises(ValueError, match=r"affinities must be \(3, z, y, x\)"):
        agglomerate(AFFINITIES[:2])
