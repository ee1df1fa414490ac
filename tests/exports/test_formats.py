"""Exports in each format, read back by an independent program and by lchunk."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lchunk.exports import tiff
from lchunk.exports.formats import FORMATS, Target, parse_target
from lchunk.exports.source import Source
from lchunk.exports.volumes import export_volume
from lchunk.geometry.bbox import Bbox, Triple, triple
from lchunk.volumes.formats import open_volume
from tests.exports.datasets import ODD, SHAPE, SIZE, START, Made, blank_layer, write_layer
from tests.exports.readers import READERS

WITH_CHANNELS = [name for name in READERS if name not in ("png", "tiff-sections")]
WIDE = [name for name in READERS if name not in ("png", "tiff-sections", "tiff", "ome-tiff")]
THIN = [Bbox.of((0, 210, 310), shape) for shape in ((1, 9, 3), (4, 1, 9), (3, 4, 1), (1, 1, 1))]
"""Boxes with one section, row or column, because some programs drop axes of length 1."""


def target_of(case: str, folder: Path, name: str = "") -> Target:
    return parse_target(str(folder / (name or READERS[case][0])), "" if case == "ome-tiff" else case)


def check(case: str, made: Made, box: Bbox, folder: Path, **more: Any) -> None:
    """Export a box, and compare what both readers return with its voxels and its position."""
    source = Source(made.layer, box, more.pop("dtype", made.layer.dtype), **more)
    expected = made.part(box) if source.channel is None else made.part(box)[source.channel]
    target = target_of(case, folder)
    url = export_volume(source, target)
    found = READERS[case][1](target.path)
    assert found.voxels.dtype == source.dtype
    assert np.array_equal(found.voxels, expected)
    size, start = made.layer.voxel_size, box.start
    if target.format.voxel_size:
        assert np.allclose(found.size, size)
    if target.format.offset or found.offset is not None:
        assert np.allclose(found.offset, [s * v for s, v in zip(start, size, strict=True)])
    volume = open_volume(url)
    assert volume.bounds == box
    assert np.allclose(volume.voxel_size, size)
    assert volume.dtype == source.dtype
    assert np.array_equal(volume.read(box), expected)


@pytest.mark.parametrize("case", READERS)
@pytest.mark.parametrize("box", [Bbox.of(START, SHAPE), ODD, *THIN], ids=str)
def test_an_image(made: dict[str, Made], tmp_path: Path, case: str, box: Bbox) -> None:
    check(case, made["image"], box, tmp_path)


@pytest.mark.parametrize("case", READERS)
def test_a_coarser_mip(made: dict[str, Made], tmp_path: Path, case: str) -> None:
    check(case, made["image/1"], Bbox((-3, 101, 153), (9, 112, 165)), tmp_path)


@pytest.mark.parametrize("case", WITH_CHANNELS)
@pytest.mark.parametrize("box", [ODD, *THIN], ids=str)
def test_affinities(made: dict[str, Made], tmp_path: Path, case: str, box: Bbox) -> None:
    check(case, made["affinities"], box, tmp_path)


@pytest.mark.parametrize("case", [name for name in READERS if name != "png"])
def test_one_channel(made: dict[str, Made], tmp_path: Path, case: str) -> None:
    check(case, made["affinities"], ODD, tmp_path, channel=1)


@pytest.mark.parametrize("case", WIDE)
def test_labels_of_64_bits(made: dict[str, Made], tmp_path: Path, case: str) -> None:
    check(case, made["segmentation"], ODD, tmp_path)


@pytest.mark.parametrize("case", READERS)
def test_labels_in_a_smaller_type(made: dict[str, Made], tmp_path: Path, case: str) -> None:
    dtype = np.dtype("uint16" if case == "png" else "uint32")
    # Pillow, which reads the sections here, does not support uint32
    if case == "tiff-sections":
        dtype = np.dtype("uint16")
    check(case, made["segmentation"], ODD, tmp_path, dtype=dtype)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int16", "uint32", "int32", "float64", "float32"])
def test_every_type_of_tiff(made: dict[str, Made], tmp_path: Path, dtype: str) -> None:
    small = write_layer(blank_layer(tmp_path, "small", "uint8"), made["image"].voxels // 2, "Test")
    check("tiff", small, Bbox.of(START, (5, 6, 7)), tmp_path, dtype=np.dtype(dtype))


@pytest.mark.parametrize("case", WIDE)
@pytest.mark.parametrize("dtype", ["int16", "int64", "uint64", "float64"])
def test_types_that_tiff_has_not(made: dict[str, Made], tmp_path: Path, case: str, dtype: str) -> None:
    check(case, made["segmentation"], ODD, tmp_path, dtype=np.dtype(dtype))


def test_large_stacks_are_big_ome_tiff(made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (made["image"].voxels.nbytes, made["image"].voxels.nbytes - 1):
        monkeypatch.setattr(tiff, "CLASSIC_BYTES", limit)
        check("tiff", made["image"], made["image"].layer.bounds, tmp_path / str(limit))
        with tifffile.TiffFile(tmp_path / str(limit) / "out.tif") as file:
            assert file.is_bigtiff == file.is_ome == (limit < made["image"].voxels.nbytes)
            assert file.is_imagej == (limit >= made["image"].voxels.nbytes)


TRIPLES = [st.tuples(*[st.integers(*limits)] * 3) for limits in ((-20, 20), (1, 30), (1, 3))]


@given(start=TRIPLES[0], shape=TRIPLES[1], factor=TRIPLES[2], mip=st.integers(0, 3), data=st.data())
def test_every_mip_is_read_back_where_it_lies(
    *, start: Triple, shape: Triple, factor: Triple, mip: int, data: st.DataObject
) -> None:
    case = data.draw(st.sampled_from(list(READERS)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chunk = triple(4 * f**mip for f in factor)
        layer = replace(
            blank_layer(folder, "odd", "uint8"), bounds=Bbox.of(start, shape), chunk_shape=chunk, inner_chunk=chunk
        )
        for _ in range(mip):
            layer = layer.coarser(factor)
        voxels = np.random.default_rng(0).integers(0, 256, layer.bounds.shape).astype(np.uint8)
        made = write_layer(layer, voxels, "Test")
        sides = [st.integers(0, side - 1) for side in layer.bounds.shape]
        low = triple(a + b for a, b in zip(layer.bounds.start, data.draw(st.tuples(*sides)), strict=True))
        box = Bbox(low, layer.bounds.stop)
        target = target_of(case, folder)
        volume = open_volume(export_volume(Source(layer, box, layer.dtype), target))
        assert volume.bounds == box
        assert np.array_equal(volume.read(box), made.part(box))
        if target.format.offset:
            scale = np.power(factor, mip)
            position = np.array(start) + (np.array(low) - layer.bounds.start) * scale
            assert np.allclose(READERS[case][1](target.path).offset, position * SIZE)


def test_a_mip_that_another_program_cropped_is_read_where_it_says(tmp_path: Path) -> None:
    odd = replace(blank_layer(tmp_path, "odd", "uint8"), bounds=Bbox.of((-9, 201, 300), (20, 24, 33))).coarser(
        (2, 2, 1)
    )
    write_layer(odd, np.zeros(odd.bounds.shape, np.uint8), "Test")
    assert odd.bounds.start == (-5, 100, 300)
    url = export_volume(Source(odd, odd.bounds, odd.dtype), target_of("hdf5", tmp_path))
    with h5py.File(tmp_path / "out.h5", "a") as file:
        (node,) = file["volumes"].values()
        node.attrs["offset"] = node.attrs["offset"] + (3 * 80, 0, -16 * 4)
    assert open_volume(url).bounds.start == (-2, 100, 284)
    with h5py.File(tmp_path / "out.h5", "a") as file:
        (node,) = file["volumes"].values()
        node.attrs["offset"] = node.attrs["offset"] + (40, 8, 0)
    assert open_volume(url).bounds.start == (-1, 101, 284)  # whole voxels now: what lchunk recorded is of before
    with h5py.File(tmp_path / "out.h5", "a") as file:
        (node,) = file["volumes"].values()
        node.attrs["offset"] = node.attrs["offset"] + (20, 0, 0)
    with pytest.raises(ValueError, match="must be a whole number of voxels"):
        open_volume(url)


def test_datasets_are_those_of_cremi(made: dict[str, Made], tmp_path: Path) -> None:
    urls = [
        export_volume(Source(each.layer, ODD, each.layer.dtype), parse_target(f"{tmp_path}/a.h5"))
        for each in (made["image"], made["segmentation"], made["affinities"])
    ]
    names = ["/volumes/raw", "/volumes/labels/neuron_ids", "/volumes/affinities"]
    assert urls == [f"{tmp_path}/a.h5:{name}" for name in names]
    # all three are in one file, with unchanged voxels
    with h5py.File(tmp_path / "a.h5") as file:
        for name, each in zip(names, ("image", "segmentation", "affinities"), strict=True):
            assert np.array_equal(file[name][:], made[each].part(ODD))


def test_a_dataset_is_replaced_alone(made: dict[str, Made], tmp_path: Path) -> None:
    target = parse_target(f"{tmp_path}/a.h5:/x")
    export_volume(Source(made["image"].layer, ODD, np.dtype("uint8")), target)
    export_volume(Source(made["image"].layer, ODD, np.dtype("uint8")), parse_target(f"{tmp_path}/a.h5:/y"))
    with pytest.raises(FileExistsError, match=r"a\.h5:/x, which already exists"):
        export_volume(Source(made["segmentation"].layer, ODD, np.dtype("uint64")), target)
    export_volume(Source(made["segmentation"].layer, ODD, np.dtype("uint64")), target, overwrite=True)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["x"][:], made["segmentation"].part(ODD))
        assert np.array_equal(file["y"][:], made["image"].part(ODD))
    export_volume(Source(made["image"].layer, ODD, np.dtype("uint8")), parse_target(f"{tmp_path}/a.h5"))
    with pytest.raises(ValueError, match="must be a dataset or a new name, got a group of raw"):
        export_volume(Source(made["image"].layer, ODD, np.dtype("uint8")), parse_target(f"{tmp_path}/a.h5:/volumes"))


@pytest.mark.parametrize("case", ["zarr", "n5", "ome-zarr"])
def test_a_volume_inside_a_container(made: dict[str, Made], tmp_path: Path, case: str) -> None:
    suffix = ".n5" if case == "n5" else ".zarr"
    for name in ("raw", "labels/ids"):
        target = target_of(case, tmp_path, f"a{suffix}/volumes/{name}")
        export_volume(Source(made["image"].layer, ODD, np.dtype("uint8")), target)
        assert np.array_equal(READERS[case][1](target.path).voxels, made["image"].part(ODD))
    group = "attributes.json" if case == "n5" else ".zgroup"
    assert all((tmp_path / f"a{suffix}" / place / group).exists() for place in ("", "volumes", "volumes/labels"))
    assert not (tmp_path / group).exists()


def test_the_format_follows_the_name() -> None:
    named = {name: form.name for form in FORMATS.values() for name in form.suffixes}
    assert {suffix: parse_target(f"some/out{suffix}").format.name for suffix in named} == named
    assert parse_target("A.OME.ZARR").format.name == "ome-zarr"
    assert parse_target("a.ome.tif").format.name == "tiff"
    assert parse_target("a.zarr/raw").format.name == "zarr"
    assert parse_target("a.n5/raw").format.name == "n5"
    assert parse_target("a.h5", "npy").format.name == "npy"
    with pytest.raises(ValueError, match=r"must end with one of .h5, .*; for a folder of sections add --format png"):
        parse_target("out")
    with pytest.raises(ValueError, match="must be a path on a disk, got s3://bucket/a"):
        parse_target("s3://bucket/a.h5")


def test_voxel_sizes_of_any_fraction_are_kept(made: dict[str, Made], tmp_path: Path) -> None:
    odd = replace(made["image"].layer, voxel_size=(29.7, 3.58, 7 / 3))
    for case in ("hdf5", "tiff", "ome-tiff", "nrrd", "n5", "zarr", "ome-zarr"):
        target = target_of(case, tmp_path / case)
        export_volume(Source(odd, Bbox.of(START, (2, 3, 4)), odd.dtype), target)
        assert np.allclose(READERS[case][1](target.path).size, odd.voxel_size, rtol=1e-6), case


@pytest.mark.parametrize("case", ["hdf5", "n5", "zarr", "ome-zarr"])
def test_chunks_of_zeros_are_written(tmp_path: Path, case: str) -> None:
    black = write_layer(blank_layer(tmp_path, "black", "uint8"), np.zeros(SHAPE, np.uint8), "Test")
    check(case, black, ODD, tmp_path / "out")
