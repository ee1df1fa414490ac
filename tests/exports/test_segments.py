"""The table of segments, compared with scipy on the whole volume."""

from __future__ import annotations

import csv
import importlib.util
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from lchunk.exports import segments
from lchunk.exports import source as source_module
from lchunk.exports.formats import parse_target
from lchunk.exports.segments import COLUMNS, export_segments, sums_of
from lchunk.exports.source import Source
from lchunk.exports.volumes import export_volume, relabelled
from lchunk.geometry.bbox import Bbox
from lchunk.operators.segment_sums import merged, segment_sums
from lchunk.volumes.store import open_store
from tests.exports.datasets import ODD, SIZE, START, Made, write_layer
from tests.exports.readers import read_sections


@pytest.fixture(name="made")
def _made(made: dict[str, Made]) -> Made:
    return made["segmentation"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def expected(labels: np.ndarray, start: Any, size: Any) -> list[dict[str, float]]:
    rows = []
    for label in np.unique(labels[labels > 0]):
        here = labels == label
        (box,) = ndimage.find_objects(here.astype(int))
        centre = np.array(ndimage.center_of_mass(here)) + start
        lows, highs = ([getattr(s, side) + o for s, o in zip(box, start, strict=True)] for side in ("start", "stop"))
        # a voxel's centre is half a voxel after its low corner
        values = [label, here.sum(), *lows, *highs, *centre, *((centre + 0.5) * size)]
        rows.append(dict(zip(COLUMNS, map(float, values), strict=True)))
    return rows


@pytest.mark.parametrize("box", [None, ODD])
@pytest.mark.parametrize("room", [1, 1 << 30])
def test_rows_are_those_of_the_whole_volume(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Bbox | None, room: int
) -> None:
    monkeypatch.setattr(source_module, "MOST_BYTES", room)
    box = box or made.layer.bounds
    count = export_segments(Source(made.layer, box, made.layer.dtype), parse_target(f"{tmp_path}/a.csv"))
    found = [{name: float(value) for name, value in row.items()} for row in rows_of(tmp_path / "a.csv")]
    wanted = expected(made.part(box), box.start, SIZE)
    assert count == len(found) == len(wanted) > 5
    for one, other in zip(found, wanted, strict=True):
        assert list(one) == list(COLUMNS)
        assert one == pytest.approx(other, rel=1e-12)


def test_many_rows_are_merged_on_the_way_and_written_in_blocks(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(made.layer, made.layer.bounds, made.layer.dtype)
    export_segments(source, parse_target(f"{tmp_path}/a.csv"))
    monkeypatch.setattr(segments, "FEW", 3)
    monkeypatch.setattr(segments, "BLOCK", 3)
    monkeypatch.setattr(source_module, "MOST_BYTES", 1)
    merges: list[int] = []
    monkeypatch.setattr(segments, "merged", lambda parts: merges.append(len(parts)) or merged(parts))
    export_segments(source, parse_target(f"{tmp_path}/b.csv"))
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert len(merges) > 3


def test_labels_of_64_bits_are_whole(tmp_path: Path, made: Made) -> None:
    largest = np.full(made.voxels.shape, 2**64 - 1, np.uint64)
    layer = replace(made.layer, name="large", store=open_store(str(tmp_path)))
    write_layer(layer, largest, "Test")
    export_segments(Source(layer, layer.bounds, layer.dtype), parse_target(f"{tmp_path}/a.csv"))
    (row,) = rows_of(tmp_path / "a.csv")
    assert row["label"] == str(2**64 - 1)
    assert row["voxels"] == str(largest.size)


def test_no_segments_are_a_table_of_no_rows(tmp_path: Path, made: Made) -> None:
    layer = replace(made.layer, name="empty", store=open_store(str(tmp_path)))
    write_layer(layer, np.zeros(made.voxels.shape, np.uint64), "Test")
    assert export_segments(Source(layer, layer.bounds, layer.dtype), parse_target(f"{tmp_path}/a.csv")) == 0
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_sums_are_exact_where_64_bits_are_too_few() -> None:
    far, count = 3_000_000_001, 2**40 - 3
    part = segment_sums(np.full((1, 1, 1), 7), start=(far, -far, 1))
    sums = np.array([[count * far, -count * far, count]], object)
    assert count * far > 2**63
    many = replace(
        part, voxels=np.array([count]), upper=(sums >> 32).astype(np.int64), lower=(sums & (2**32 - 1)).astype(np.int64)
    )
    both = merged([many, segment_sums(np.full((1, 1, 1), 7), start=(0, 0, 1000))])
    means = [Fraction(count * far, count + 1), Fraction(-count * far, count + 1), Fraction(count + 1000, count + 1)]
    assert both.centre(0) == tuple(map(float, means))


def test_a_sum_never_outgrows_its_lower_part() -> None:
    part = segment_sums(np.full((1, 1, 3), 7), start=(2**31, -(2**31), 0))
    for _ in range(40):
        part = merged([part, part])
        assert part.lower.max() < 2**32
        assert part.lower.min() >= 0
    assert part.centre(0) == (2.0**31, -(2.0**31), 1.0)


def test_the_order_of_parts_does_not_matter() -> None:
    labels = np.random.default_rng(0).integers(0, 5, (6, 7, 8)).astype(np.uint64)
    whole = segment_sums(labels, start=START)
    parts = [segment_sums(labels[z : z + 1], start=(START[0] + z, *START[1:])) for z in range(6)]
    for ordered in (parts, parts[::-1], [merged(parts[:4]), *parts[4:]]):
        together = merged(ordered)
        assert together.labels.tolist() == whole.labels.tolist()
        assert all(together.centre(place) == whole.centre(place) for place in range(len(whole)))
        assert np.array_equal(together.low, whole.low)
        assert np.array_equal(together.high, whole.high)


def test_new_numbers_are_the_rows_of_the_table(made: Made, tmp_path: Path) -> None:
    source = Source(made.layer, ODD, made.layer.dtype)
    target = parse_target(f"{tmp_path}/sections", "png")
    export_volume(relabelled(source, target, None), target)
    export_segments(source, parse_target(f"{tmp_path}/a.csv"))
    labels = np.array([0, *(int(row["label"]) for row in rows_of(tmp_path / "a.csv"))], np.uint64)
    found = read_sections(tmp_path / "sections").voxels
    assert found.max() == len(labels) - 1
    assert np.array_equal(labels[found], made.part(ODD))


def test_sums_of_a_box_do_not_depend_on_the_pieces(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(made.layer, ODD, made.layer.dtype)
    whole = sums_of(source)
    monkeypatch.setattr(source_module, "MOST_BYTES", 1)
    pieces = sums_of(source)
    assert all(np.array_equal(getattr(whole, name), getattr(pieces, name)) for name in ("labels", "voxels", "low"))


def test_parquet(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(segments, "BLOCK", 3)
    source = Source(made.layer, ODD, made.layer.dtype)
    for name in ("a.csv", "a.parquet"):
        export_segments(source, parse_target(f"{tmp_path}/{name}"))
    table = parquet.read_table(tmp_path / "a.parquet")
    assert str(table.schema.field("label").type) == "uint64"
    rows = [[str(value) for value in row.values()] for row in table.to_pylist()]
    assert rows == [list(row.values()) for row in rows_of(tmp_path / "a.csv")]


def test_without_pyarrow_parquet_is_refused_before_work(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lchunk\[parquet\]', or write a .csv"):
        export_segments(Source(made.layer, ODD, made.layer.dtype), parse_target(f"{tmp_path}/out/a.parquet"))
    assert not (tmp_path / "out").exists()
