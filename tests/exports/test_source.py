"""Pieces and sections of a box, and how much of the box is read at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lchunk.exports import source as source_module
from lchunk.exports.formats import parse_target
from lchunk.exports.segments import export_segments
from lchunk.exports.source import Source, new_array
from lchunk.exports.volumes import export_volume, relabelled
from lchunk.geometry.bbox import Bbox
from lchunk.volumes.layer import Layer
from tests.exports.datasets import ODD, Made
from tests.exports.readers import READERS


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Bbox]:
    """Every box of a layer that is read."""
    boxes: list[Bbox] = []
    read = Layer.read

    def counted(layer: Layer, box: Bbox, **options: Any) -> Any:
        boxes.append(box)
        return read(layer, box, **options)

    monkeypatch.setattr(Layer, "read", counted)
    return boxes


@pytest.mark.parametrize("case", READERS)
def test_no_more_than_the_memory_allows_is_read_at_once(
    made: dict[str, Made], tmp_path: Path, reads: list[Bbox], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    image = made["image"]
    whole = image.layer.bounds
    target = parse_target(str(tmp_path / READERS[case][0]), "" if case == "ome-tiff" else case)
    for room in (4 * 8 * 8, 4 * 8 * 16, 8 * 16 * 16):
        monkeypatch.setattr(source_module, "MOST_BYTES", room)
        reads.clear()
        export_volume(Source(image.layer, whole, image.layer.dtype), target, overwrite=True)
        assert max(box.size for box in reads) <= room
        # each voxel is read once
        assert sum(box.size for box in reads) == whole.size
        assert len(set(reads)) == len(reads)
        assert np.array_equal(READERS[case][1](target.path).voxels, image.voxels)


def test_a_table_and_new_numbers_are_read_in_pieces_too(
    made: dict[str, Made], tmp_path: Path, reads: list[Bbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "MOST_BYTES", 4 * 8 * 8 * 8)
    labels = made["segmentation"]
    source = Source(labels.layer, labels.layer.bounds, labels.layer.dtype)
    export_segments(source, parse_target(f"{tmp_path}/a.csv"))
    relabelled(source, parse_target(f"{tmp_path}/a.h5"), None)
    assert {box.size for box in reads} >= {4 * 8 * 8}
    assert max(box.size for box in reads) == 4 * 8 * 8
    assert sum(box.size for box in reads) == 2 * labels.voxels.size


def test_a_piece_is_at_most_a_chunk_and_grows_along_x_first(
    made: dict[str, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Source(made["image"].layer, made["image"].layer.bounds, np.dtype("uint8"))
    assert image._piece_shape() == (8, 16, 16)
    monkeypatch.setattr(source_module, "MOST_BYTES", 4 * 8 * 16)
    assert image._piece_shape() == (4, 8, 16)
    # a wider type or channels need more memory, both when read and when written
    assert replace(image, dtype=np.dtype("uint32"))._piece_shape() == (4, 8, 8)
    affinities = Source(made["affinities"].layer, ODD, np.dtype("float32"))
    monkeypatch.setattr(source_module, "MOST_BYTES", 12 * 4 * 8 * 16)
    assert affinities._piece_shape() == (4, 8, 16)


def test_progress_reports_every_voxel(made: dict[str, Made], tmp_path: Path) -> None:
    image = made["image"]
    reported: list[int] = []
    source = Source(image.layer, ODD, image.layer.dtype, report=reported.append)
    export_volume(source, parse_target(f"{tmp_path}/a.nrrd"))
    assert sum(reported) == ODD.size
    assert len(reported) > 1


def test_sections_are_arrays_of_their_own(made: dict[str, Made], tmp_path: Path) -> None:
    affinities = made["affinities"]
    sections = list(Source(affinities.layer, ODD, affinities.layer.dtype).sections(tmp_path))
    assert np.array_equal(np.stack(sections, 1), affinities.part(ODD))


def test_the_bytes_of_an_array_are_reserved(tmp_path: Path) -> None:
    new_array(tmp_path / "a.npy", np.dtype("uint8"), (64, 128, 128))
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 64 * 128 * 128


def test_no_inner_chunk_is_read_for_two_rows_of_sections(
    made: dict[str, Made], tmp_path: Path, reads: list[Bbox]
) -> None:
    layer = made["image"].layer
    first, depth = layer.bounds.start[0], layer.inner_chunk[0]
    list(Source(layer, ODD, layer.dtype).sections(tmp_path))
    rows = [((box.start[0] - first) // depth, (box.stop[0] - 1 - first) // depth) for box in reads]
    assert all(one == other for one, other in rows)
    assert len({one for one, _ in rows}) == 4
