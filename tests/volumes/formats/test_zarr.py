"""Zarr arrays and OME-Zarr images of other programs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from lchunk.volumes.layer import Layer
from lchunk.volumes.store import open_store
from tests.volumes.formats.arrays import VOXELS, read_whole, same

SIZE = {"z": 40.0, "y": 8.0, "x": 4.0}
NGFF = {
    "angstrom": 0.1, "attometer": 1e-9, "centimeter": 1e7, "decimeter": 1e8, "exameter": 1e27, "femtometer": 1e-6,
    "foot": 304.8e6, "gigameter": 1e18, "hectometer": 1e11, "inch": 25.4e6, "kilometer": 1e12, "megameter": 1e15,
    "meter": 1e9, "micrometer": 1e3, "mile": 1609.344e9, "millimeter": 1e6, "nanometer": 1.0,
    "parsec": 3.0856775814913673e25, "petameter": 1e24, "picometer": 1e-3, "terameter": 1e21, "yard": 914.4e6,
    "yoctometer": 1e-15, "yottameter": 1e33, "zeptometer": 1e-12, "zettameter": 1e30,
}  # fmt: skip


def write(
    path: Path, voxels: np.ndarray, letters: str, *, version: str = "0.4", unit: str | None = "nanometer", **image: Any
) -> str:
    """An image of one level; `image` replaces parts of its metadata."""
    group = zarr.create_group(path, zarr_format=2 if version < "0.5" else 3)
    group.create_array("0", data=voxels, chunks=tuple(max(1, length // 2) for length in voxels.shape))
    kinds = {"t": "time", "c": "channel"}
    units = {"unit": unit} if unit else {}
    described = [{"name": a, "type": kinds.get(a, "space"), **(units if a in "xyz" else {})} for a in letters]
    scale = {"type": "scale", "scale": [SIZE.get(a, 1.0) for a in letters]}
    found = {"version": version, "axes": described, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
    found = {name: value for name, value in (found | image).items() if value is not None}
    group.attrs.update(
        {"multiscales": [found]} if version < "0.5" else {"ome": {"version": version, "multiscales": [found]}}
    )
    return str(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["zyx", "xyz", "yxz", "tczyx", "cxyz", "zyxc", "xctzy"])
def test_axes_in_every_order(tmp_path: Path, axes: str, version: str) -> None:
    order = {"z": 0, "y": 1, "x": 2}
    voxels = VOXELS.transpose([order[a] for a in axes if a in order])
    for place, axis in enumerate(axes):
        if axis not in order:
            voxels = np.expand_dims(voxels, place)
    same(write(tmp_path / "a.zarr", voxels, axes, version=version), VOXELS, voxel_size=(40, 8, 4), placed=False)


def test_channels_are_kept_and_times_asked_for(tmp_path: Path) -> None:
    stack = np.stack([VOXELS, 255 - VOXELS])
    url = write(tmp_path / "c.zarr", stack.transpose(1, 2, 0, 3), "zycx")
    same(url, stack)
    same(f"{url}#channel=1", 255 - VOXELS)
    url = write(tmp_path / "t.zarr", stack, "tzyx")
    with pytest.raises(ValueError, match=r"2 points in time \(axes t: 2, z: 6, y: 40, x: 37\); pick one with #t=0"):
        open_volume(url)
    same(f"{url}#t=1", 255 - VOXELS)


@pytest.mark.parametrize("unit", NGFF)
def test_every_unit_is_converted(tmp_path: Path, unit: str) -> None:
    url = write(tmp_path / "a.zarr", VOXELS, "zyx", unit=unit)
    size = open_volume(url).voxel_size
    assert size == pytest.approx([NGFF[unit] * n for n in (40, 8, 4)])


@pytest.mark.parametrize("unit", ["furlong", "pixel", "second", "lightyear"])
def test_other_units_are_refused(tmp_path: Path, unit: str) -> None:
    url = write(tmp_path / "a.zarr", VOXELS, "zyx", unit=unit)
    if unit == "pixel":
        assert "has no unit" in same(url, VOXELS, voxel_size=None).note
        return
    with pytest.raises(ValueError, match=rf"unit .* must be a unit of length, .* got '{unit}'; .*#voxel_size"):
        open_volume(url)
    same(f"{url}#voxel_size=1,2,3", VOXELS, voxel_size=(1, 2, 3))


def test_no_unit_is_no_voxel_size(tmp_path: Path) -> None:
    volume = same(write(tmp_path / "a.zarr", VOXELS, "zyx", unit=None), VOXELS, voxel_size=None)
    assert volume.note == "its scale 40, 8, 4 (z, y, x) has no unit"


@pytest.mark.parametrize(
    ("level", "whole", "start", "size"),
    [
        ([("scale", [10, 2, 1])], [("scale", [4, 4, 4])], (0, 0, 0), (40, 8, 4)),
        ([("scale", [40, 8, 4]), ("translation", [80, -16, 40])], [], (2, -2, 10), (40, 8, 4)),
        ([("scale", [40, 8, 4]), ("translation", [100, -12, 42])], [], (2, -2, 10), (40, 8, 4)),
        ([("scale", [10, 2, 1]), ("translation", [20, -4, 10])], [("scale", [4, 4, 4])], (2, -2, 10), (40, 8, 4)),
        ([("scale", [40, 8, 4])], [("translation", [80, -16, 40])], (2, -2, 10), (40, 8, 4)),
        ([("scale", [40, 8, 4]), ("translation", [40, 0, 0])], [("translation", [40, 8, 0])], (2, 1, 0), (40, 8, 4)),
        ([("identity", [])], [("scale", [40, 8, 4])], (0, 0, 0), (40, 8, 4)),
    ],
)
def test_transformations_of_level_and_image_are_composed(
    tmp_path: Path, level: list, whole: list, start: tuple, size: tuple
) -> None:
    def written(steps: list) -> list:
        return [{"type": kind, kind: numbers} if numbers else {"type": kind} for kind, numbers in steps]

    datasets = [{"path": "0", "coordinateTransformations": written(level)}]
    url = write(tmp_path / "a.zarr", VOXELS, "zyx", datasets=datasets, coordinateTransformations=written(whole))
    assert same(url, VOXELS, voxel_size=size).bounds.start == start


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"type": "scale", "scale": [0, 4, 4]}], "must be above 0 on every axis, got 0, 4, 4 nm"),
        ([{"type": "scale", "scale": [40, -4, 4]}], "must be above 0 on every axis, got 40, -4, 4 nm"),
        ([{"type": "scale", "scale": [40, float("nan"), 4]}], "must be above 0 on every axis"),
        ([{"type": "scale", "scale": [4, 4]}], "must have a number for each of its 3 axes"),
        ([{"type": "affine", "affine": [[1, 0], [0, 1]]}], "must be scale and translation, .* got affine"),
        ([{"type": "scale", "path": "0/scale"}], "each a list of numbers, got scale: 0/scale"),
        (
            [{"type": "scale", "scale": [40, 8, 4]}, {"type": "translation", "translation": [10, 0, 0]}],
            "must be a whole number of voxels, or half a voxel more, got 0.25, 0, 0",
        ),
        ("nothing", "must be a list"),
        ([3], "must be a JSON object"),
    ],
)
def test_transformations_that_are_none_are_refused(tmp_path: Path, steps: Any, message: str) -> None:
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    with pytest.raises(ValueError, match=message):
        open_volume(write(tmp_path / "a.zarr", VOXELS, "zyx", datasets=datasets))


@pytest.mark.parametrize("version", ["0.1", "0.3"])
def test_versions_without_transformations_have_no_voxel_size(tmp_path: Path, version: str) -> None:
    axes = None if version == "0.1" else ["z", "y", "x"]
    voxels = VOXELS[None, None] if version == "0.1" else VOXELS
    url = write(
        tmp_path / "a.zarr", voxels, "tczyx"[-voxels.ndim :], version=version, axes=axes, datasets=[{"path": "0"}]
    )
    same(url, VOXELS, voxel_size=None)


def test_a_level_is_opened_by_its_path(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=3)
    datasets = []
    for number, factor in enumerate((1, 2)):
        group.create_array(str(number), data=VOXELS[:, ::factor, ::factor])
        scale = {"type": "scale", "scale": [40.0, 8.0 * factor, 4.0 * factor]}
        moved = {"type": "translation", "translation": [0.0, 4.0 * (factor - 1), 2.0 * (factor - 1)]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale, moved]})
    axes = [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    same(f"{tmp_path}/a.zarr", VOXELS, voxel_size=(40, 8, 4))
    volume = same(f"{tmp_path}/a.zarr/1", VOXELS[:, ::2, ::2], voxel_size=(40, 16, 8))
    assert volume.bounds.start == (0, 0, 0)


def test_groups_that_hold_images(tmp_path: Path) -> None:
    series = zarr.create_group(tmp_path / "a.zarr", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    write(tmp_path / "a.zarr/0", VOXELS, "zyx")
    same(f"{tmp_path}/a.zarr", VOXELS, voxel_size=(40, 8, 4))
    shutil.copytree(tmp_path / "a.zarr/0", tmp_path / "a.zarr/1")
    with pytest.raises(ValueError, match=r"must be one series, got a group of 0, 1; write the image as .*a\.zarr/0"):
        open_volume(f"{tmp_path}/a.zarr")
    del series.attrs["bioformats2raw.layout"]
    with pytest.raises(ValueError, match=r"must be a zarr array or an OME-Zarr image, got a group of 0, 1"):
        open_volume(f"{tmp_path}/a.zarr")


@pytest.mark.parametrize(
    ("attributes", "start", "size"),
    [
        ({"resolution": [40, 8, 4], "offset": [80, -16, 0]}, (2, -2, 0), (40, 8, 4)),
        ({"voxel_size": [40, 8, 4], "offset": [80, -16, 0], "units": ["nm"] * 3}, (2, -2, 0), (40, 8, 4)),
        (
            {"voxel_size": [0.04, 0.008, 0.004], "offset": [0.08, -0.016, 0], "units": ["um"] * 3},
            (2, -2, 0),
            (40, 8, 4),
        ),
        ({"axis_names": ["x", "y", "z"], "voxel_size": [4, 8, 40], "offset": [0, -16, 80]}, (2, -2, 0), (40, 8, 4)),
        ({"_ARRAY_DIMENSIONS": ["x", "y", "z"], "resolution": [4, 8, 40]}, (0, 0, 0), (40, 8, 4)),
    ],
)
def test_attributes_of_plain_arrays(tmp_path: Path, attributes: dict, start: tuple, size: tuple) -> None:
    voxels = VOXELS.T if "x" in str(attributes.get("axis_names", attributes.get("_ARRAY_DIMENSIONS", ""))) else VOXELS
    zarr.create_array(tmp_path / "a.zarr", data=voxels, zarr_format=2, attributes=attributes)
    assert same(f"{tmp_path}/a.zarr", VOXELS, voxel_size=size).bounds.start == start


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"resolution": [40, 8, 4], "voxel_size": [40, 4, 4]}, "must have one voxel size, got resolution"),
        ({"resolution": [40, 8]}, "must be three numbers z, y, x, got"),
        ({"resolution": "large"}, "must be three numbers"),
        ({"resolution": [0, 8, 4]}, "must be above 0"),
        ({"resolution": [40, 8, 4], "units": ["nm", "nm", "px"]}, "must be a unit of length"),
        ({"offset": [40, 8, 4]}, "must give its voxel size with its offset"),
        ({"resolution": [40, 8, 4], "offset": [15, 0, 0]}, "offset .* must be a whole number of voxels, got 0.375"),
        ({"resolution": [40, 8, 4], "offset": [float("inf"), 0, 0]}, "offset .* must be a whole number"),
    ],
)
def test_attributes_that_make_no_sense(tmp_path: Path, attributes: dict, message: str) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=VOXELS, zarr_format=2, attributes=attributes)
    with pytest.raises(ValueError, match=message):
        open_volume(f"{tmp_path}/a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_absent_chunks_are_black_whatever_the_fill_value(tmp_path: Path, zarr_format: int) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", data=VOXELS, chunks=(4, 16, 16), zarr_format=zarr_format, fill_value=7
    )
    (tmp_path / "a.zarr" / array.metadata.encode_chunk_key((0, 1, 2))).unlink()
    volume = open_volume(f"{tmp_path}/a.zarr")
    with pytest.raises(FileNotFoundError, match="must have every chunk, got none at"):
        volume.read(volume.bounds)
    wanted = VOXELS.copy()
    wanted[:4, 16:32, 32:] = 0
    assert np.array_equal(volume.read(volume.bounds, fill_missing=True), wanted)
    same(f"{tmp_path}/a.zarr#fill_missing=yes", wanted)


def test_torn_chunks_and_metadata_are_named(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(4, 16, 16))
    chunk = tmp_path / "a.zarr" / array.metadata.encode_chunk_key((0, 0, 0))
    body = chunk.read_bytes()
    for torn in (b"", body[: len(body) // 2]):
        chunk.write_bytes(torn)
        with pytest.raises(ValueError, match=r"a\.zarr.* must be a whole"):
            open_volume(f"{tmp_path}/a.zarr").read(Bbox((0, 0, 0), (1, 1, 1)))
    metadata = json.loads((tmp_path / "a.zarr/zarr.json").read_text())
    for broken in ("{", "[]", json.dumps(metadata | {"data_type": "strange"}), json.dumps(metadata | {"codecs": []})):
        (tmp_path / "a.zarr/zarr.json").write_text(broken)
        with pytest.raises(ValueError, match="must "):
            read_whole(f"{tmp_path}/a.zarr")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_part_of_a_chunk_that_blosc_would_decode_is_refused(tmp_path: Path, zarr_format: Any) -> None:
    packed = numcodecs.Blosc() if zarr_format == 2 else zarr.codecs.BloscCodec()
    array = zarr.create_array(
        tmp_path / "a.zarr", data=VOXELS, chunks=(6, 40, 37), zarr_format=zarr_format, compressors=packed
    )
    same(f"{tmp_path}/a.zarr", VOXELS)
    chunk = tmp_path / "a.zarr" / array.metadata.encode_chunk_key((0, 0, 0))
    body = chunk.read_bytes()
    for length in (8, 40, len(body) - 1):
        chunk.write_bytes(body[:length])
        with pytest.raises(ValueError, match=r"must be a whole chunk of .* bytes, got"):
            read_whole(f"{tmp_path}/a.zarr")


def test_layers_of_ours_open_at_every_mip(tmp_path: Path) -> None:
    layer = Layer(
        open_store(str(tmp_path)), "seg", Bbox.of((-2, 10, 7), VOXELS.shape), (40, 8, 4), np.dtype("u1"),
        (8, 64, 64), (8, 64, 64),
    )  # fmt: skip
    layer.create({})
    layer.write(layer.bounds, VOXELS)
    coarser = layer.coarser((1, 2, 2))
    coarser.create({})
    small = VOXELS[:, ::2, ::2][:, : coarser.bounds.shape[1], : coarser.bounds.shape[2]]
    coarser.write(coarser.bounds, small)
    assert same(f"{tmp_path}/seg", VOXELS, voxel_size=(40, 8, 4), placed=True).bounds == layer.bounds
    assert same(f"{tmp_path}/seg/1", small, voxel_size=(40, 16, 8), placed=True).bounds == coarser.bounds


@pytest.mark.parametrize("url", ["", "#voxel_size=4,4,4"])
def test_no_path_is_not_the_current_folder(url: str) -> None:
    with pytest.raises(ValueError, match="a mask must be the path or the URL of a volume, got"):
        open_volume(url, "a mask")


def test_other_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be a path, file://…, .*, got ftp://b/a\.zarr; copy it"):
        open_volume("ftp://b/a.zarr")
