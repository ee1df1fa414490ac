"""The card of a segmentation, compared with plain numpy on the whole volume."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from lchunk.geometry.bbox import Bbox
from lchunk.operators.segment_card import SIZES, segment_card
from lchunk.operators.segment_sums import segment_sums

START, SHAPE = (-3, 50, 7), (13, 17, 21)


def random_labels() -> np.ndarray:
    """Segments of many sizes, some of them in pieces; most of the volume is background."""
    draw = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(draw.random(SHAPE), 0.7)
    labels: np.ndarray = ndimage.label(noise > np.quantile(noise, 0.8))[0].astype(np.uint64) * 3
    labels[labels % 7 == 3] = 2**64 - 5
    return labels


def by_numpy(labels: np.ndarray, start: Any) -> dict[str, Any]:
    """Numbers that a card must have, each from the voxels alone."""
    names, voxels = np.unique(labels[labels > 0], return_counts=True)
    border = np.ones(labels.shape, bool)
    border[1:-1, 1:-1, 1:-1] = False
    orphans = np.setdiff1d(names, labels[border])
    rows = []
    for name, count in sorted(zip(names.tolist(), voxels.tolist(), strict=True), key=lambda row: (-row[1], row[0])):
        places = np.argwhere(labels == name)
        low, high = (places.min(0) + start).tolist(), (places.max(0) + start + 1).tolist()
        rows.append({"label": name, "voxels": count, "share": count / labels.size, "start": low, "stop": high})
    return {
        "voxels": labels.size,
        "segments": len(names),
        "segment_voxels": (labels > 0).sum(),
        "background_voxels": (labels == 0).sum(),
        "background_share": (labels == 0).mean(),
        "orphans": len(orphans),
        "orphan_voxels": np.isin(labels, orphans).sum(),
        "orphan_share": np.isin(labels, orphans).mean(),
        "largest": rows,
        "sizes": voxels,
    }


def test_numbers_are_those_of_numpy() -> None:
    labels = random_labels()
    found = segment_card(segment_sums(labels, start=START), Bbox.of(START, SHAPE), voxel_size=(40, 4, 5), largest=5)
    wanted = by_numpy(labels, START)
    sizes, rows = wanted.pop("sizes"), wanted.pop("largest")[:5]
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert 3 < found["orphans"] < found["segments"] - 3
    assert found["segment_share"] + found["background_share"] == pytest.approx(1)
    assert found["volume_um3"] == pytest.approx(math.prod(SHAPE) * 800e-9)
    for one, other in zip(found["largest"], rows, strict=True):
        assert one.pop("volume_um3") == pytest.approx(other["voxels"] * 800e-9)
        assert one == other

    edges = [row["at_least"] for row in found["sizes"]]
    assert edges == [size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if size <= sizes.max()]
    assert [row["below"] for row in found["sizes"]][:-1] == edges[1:]
    for row in found["sizes"]:
        here = sizes[(sizes >= row["at_least"]) & (sizes < row["below"])]
        assert (row["segments"], row["voxels"]) == (len(here), here.sum())
        assert row["share"] == pytest.approx(here.sum() / labels.size)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [0, -1])
def test_a_segment_on_one_face_is_no_orphan(axis: int, side: int) -> None:
    labels = np.zeros((4, 5, 6), np.uint64)
    labels[1:-1, 1:-1, 1:-1] = 1
    sums = segment_sums(labels, start=START)
    assert segment_card(sums, Bbox.of(START, labels.shape))["orphans"] == 1
    place: list[Any] = [2, 2, 2]
    place[axis] = side
    labels[tuple(place)] = 1
    found = segment_card(segment_sums(labels, start=START), Bbox.of(START, labels.shape))
    assert (found["segments"], found["orphans"], found["orphan_voxels"]) == (1, 0, 0)


def test_empty_bins_between_others_are_kept_and_others_left_out() -> None:
    labels = np.zeros((1, 1, 700), np.uint64)
    labels[..., :5], labels[..., 10:14], labels[..., 100:600] = 1, 2, 3
    found = segment_card(segment_sums(labels, start=(0, 0, 0)), Bbox.of((0, 0, 0), labels.shape))
    rows = [(row["at_least"], row["below"], row["segments"], row["voxels"]) for row in found["sizes"]]
    empty = [(a, b, 0, 0) for a, b in ((10, 20), (20, 50), (50, 100), (100, 200), (200, 500))]
    assert rows == [(2, 5, 1, 4), (5, 10, 1, 5), *empty, (500, 1000, 1, 500)]


def test_no_segments_are_a_card_without_rows() -> None:
    found = segment_card(segment_sums(np.zeros((2, 3, 4), np.uint64), start=START), Bbox.of(START, (2, 3, 4)))
    assert (found["segments"], found["orphans"], found["background_share"]) == (0, 0, 1.0)
    assert found["sizes"] == found["largest"] == []
    assert found["volume_um3"] is None


def test_equal_sizes_are_listed_by_label_and_counts_of_64_bits_are_exact() -> None:
    labels = np.array([[[9, 4, 7]]], np.uint64)
    sums = segment_sums(labels, start=(0, 0, 0))
    assert [row["label"] for row in segment_card(sums, Bbox.of((0, 0, 0), (1, 1, 3)), largest=2)["largest"]] == [4, 7]
    huge = replace(sums, voxels=np.array([2**60 + 1, 2**60 + 3, 5]))
    found = segment_card(huge, Bbox.of((0, 0, 0), (2**21, 2**21, 2**20)))
    assert found["sizes"][-1]["voxels"] == found["segment_voxels"] - 5 == 2**61 + 4
    assert SIZES[-1] == 5 * 10**18
