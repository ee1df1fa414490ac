"""Computed volumes: what they hold, and that every part holds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.operators.patterns import stained_cells, waves
from lchunk.synthetic import KINDS, LABEL_TYPES, TYPES, Synthetic
from tests.operators.parts import parts_of

BOUNDS = Bbox.of((-13, 5, -30), (21, 17, 40))
SIZE = (40.0, 4.0, 4.0)


def volume(kind: str, dtype: str = "uint8", *, labels: bool | None = None) -> Synthetic:
    return Synthetic(kind, BOUNDS, SIZE, np.dtype(dtype), 5, dtype in LABEL_TYPES if labels is None else labels)


@given(parts_of(BOUNDS.grown((1, 2, 3))), st.sampled_from(sorted(KINDS)), st.sampled_from(TYPES))
def test_every_part_has_the_voxels_of_the_whole_and_zeros_outside(part: Bbox, kind: str, dtype: str) -> None:
    made = volume(kind, dtype)
    whole = np.pad(made.read(BOUNDS), [(1, 1), (2, 2), (3, 3)])
    read = made.read(part)
    assert read.dtype == dtype
    assert np.array_equal(read, whole[part.slices(BOUNDS.grown((1, 2, 3)).start)])


def test_intensities_fill_the_type_and_labels_are_numbers() -> None:
    shares, bands = waves(BOUNDS, BOUNDS)
    assert np.array_equal(volume("sin").read(BOUNDS), (shares * 255).astype(np.uint8))
    assert np.array_equal(volume("sin", "uint16").read(BOUNDS), (shares * 65535).astype(np.uint16))
    assert np.array_equal(volume("sin", "float32").read(BOUNDS), shares.astype(np.float32))
    assert np.array_equal(volume("sin", "uint32").read(BOUNDS), bands)
    assert not volume("zeros", "uint64").read(BOUNDS).any()


def test_cells_have_the_volume_of_voxels_of_any_shape() -> None:
    image, labels = volume("cells"), volume("cells", "uint64")
    side = 30 * (40 * 4 * 4) ** (1 / 3)
    stained, expected = stained_cells(BOUNDS, BOUNDS, diameter=side, voxel_size=SIZE, seed=5)
    assert np.array_equal(labels.read(BOUNDS), expected)
    assert np.array_equal(image.read(BOUNDS), (stained * 255).astype(np.uint8))
    assert expected.max() <= labels.largest_label


def test_its_place_is_told_in_voxels_and_nanometres() -> None:
    made = volume("sin")
    assert (made.first_voxel, made.corner) == ((-13, 5, -30), (-520, 20, -120))
    assert (made.name, replace(made, labels=True).name) == ("image", "segmentation")


@pytest.mark.parametrize("change", [{"seed": 6}, {"kind": "zeros"}, {"bounds": BOUNDS.grown((0, 0, 1))}])
def test_a_fingerprint_changes_with_the_voxels(change: dict) -> None:
    assert replace(volume("random"), **change).fingerprint() != volume("random").fingerprint()
