"""TIFF files as ImageJ, OME and others write them."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.formats import open_volume
from tests.volumes.formats.arrays import VOXELS, same

GREY = {"photometric": "minisblack"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True, "byteorder": ">"},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 7},
        {"rowsperstrip": 7, "compression": "lzw"},
        {"rowsperstrip": 7, "compression": "packbits"},
        {"compression": "zstd"},
        {"compression": "jpeg", "compressionargs": {"level": 95}},
        {"tile": (2, 16, 16), "volumetric": True},
        {"truncate": True},
        {"metadata": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_layouts_and_compressions_read_as_tifffile_reads_them(tmp_path: Path, options: dict, dtype: str) -> None:
    if "jpeg" in options.values():
        dtype = "uint8"  # the only type that JPEG has
    if options.get("predictor") and dtype == "float32":
        options = options | {"predictor": 3}
    tifffile.imwrite(tmp_path / "a.tif", VOXELS.astype(dtype) * 3, **GREY, **options)
    wanted = tifffile.imread(tmp_path / "a.tif")
    same(f"{tmp_path}/a.tif", wanted.reshape(VOXELS.shape), voxel_size=None)


def test_white_as_zero_is_inverted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 255 - VOXELS, photometric="miniswhite")
    same(f"{tmp_path}/a.tif", VOXELS)
    tifffile.imwrite(tmp_path / "b.tif", 65535 - VOXELS.astype(np.uint16), photometric="miniswhite")
    same(f"{tmp_path}/b.tif", VOXELS.astype(np.uint16))


@pytest.mark.parametrize("scale", [257, 256])
def test_a_grey_palette_is_looked_up(tmp_path: Path, scale: int) -> None:
    colours = np.repeat(np.arange(255, -1, -1, dtype=np.uint16)[None] * np.uint16(scale), 3, 0)
    tifffile.imwrite(tmp_path / "a.tif", 255 - VOXELS, photometric="palette", colormap=colours)
    same(f"{tmp_path}/a.tif", VOXELS)
    same(f"{tmp_path}/a.tif#palette=indices", 255 - VOXELS)


def test_a_palette_of_colours_is_refused_unless_its_numbers_are_meant(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, photometric="palette", colormap=colours)
    with pytest.raises(ValueError, match=r"must be grey, got a palette of colours.*#palette=indices"):
        open_volume(f"{tmp_path}/a.tif")
    same(f"{tmp_path}/a.tif#palette=indices", VOXELS)


@pytest.mark.parametrize("subifds", [0, 1])
def test_smaller_copies_are_no_sections(tmp_path: Path, subifds: int) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(VOXELS, tile=(16, 16), subifds=subifds, **GREY)
        file.write(VOXELS[:, ::2, ::2], tile=(16, 16), subfiletype=1, **GREY)
    same(f"{tmp_path}/a.tif", VOXELS)


@pytest.mark.parametrize(
    ("place", "other"), [(2, VOXELS[2].astype(np.uint16)), (4, VOXELS[4, :30]), (0, VOXELS[0, :, :9])]
)
def test_pages_of_several_shapes_or_types_are_refused(tmp_path: Path, place: int, other: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for number, plane in enumerate(VOXELS):
            file.write(other if number == place else plane, metadata=None, contiguous=False, **GREY)
    with pytest.raises(ValueError, match=r"a\.tif must have one shape and one type, got 2 images"):
        open_volume(f"{tmp_path}/a.tif")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"metadata": None}, {"bigtiff": True}])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, options: dict, share: float) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=options.get("bigtiff", False)) as file:
        for plane in VOXELS:
            more = {name: value for name, value in options.items() if name != "bigtiff"}
            file.write(plane, contiguous=False, **GREY, **more)
    body = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(body[: int(len(body) * share)])
    with pytest.raises(ValueError, match=r"a\.tif must .*; "):
        open_volume(f"{tmp_path}/a.tif").read(Bbox((0, 0, 0), VOXELS.shape))


def test_a_part_of_a_truncated_hyperstack_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, truncate=True, **GREY)
    body = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(body[:-100])
    with pytest.raises(ValueError, match=r"a\.tif must (hold|lie|be)"):
        open_volume(f"{tmp_path}/a.tif").read(Bbox((0, 0, 0), VOXELS.shape))


def test_hyperstacks_ask_for_time_and_keep_channels(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 9999, (2, 6, 3, 40, 37)).astype(np.uint16)
    resolution = {"resolution": (250, 500), "metadata": {"axes": "TZCYX", "spacing": 0.04, "unit": "um"}}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, **resolution)
    with pytest.raises(ValueError, match=r"2 points in time .*#t=0"):
        open_volume(f"{tmp_path}/a.tif")
    same(f"{tmp_path}/a.tif#t=1", stack[1].transpose(1, 0, 2, 3), voxel_size=(40, 2, 4))
    same(f"{tmp_path}/a.tif#t=1#channel=2", stack[1, :, 2])
    with pytest.raises(ValueError, match="channel must be in 0 to 2, got 3"):
        open_volume(f"{tmp_path}/a.tif#t=1#channel=3")


def test_frames_that_are_sections_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(ValueError, match="#axes=zyx"):
        open_volume(f"{tmp_path}/a.tif")
    same(f"{tmp_path}/a.tif#axes=zyx", VOXELS)


@pytest.mark.parametrize("unit", ["µm", "nm", "Å", "furlong", "pixel"])
def test_physical_sizes_of_ome_have_units(tmp_path: Path, unit: str) -> None:
    stack = np.stack([VOXELS, 255 - VOXELS])
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (40, 8, 4), strict=True)}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CZYX"} | sizes | units)
    known = {"µm": 1000.0, "nm": 1.0, "Å": 0.1}.get(unit)
    if unit == "furlong":
        with pytest.raises(ValueError, match=r"unit .* must be a unit of length.*'furlong'.*#voxel_size"):
            open_volume(f"{tmp_path}/a.ome.tif")
        return
    size = None if known is None else tuple(known * n for n in (40, 8, 4))
    same(f"{tmp_path}/a.ome.tif#channel=1", 255 - VOXELS, voxel_size=size)
    same(f"{tmp_path}/a.ome.tif#voxel_size=1,2,3", stack, voxel_size=(1, 2, 3))


def test_an_absent_file_of_an_ome_set_is_named(tmp_path: Path) -> None:
    first, second = (f'<UUID FileName="{name}.ome.tif">urn:uuid:{name}</UUID>' for name in ("a", "b"))
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="37" SizeY="40" SizeZ="2" SizeC="1" SizeT="1">'
        f'<TiffData FirstZ="0" IFD="0" PlaneCount="1">{first}</TiffData>'
        f'<TiffData FirstZ="1" IFD="0" PlaneCount="1">{second}</TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", VOXELS[0], description=xml, metadata=None)
    with pytest.raises(FileNotFoundError, match=r"none named b\.ome\.tif"):
        open_volume(f"{tmp_path}/a.ome.tif")
    tifffile.imwrite(
        tmp_path / "b.ome.tif",
        VOXELS[1],
        description=xml.replace('UUID="urn:uuid:a"', 'UUID="urn:uuid:b"'),
        metadata=None,
    )
    same(f"{tmp_path}/a.ome.tif", VOXELS[:2])


def test_colours_are_refused_unless_one_is_picked(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([VOXELS, VOXELS // 2, VOXELS // 3], -1), photometric="rgb")
    with pytest.raises(ValueError, match=r"must be grey, got 3 colours"):
        open_volume(f"{tmp_path}/a.tif")
    same(f"{tmp_path}/a.tif#channel=1", VOXELS // 2)
    tifffile.imwrite(tmp_path / "b.tif", VOXELS[:3], photometric="rgb", planarconfig="separate", compression="zlib")
    same(f"{tmp_path}/b.tif#channel=2", VOXELS[2:3])


def test_channels_of_colours_are_refused(tmp_path: Path) -> None:
    stack = np.zeros((6, 2, 40, 37, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZCYXS"})
    for url in (f"{tmp_path}/a.tif", f"{tmp_path}/a.tif#channel=1"):
        with pytest.raises(ValueError, match="at most one axis of channels and one of time, got z: 6, c: 2"):
            open_volume(url)


@pytest.mark.parametrize(("size", "shown"), [(0, "0"), (-4, "-4"), (float("nan"), "nan")])
def test_a_voxel_size_that_is_none_is_refused(tmp_path: Path, size: float, shown: str) -> None:
    metadata = {"axes": "ZYX", "spacing": size, "unit": "nm"}
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, imagej=True, resolution=(1, 1), metadata=metadata)
    with pytest.raises(ValueError, match=re.escape(f"must be above 0 on every axis, got {shown}")):
        open_volume(f"{tmp_path}/a.tif")
    same(f"{tmp_path}/a.tif#voxel_size=40,4,4", VOXELS, voxel_size=(40, 4, 4))


def test_a_compression_that_is_broken_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, compression="zlib", **GREY)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(5)
    with pytest.raises(ValueError, match=r"a\.tif must be a whole TIFF file"):
        open_volume(f"{tmp_path}/a.tif").read(Bbox((0, 0, 0), VOXELS.shape))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, **GREY)
    volume = open_volume(f"{tmp_path}/a.tif")
    tifffile.imwrite(tmp_path / "a.tif", VOXELS[:5], **GREY)
    with pytest.raises(ValueError, match="must not change while it is read"):
        volume.read(volume.bounds)


def test_tiles_that_were_never_written_are_absent_not_black(tmp_path: Path) -> None:
    tiles = [np.full((16, 16), number + 1, np.uint8) for number in range(9)]
    tiles[4] = None  # type: ignore[call-overload]
    tifffile.imwrite(
        tmp_path / "a.tif", iter(tiles), shape=(48, 48), dtype="uint8", tile=(16, 16), compression="zlib", **GREY
    )
    volume = open_volume(f"{tmp_path}/a.tif")
    assert (volume.read(Bbox((0, 0, 0), (1, 16, 48)))[0, 0, ::16] == [1, 2, 3]).all()
    with pytest.raises(FileNotFoundError, match="must have all its strips or tiles, got none at number 4"):
        volume.read(volume.bounds)
    wanted = tifffile.imread(tmp_path / "a.tif")
    assert np.array_equal(volume.read(volume.bounds, fill_missing=True)[0], wanted)
