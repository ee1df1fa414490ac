"""Exports that are not possible are refused before work starts, and the message says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lchunk.exports.formats import parse_target
from lchunk.exports.source import Source
from lchunk.exports.volumes import check_volume, checked_box, export_volume, refuse_missing, relabelled
from lchunk.geometry.bbox import Bbox
from tests.exports.datasets import ODD, Made, make_dataset


def source_of(made: Made, **more: Any) -> Source:
    return Source(made.layer, ODD, more.pop("dtype", made.layer.dtype), **more)


@pytest.mark.parametrize("out", ["a.tif", "png", "tiff-sections"])
def test_labels_of_64_bits_in_pictures(made: dict[str, Made], tmp_path: Path, out: str) -> None:
    target = parse_target(f"{tmp_path}/{out}", "" if "." in out else out)
    name = target.format.name
    for export in (check_volume, export_volume):
        more = {"numbered": False} if export is check_volume else {}
        with pytest.raises(ValueError, match=rf"voxels of {name} must be one of .*uint16.*, got uint64; .*--relabel"):
            export(source_of(made["segmentation"]), target, overwrite=False, **more)
    assert not target.path.exists()


@pytest.mark.parametrize("name", ["png", "tiff-sections"])
def test_channels_in_sections(made: dict[str, Made], tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"voxels of {name} must have no channels, got 3; write one with --channel 0"):
        export_volume(source_of(made["affinities"], dtype=np.dtype("uint8")), parse_target(f"{tmp_path}/a", name))


def test_boxes_outside_the_layer(made: dict[str, Made]) -> None:
    layer = made["image"].layer
    assert checked_box(layer, None) == layer.bounds
    assert checked_box(layer, ODD) == ODD
    for box in (
        Bbox((-11, 200, 300), (0, 210, 310)),
        Bbox((0, 210, 310), (11, 220, 320)),
        Bbox.of((0, 210, 310), (0, 1, 1)),
    ):
        with pytest.raises(
            ValueError, match=rf"--box must hold voxels of image at mip 0, which has {layer.bounds}, got {box}"
        ):
            checked_box(layer, box)


def test_missing_chunks_are_counted_inside_the_box_only(tmp_path: Path) -> None:
    layer = make_dataset(tmp_path / "data")["image"].layer
    refuse_missing(layer, layer.bounds, "again")
    for key in ("c/0/0/0", "c/2/1/2", "c/2/1/1"):
        (tmp_path / "data/image/0" / key).unlink()
    with pytest.raises(FileNotFoundError, match=r"but 3 of 18 are missing, the first at .*; `again` makes them"):
        refuse_missing(layer, layer.bounds, "again")
    with pytest.raises(FileNotFoundError, match="but 2 of 4 are missing, the first at 6-10_216-224_316-332"):
        refuse_missing(layer, Bbox((6, 210, 331), (9, 217, 333)), "again")
    refuse_missing(layer, Bbox((-2, 200, 300), (6, 224, 333)), "again")


def test_missing_chunks_are_zeros_when_asked_for(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "data")
    (tmp_path / "data/image/0/c/1/0/0").unlink()
    source = source_of(made["image"], fill_missing=True)
    with pytest.raises(FileNotFoundError, match="but 1 are missing"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/a.npy"))
    export_volume(source, parse_target(f"{tmp_path}/a.npy"))
    expected = made["image"].voxels.copy()
    expected[8:16, :16, :16] = 0
    found = np.load(tmp_path / "a.npy")
    assert np.array_equal(found, expected[ODD.slices(made["image"].layer.bounds.start)])


@pytest.mark.parametrize("out", ["a.h5", "a.tif", "a.npy", "a.nrrd", "a.zarr", "a.n5", "a.ome.zarr", "png"])
def test_an_output_that_is_there(made: dict[str, Made], tmp_path: Path, out: str) -> None:
    target = parse_target(f"{tmp_path}/{out}", "" if "." in out else out)
    export_volume(source_of(made["image"]), target)
    before = sorted(path.name for path in tmp_path.iterdir())
    for export in (export_volume, lambda *what: check_volume(*what, overwrite=False, numbered=False)):
        with pytest.raises(FileExistsError, match=rf"{out}.*, which already exists; remove it, or add --overwrite"):
            export(source_of(made["image"]), target)
    export_volume(source_of(made["image"]), target, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("out", ["a.h5", "a.tif", "a.zarr", "a.n5", "a.ome.zarr", "png", "tiff-sections"])
def test_a_folder_of_other_files_is_never_replaced(made: dict[str, Made], tmp_path: Path, out: str) -> None:
    target = parse_target(f"{tmp_path}/{out}", "" if "." in out else out)
    target.path.mkdir()
    (target.path / "thesis.txt").write_text("three years")
    with pytest.raises(ValueError, match="which holds other files; write to another name"):
        export_volume(source_of(made["image"]), target, overwrite=True)
    assert (target.path / "thesis.txt").read_text() == "three years"


@pytest.mark.parametrize("name", ["zarr", "ome-zarr", "n5", "png"])
def test_a_layer_is_never_replaced(tmp_path: Path, name: str) -> None:
    made = make_dataset(tmp_path / "data")
    for layer in ("segmentation", "segmentation/0"):
        with pytest.raises(ValueError, match="which holds other files"):
            export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/data/{layer}", name), overwrite=True)


def test_an_hdf5_file_that_is_none(made: dict[str, Made], tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"a\.h5 must be an HDF5 file or a new name, got another file"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/a.h5"), overwrite=True)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["volumes/raw/x"] = 1
    with pytest.raises(ValueError, match=r"got a group of x; write to .*b\.h5:/volumes/raw/NAME"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/b.h5"), overwrite=True)


def test_a_group_of_another_zarr_version(made: dict[str, Made], tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text("{}")
    with pytest.raises(ValueError, match=r"must be inside a zarr v2 group, got one of v3 in .*a\.zarr;"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/a.zarr/raw"))


@pytest.mark.parametrize("suffix", ["zarr", "n5"])
def test_a_volume_is_no_place_for_others_nor_a_group_for_a_volume(
    made: dict[str, Made], tmp_path: Path, suffix: str
) -> None:
    export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/a.{suffix}"))
    with pytest.raises(ValueError, match=r"must be inside a.* group, got an? (array|dataset) in"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/a.{suffix}/raw"))
    export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/b.{suffix}/raw"))
    with pytest.raises(ValueError, match="which holds other files"):
        export_volume(source_of(made["image"]), parse_target(f"{tmp_path}/b.{suffix}"), overwrite=True)
    assert (tmp_path / f"b.{suffix}/raw").is_dir()


def test_an_image_with_more_than_its_level_is_never_replaced(made: dict[str, Made], tmp_path: Path) -> None:
    target = parse_target(f"{tmp_path}/a.ome.zarr")
    export_volume(source_of(made["image"]), target)
    (target.path / "labels").mkdir()
    with pytest.raises(ValueError, match="which holds other files"):
        export_volume(source_of(made["image"]), target, overwrite=True)


def test_new_numbers_take_the_smallest_type_that_the_format_holds(made: dict[str, Made], tmp_path: Path) -> None:
    source = source_of(made["segmentation"])
    for out, name, dtype, found in (
        ("a.png", "png", None, "uint16"), ("a.h5", "", None, "uint16"), ("a.h5", "", "uint8", "uint8"),
        ("a.tif", "", "int32", "int32"),
    ):  # fmt: skip
        target = parse_target(f"{tmp_path}/{out}", name)
        assert relabelled(source, target, None if dtype is None else np.dtype(dtype)).dtype == found
    with pytest.raises(ValueError, match="voxels of png must be one of uint8, uint16, got uint32"):
        check_volume(
            source_of(made["segmentation"], dtype=np.dtype("uint32")), parse_target("a", "png"), overwrite=False,
            numbered=True,
        )  # fmt: skip
    with pytest.raises(ValueError, match="--relabel must be given with labels only, got image"):
        check_volume(source_of(made["image"]), parse_target("a.tif"), overwrite=False, numbered=True)


def test_more_labels_than_a_format_holds(made: dict[str, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lchunk.exports.volumes.limits", lambda dtype: (0, {"u2": 7, "u4": 8}[dtype.str[1:]]))
    count = len(np.unique(made["segmentation"].part(ODD))) - 1
    assert count == 8
    assert relabelled(source_of(made["segmentation"]), parse_target("a.h5"), None).dtype == "uint32"
    monkeypatch.setattr("lchunk.exports.volumes.limits", lambda dtype: (0, 7))
    with pytest.raises(
        ValueError, match=r"a type of png must hold the number of labels, got 8 labels in .*smaller --box"
    ):
        relabelled(source_of(made["segmentation"]), parse_target("a", "png"), None)


def test_labels_of_many_pieces_are_merged_on_the_way(made: dict[str, Made], monkeypatch: pytest.MonkeyPatch) -> None:
    once = relabelled(source_of(made["segmentation"]), parse_target("a.h5"), None).numbers
    monkeypatch.setattr("lchunk.exports.source.MOST_BYTES", 1)
    monkeypatch.setattr("lchunk.exports.volumes.FEW", 3)
    often = relabelled(source_of(made["segmentation"]), parse_target("a.h5"), None).numbers
    assert once is not None
    assert np.array_equal(once, np.unique(made["segmentation"].part(ODD))[1:])
    assert np.array_equal(once, often)
